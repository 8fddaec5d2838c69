// oidc-provider in the shape of Microsoft Entra ID: one tenant's issuer and
// endpoints, its claims, one application with a secret. A test starts it and
// tells it, on the first line of standard input, the directory (tenants, users
// and apps in the JSON of package entrasim). It answers with a line that has its address. Each further
// line changes a user, and is answered with an empty line when it has. It ends
// when its standard input does.
//
// Where the library differs from Entra ID it stays as it is: it puts iss into the
// answer to the browser and no nbf into the ID token, insists on PKCE, and words
// its errors in its own way, without numbers. It gives no new refresh token for an
// old one, or, with the argument one-time, one that ends the old: then whoever uses
// the old one again ends both. Entra ID does neither.
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { interactionPolicy, Provider } from 'oidc-provider'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const directory = JSON.parse((await lines.next()).value)
const [tenant] = directory.Tenants
const [app] = directory.Apps
const find = (username) => directory.Users.find((user) => user.Username === username && !user.Gone)

const server = createServer().listen(0, '127.0.0.1')
await once(server, 'listening')
const origin = `http://localhost:${server.address().port}`
const root = `/${tenant.ID}`
const signInPath = `${root}/sign-in/`

const policy = interactionPolicy.base()
policy.add(new interactionPolicy.Prompt({ name: 'select_account', requestable: true }), 0)

const provider = new Provider(origin, {
  clients: [{
    client_id: app.ClientID,
    client_secret: app.Secrets[0].Value,
    redirect_uris: app.RedirectURIs,
    token_endpoint_auth_method: 'client_secret_post',
    grant_types: ['authorization_code', 'refresh_token'],
    subject_type: 'pairwise',
  }],
  routes: {
    authorization: `${root}/oauth2/v2.0/authorize`,
    token: `${root}/oauth2/v2.0/token`,
    jwks: `${root}/discovery/v2.0/keys`,
    userinfo: '/oidc/userinfo',
  },
  clientAuthMethods: ['client_secret_post', 'client_secret_basic', 'private_key_jwt'],
  responseTypes: ['code', 'id_token', 'code id_token'],
  scopes: ['openid', 'profile', 'email', 'offline_access', 'User.Read'],
  claims: {
    openid: ['sub', 'ver', 'idp', 'acct', 'roles', 'groups'],
    profile: ['oid', 'tid', 'name', 'preferred_username'],
    email: ['email'],
  },
  conformIdTokenClaims: false, // all claims are in the ID token, not at userinfo
  subjectTypes: ['pairwise'],
  pairwiseIdentifier: (ctx, accountId, client) => hash(client.clientId, accountId),
  findAccount: (ctx, username) => find(username) && { accountId: username, claims: () => claimsOf(find(username)) },
  rotateRefreshToken: process.argv[2] === 'one-time',
  // Nobody is asked for consent: an administrator gave it for all.
  async loadExistingGrant({ oidc }) {
    const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId })
    grant.addOIDCScope('openid profile email offline_access User.Read')
    await grant.save()
    return grant
  },
  interactions: { policy, url: (ctx, interaction) => signInPath + interaction.uid },
  renderError(ctx, out) {
    ctx.type = 'text'
    ctx.body = `${out.error}: ${out.error_description}`
  },
  features: {
    devInteractions: { enabled: false },
    dPoP: { enabled: false },
    pushedAuthorizationRequests: { enabled: false },
    rpInitiatedLogout: { enabled: false },
  },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  jwks: { keys: [signingKey()] },
  ttl: { AccessToken: 3600, AuthorizationCode: 600, IdToken: 3900, RefreshToken: 86400, Interaction: 600, Session: 600, Grant: 86400 },
})
// The issuer is beside the endpoints, and not above them as the library has it.
provider.issuer = `${origin}${root}/v2.0`
provider.use(async (ctx, next) => {
  await next()
  if (ctx.oidc?.route === 'jwks') { // each key says whose tokens it signs
    ctx.body = { keys: ctx.body.keys.map((key) => ({ ...key, issuer: `${origin}/{tenantid}/v2.0` })) }
  }
})

function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', kid: randomBytes(20).toString('base64url') }
}

function hash(...parts) {
  return createHash('sha256').update(parts.join(' ')).digest('base64url')
}

// claimsOf are those of Entra ID. More groups than fit are named by a place to ask.
function claimsOf(user) {
  const groups = user.Groups ?? []
  const tooMany = groups.length > 200
  return {
    sub: user.Username, ver: '2.0', oid: user.ObjectID, tid: user.TenantID,
    name: user.Name, preferred_username: user.Username, email: user.Email || undefined,
    idp: user.HomeIDP || undefined, acct: user.HomeIDP ? 1 : 0, roles: user.Roles ?? undefined,
    ...(!tooMany && groups.length && { groups }),
    ...(tooMany && {
      _claim_names: { groups: 'src1' },
      _claim_sources: { src1: { endpoint: `https://graph.windows.net/${user.TenantID}/users/${user.ObjectID}/getMemberObjects` } },
    }),
  }
}

// signIn is the page to pick a person. Whose tenant it is does not matter to it.
async function signIn(req, res) {
  const { params } = await provider.interactionDetails(req, res)
  if (req.method === 'POST') {
    const choice = new URLSearchParams(await text(req)).get('choice')
    const result = find(choice)
      ? { select_account: {}, login: { accountId: choice, remember: false }, consent: {} }
      : { error: 'access_denied', error_description: 'AADSTS65004: User declined to consent to access the app.' }
    await provider.interactionFinished(req, res, result)
    return
  }
  const buttons = directory.Users.map((user) => `<button name="choice" value="${user.Username}">${user.Name}</button>`)
  res.setHeader('Content-Type', 'text/html; charset=utf-8')
  res.end(`<!DOCTYPE html><title>Sign in</title><h1>Sign in to ${params.client_id}</h1>
<form method="post">${buttons.join('')}<button name="choice" value="cancel">Cancel</button></form>`)
}

const answer = provider.callback()
server.on('request', (req, res) => {
  if (req.url.startsWith(signInPath)) {
    signIn(req, res).catch((err) => {
      console.error(err)
      res.writeHead(err.statusCode ?? 500).end(String(err))
    })
    return
  }
  // Entra ID gives a refresh token to whoever asks for offline_access; here it
  // must be the consent page that gives it.
  req.url = req.url.replace(/([?&]prompt=)(\w+)/, '$1$2+consent')
  for (const name of [tenant.ID, tenant.Domain]) {
    if (req.url === `/${name}/v2.0/.well-known/openid-configuration`) req.url = '/.well-known/openid-configuration'
  }
  answer(req, res)
})

console.log(origin)
for await (const line of lines) {
  const change = JSON.parse(line)
  Object.assign(find(change.Username), change)
  console.log()
}
process.exit()
