package entra

import "fmt"

// advice is what to tell people about one of Microsoft's numbers.
type advice struct {
	// kind, if set, goes before what the error code says.
	kind          Kind
	summary, help string
}

// Several numbers, one thing to do about them.
var (
	otherOrganization = advice{
		summary: "The account you chose does not belong to the organization that this gateway serves.",
		help:    "Start again and choose an account of the organization. If you should have access with this one, an administrator can invite it as a guest in Microsoft Entra ID.",
	}
	secondFactor = advice{
		summary: "Microsoft asked for a second factor and did not get it.",
		help:    "Start again and finish the extra step, such as the authenticator app. If Microsoft offers you none, an administrator can look at the Conditional Access policies and authentication methods in Microsoft Entra ID.",
	}
	conditionalAccess = advice{
		summary: "A security policy of your organization does not allow this sign-in.",
		help:    "It may ask for a managed device, another network or another app. The sign-in log of Microsoft Entra ID shows an administrator which Conditional Access policy it was.",
	}
	signInEnded = advice{
		summary: "Your sign-in with Microsoft has ended, for instance because your password was changed or you were away for long.",
		help:    "Start again from your program and sign in anew.",
	}
	codeEnded = advice{
		summary: "The sign-in took too long, or its answer was used already.",
		help:    "Start again from your program.",
	}
	adminConsent = advice{
		kind:    KindDenied,
		summary: "An administrator of your organization must approve this application first.",
		help:    "In Microsoft Entra ID: Enterprise applications, this application, Permissions, Grant admin consent.",
	}
	pkceMismatch = advice{
		kind:    KindMisconfigured,
		summary: "Microsoft found that the two halves of the sign-in do not belong together.",
		help:    "Start again from your program. If it happens every time, tell the administrator of the gateway the number and the trace ID.",
	}
	registeredAsSPA = advice{
		kind:    KindMisconfigured,
		summary: "The gateway's redirect URI is registered with Microsoft for the wrong platform.",
		help:    "An administrator can fix it in the app registration: Authentication, remove the redirect URI from Single-page application and add it under Web.",
	}
	unknownTenant = advice{
		kind:    KindMisconfigured,
		summary: "Microsoft does not know the tenant that the gateway is set up for.",
		help:    "An administrator can set MICROSOFT_TENANT_ID to the Directory (tenant) ID on the app registration's overview page.",
	}
	badRequest = advice{
		kind:    KindMisconfigured,
		summary: "Microsoft did not understand the gateway's request.",
		help:    "A proxy between the gateway and Microsoft may have changed it. Otherwise it is a fault of the gateway: report it with the number and the trace ID.",
	}
	noFederatedMatch = advice{
		kind:    KindMisconfigured,
		summary: "Microsoft does not trust the token that the gateway's platform gave it.",
		help:    "An administrator can compare issuer, subject and audience of that token, letter for letter, with the app registration: Certificates & secrets, Federated credentials.",
	}
	badScope = advice{
		kind:    KindMisconfigured,
		summary: "Microsoft refused a permission that the gateway asks for.",
		help:    "The gateway asks for openid, profile, email and offline_access, and for User.Read if a rule names a group. An administrator can look in the app registration, under API permissions, whether Microsoft Graph still offers them.",
	}
)

// advices by AADSTS number, without the prefix.
var advices = map[int]advice{
	16000: otherOrganization, 50020: otherOrganization, 90072: otherOrganization,
	50034: {
		summary: "Microsoft does not know this account in the organization that this gateway serves.",
		help:    "Start again and check the account's name. An administrator can look for it under Users in Microsoft Entra ID.",
	},
	50053: {
		summary: "Microsoft has locked your account for now, after too many attempts or one from a suspicious place.",
		help:    "Wait some minutes and start again. If it stays locked, an administrator can look at the sign-in log of Microsoft Entra ID.",
	},
	50055: {
		summary: "Your password has expired.",
		help:    "Change it with Microsoft, then start again from your program.",
	},
	50057: {
		summary: "Your account is disabled.",
		help:    "An administrator can enable it under Users in Microsoft Entra ID.",
	},
	50058: signInEnded, 50132: signInEnded, 50133: signInEnded, 50173: signInEnded, 70043: signInEnded, 700082: signInEnded, 700084: signInEnded,
	50072: secondFactor, 50074: secondFactor, 50076: secondFactor, 50079: secondFactor, 50158: secondFactor,
	50105: {
		summary: "Your account is not assigned to this application in Microsoft Entra ID.",
		help:    "An administrator can assign you, or a group that you are a direct member of: Enterprise applications, this application, Users and groups.",
	},
	50126: {
		summary: "The name or the password was wrong.",
		help:    "Start again from your program.",
	},
	50131: conditionalAccess, 53000: conditionalAccess, 53001: conditionalAccess, 53002: conditionalAccess,
	53003: conditionalAccess, 53004: conditionalAccess, 530003: conditionalAccess,
	54005: codeEnded, 70000: codeEnded, 70008: codeEnded,
	65001: adminConsent, 90094: adminConsent,
	65004: {
		summary: "You did not agree to what the application asks of Microsoft.",
		help:    "Start again and accept, if you want to use the gateway. It asks for your name and address, and to ask again later whether you may still come in.",
	},
	50196: {
		kind:    KindUnavailable,
		summary: "Microsoft has stopped answering for a while, after too many equal requests in a short time.",
		help:    "Wait some minutes, then start again. If a program keeps trying to sign in by itself, stop it.",
	},

	// The gateway's registration and configuration.
	50011: {
		kind:    KindMisconfigured,
		summary: "The gateway's redirect URI is not registered with Microsoft.",
		help:    "An administrator can add it in the app registration: Authentication, platform Web, the gateway's public URL followed by /callback, letter for letter.",
	},
	50059: unknownTenant, 90002: unknownTenant, 900023: unknownTenant,
	50194: {
		kind:    KindMisconfigured,
		summary: "The application is registered for one organization, and the gateway asked for any.",
		help:    "An administrator can set MICROSOFT_TENANT_ID to the Directory (tenant) ID of that organization, or register the application for several: Authentication, Supported account types.",
	},
	501481: pkceMismatch, 50147: pkceMismatch, 501491: pkceMismatch,
	70011: badScope, 650053: badScope, 650057: badScope,
	700016: {
		kind:    KindMisconfigured,
		summary: "Microsoft does not know the gateway's application in this tenant.",
		help:    "An administrator can compare MICROSOFT_CLIENT_ID and MICROSOFT_TENANT_ID with the overview page of the app registration.",
	},
	700024: {
		kind:    KindMisconfigured,
		summary: "Microsoft found that what the gateway proves itself with is not valid at this time.",
		help:    "An administrator can look at the gateway's clock if it has a certificate; with a federated token, whether the platform still renews the file.",
	},
	700027: {
		kind:    KindMisconfigured,
		summary: "Microsoft does not know the gateway's certificate, or it has expired.",
		help:    "An administrator can upload the certificate that the gateway uses in the app registration: Certificates & secrets, Certificates.",
	},
	70021: noFederatedMatch, 700211: noFederatedMatch, 700212: noFederatedMatch, 700213: noFederatedMatch,
	7000112: {
		kind:    KindMisconfigured,
		summary: "The gateway's application is disabled in Microsoft Entra ID.",
		help:    "An administrator can enable it: Enterprise applications, this application, Properties, Enabled for users to sign-in.",
	},
	7000215: {
		kind:    KindMisconfigured,
		summary: "The gateway's client secret is wrong.",
		help:    "An administrator can set MICROSOFT_CLIENT_SECRET to the Value of a secret, not to its Secret ID, under Certificates & secrets of the app registration. The Value is shown only when the secret is made.",
	},
	7000218: {
		kind:    KindMisconfigured,
		summary: "Microsoft got no client secret from the gateway.",
		help:    "An administrator can check MICROSOFT_CLIENT_SECRET, and in the app registration, under Authentication, that the redirect URI belongs to the platform Web.",
	},
	7000222: {
		kind:    KindMisconfigured,
		summary: "The gateway's client secret has expired.",
		help:    "An administrator can make a new one under Certificates & secrets of the app registration, set MICROSOFT_CLIENT_SECRET to its Value, and restart the gateway.",
	},
	28000: badRequest, 28003: badRequest, 90009: badRequest, 700054: badRequest, 900144: badRequest, 900561: badRequest,
	9002313: badRequest, 9010010: badRequest,
	9002325: registeredAsSPA, 9002327: registeredAsSPA,
}

// words are the summary and the help for a failure.
func (f failure) words(kind Kind) (summary, help string) {
	switch {
	case f.subcode == "cancel" && kind == KindDenied:
		return "You cancelled the sign-in with Microsoft.", "Start again from your program when you want to use the gateway."
	case f.code == codeCredential:
		return "The gateway cannot prove to Microsoft that it is your organization's application.",
			"An administrator finds in the gateway's log what is wrong with the file of its certificate or of its federated token."
	case f.code == codeToken:
		return "The gateway could not accept what Microsoft said about you.",
			"An administrator finds the reason in the gateway's log. Often the clock of the gateway is wrong, or the tenant or client id is not the one of the app registration."
	}
	if known, ok := advices[f.aadsts]; ok {
		return known.summary, known.help
	}
	switch kind {
	case KindDenied:
		summary, help = "Microsoft did not let you sign in", "The sign-in log of Microsoft Entra ID shows an administrator why."
	case KindUnavailable:
		summary, help = "Microsoft did not answer the gateway, or not in a form that can be understood", "Try again in a minute. If it goes on, an administrator can check the gateway's way to Microsoft (proxy, firewall, name resolution) and the state of Microsoft's service."
	default:
		summary, help = "Microsoft and the gateway do not agree about this sign-in", "An administrator finds more in the gateway's log and can compare the gateway's settings with the app registration in Microsoft Entra ID."
	}
	if f.aadsts != 0 {
		return fmt.Sprintf("%s (AADSTS%d).", summary, f.aadsts),
			fmt.Sprintf("%s Microsoft explains the number at https://login.microsoftonline.com/error?code=%d.", help, f.aadsts)
	}
	return summary + ".", help
}
