package oauth

import "strings"

// deniedSchemes are schemes that something other than the client answers. An
// allow list is not possible, since every program may bring its own scheme
// (RFC 8252 §7.1), and no deny list is complete: beyond it stand the slash that
// parseRedirect wants after the scheme, which most of these do not have, and
// the consent page, which shows the scheme. Microsoft's ms-* schemes, which
// open parts of Windows and Office, are denied by their prefix.
var deniedSchemes = listed(
	// Run or show what the URI itself contains, some with our origin.
	`javascript vbscript livescript mocha data blob filesystem about view-source jar mhtml mk its res resource`,
	// Pages and extensions of browsers.
	`brave chrome chrome-extension chrome-search chrome-untrusted devtools edge moz-extension moz-icon opera
	safari-web-extension vivaldi`,
	// Read files, or start programs of the system with what follows.
	`file intent android-app applescript help hcp itms itms-apps itms-services jdbc ldap ldaps market search search-ms
	shell shortcuts steam`,
	// Would carry the code over the network, in the clear or to anyone.
	`afp cid coap coaps dav davs dict ftp ftps git gopher imap imaps irc ircs mailto mms news nfs nntp pop pop3 rdp
	rlogin rtmp rtsp sftp sip sips smb smtp ssh svn tel telnet tftp sms vnc webcal ws wss xmpp`,
)

func listed(groups ...string) map[string]bool {
	set := make(map[string]bool)
	for _, group := range groups {
		for scheme := range strings.FieldsSeq(group) {
			set[scheme] = true
		}
	}
	return set
}
