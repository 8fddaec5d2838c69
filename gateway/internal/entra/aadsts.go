package entra

// words are what a person reads about one of Microsoft's error numbers.
type words struct {
	summary string
	help    string
	// kind, if set, overrules the OAuth error, which for these numbers is
	// often server_error or invalid_request.
	kind Kind
}

// aadsts explains the numbers that people meet. Source: Microsoft's
// "Microsoft Entra authentication and authorization error codes".
var aadsts = map[int]words{
	16000:   {"You are signed in to Microsoft with several accounts, or with one that this organization does not know.", "Start again and choose your work account.", KindDenied},
	50011:   {"The gateway's address is not registered with the application.", "An administrator must add the gateway's /callback address to the application's redirect URIs (platform Web).", 0},
	50020:   {"Your account belongs to another organization.", "Start again and choose your work account here, or ask an administrator to invite you as a guest.", KindDenied},
	50034:   {"Microsoft does not know this account in this organization.", "Check which account you chose.", KindDenied},
	50053:   {"Your account is locked after too many wrong passwords, or the sign-in came from a blocked address.", "Wait a while, or ask an administrator to unlock it.", KindDenied},
	50057:   {"Your account is disabled.", "Ask an administrator.", KindDenied},
	50058:   {"You are not signed in to Microsoft.", "Start again.", KindDenied},
	50059:   {"Microsoft could not tell which organization is meant.", "An administrator must check the gateway's tenant_id.", 0},
	50072:   {"You must set up a second factor first.", "Start again and follow Microsoft's pages.", KindDenied},
	50074:   {"A second factor is needed.", "Start again and confirm it.", KindDenied},
	50076:   {"A second factor is needed.", "Start again and confirm it.", KindDenied},
	50079:   {"You must set up a second factor first.", "Start again and follow Microsoft's pages.", KindDenied},
	50105:   {"You are not assigned to this application.", "An administrator can assign you, or a group you are in, under Enterprise applications, Users and groups.", KindDenied},
	50126:   {"The user name or the password was wrong.", "Start again.", KindDenied},
	50131:   {"A Conditional Access rule of your organization does not let you in from here.", "An administrator can see why in the sign-in log.", KindDenied},
	50158:   {"Your organization asks for another check.", "Start again and follow the pages.", KindDenied},
	50173:   {"Your sign-in was revoked.", "Start again.", KindDenied},
	50194:   {"The application is not set up for several organizations.", "An administrator must put the tenant's GUID or domain into the gateway's tenant_id.", 0},
	53000:   {"Your device does not meet your organization's rules.", "An administrator can see why in the sign-in log.", KindDenied},
	53001:   {"Your device is not joined to your organization.", "Use a device of your organization.", KindDenied},
	53002:   {"This program is not among those your organization approves.", "Ask an administrator.", KindDenied},
	53003:   {"A Conditional Access rule of your organization blocks this sign-in.", "An administrator can see which one in the sign-in log.", KindDenied},
	53004:   {"You must register for multifactor sign-in first.", "Start again and follow Microsoft's pages.", KindDenied},
	54005:   {"The sign-in was finished before.", "Start again from your program.", KindDenied},
	65001:   {"The application has no consent in this organization yet.", "An administrator can grant it under Enterprise applications, Permissions.", KindDenied},
	65004:   {"You declined the permissions, or cancelled the sign-in.", "Start again from your program if that was not what you wanted.", KindDenied},
	70008:   {"The sign-in took too long.", "Start again from your program.", KindDenied},
	90002:   {"Microsoft does not know the organization that the gateway is set up for.", "An administrator must check the gateway's tenant_id.", KindMisconfigured},
	90094:   {"An administrator of your organization must approve the application.", "An administrator can grant consent under Enterprise applications, Permissions.", KindDenied},
	500011:  {"The gateway asked for something that Microsoft does not know.", askAdmin, KindMisconfigured},
	501481:  {"The sign-in does not fit the one that was started.", "Start again from your program.", KindMisconfigured},
	530003:  {"Your device must be managed by your organization.", "Use a managed device.", KindDenied},
	700016:  {"Microsoft does not know the gateway's application in this organization.", "An administrator must check the gateway's client_id and tenant_id.", KindMisconfigured},
	7000215: {"The gateway's client secret is wrong.", "An administrator must set a valid secret: its value, not its ID.", KindMisconfigured},
	7000218: {"The gateway sent no client secret.", "An administrator must set one, and check that the redirect URI is registered as platform Web.", KindMisconfigured},
	7000222: {"The gateway's client secret has expired.", "An administrator must make a new one and set it.", KindMisconfigured},
	9010010: {"Microsoft refused a resource that the gateway asked for.", askAdmin, KindMisconfigured},
}
