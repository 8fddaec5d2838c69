// A program as many are written with the official TypeScript SDK: it connects to
// a remote server, sends its person to the browser when the server asks for a
// sign-in, and stays connected.
//
//   node sdk.mjs URL SDK TRANSPORT
//
// SDK is 2025-11-25 (version 1 of the SDK) or 2026-07-28 (version 2, pinned).
// TRANSPORT is http or sse. The browser is xdg-open. Once it is connected it says in
// which revision; after that each line of standard input, "tools" or "add", is
// answered. Each answer is one line of JSON with a result or an error.
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

const clientInfo = { name: 'sdk-test-client', version: '1.0.0' };

const sdks = {
  '2025-11-25': async () => ({
    ...(await import('@modelcontextprotocol/sdk/client/index.js')),
    ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
    ...(await import('@modelcontextprotocol/sdk/client/sse.js')),
    ...(await import('@modelcontextprotocol/sdk/client/auth.js')),
    options: {},
  }),
  '2026-07-28': async () => ({
    ...(await import('@modelcontextprotocol/client')),
    options: { versionNegotiation: { mode: { pin: '2026-07-28' } } },
  }),
};

// Person keeps what one sign-in needs, in memory, and opens the browser for it.
class Person {
  #kept = {};
  #port;
  constructor(port) { this.#port = port; }
  get redirectUrl() { return `http://127.0.0.1:${this.#port}/callback`; }
  get clientMetadata() {
    return {
      client_name: 'SDK test client', redirect_uris: [this.redirectUrl], token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
    };
  }
  clientInformation() { return this.#kept.client; }
  saveClientInformation(client) { this.#kept.client = client; }
  tokens() { return this.#kept.tokens; }
  saveTokens(tokens) { this.#kept.tokens = tokens; }
  codeVerifier() { return this.#kept.verifier; }
  saveCodeVerifier(verifier) { this.#kept.verifier = verifier; }
  redirectToAuthorization(url) { spawn('xdg-open', [String(url)], { stdio: 'ignore' }); }
}

// listen waits for answers of the authorization server, one after the other.
async function listen() {
  const waiting = [];
  const server = createServer((req, res) => {
    const { searchParams } = new URL(req.url, 'http://127.0.0.1');
    res.end('You can close this window.');
    waiting.shift()?.(searchParams);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return { server, port: server.address().port, answer: () => new Promise((resolve) => { waiting.push(resolve); }) };
}

async function connect(url, sdk, kind) {
  const { server, port, answer } = await listen();
  const authProvider = new Person(port);
  const Transport = kind === 'sse' ? sdk.SSEClientTransport : sdk.StreamableHTTPClientTransport;
  const attempt = async (transport) => {
    const client = new sdk.Client(clientInfo, sdk.options);
    client.onerror = (error) => console.error(`sdk.mjs: ${error.message}`);
    let agreed; // which version 1 of the SDK tells its transport only
    const tell = transport.setProtocolVersion.bind(transport);
    transport.setProtocolVersion = (version) => { agreed = version; tell(version); };
    await client.connect(transport);
    return { client, server, revision: client.getNegotiatedProtocolVersion?.() ?? agreed };
  };
  const answered = answer();
  const first = new Transport(new URL(url), { authProvider });
  try {
    return await attempt(first);
  } catch (error) {
    if (!(error instanceof sdk.UnauthorizedError)) {
      throw error;
    }
    const params = await answered;
    await first.finishAuth(sdk.options.versionNegotiation ? params : params.get('code'));
    return await attempt(new Transport(new URL(url), { authProvider }));
  }
}

const commands = {
  tools: async (client) => (await client.listTools(undefined, { cacheMode: 'refresh' })).tools.map(({ name }) => name),
  add: async (client) => (await client.callTool({ name: 'math_add', arguments: { a: 23, b: 19 } })).content[0].text,
};

const [url, wanted, kind] = process.argv.slice(2);
const { client, server, revision } = await connect(url, await sdks[wanted](), kind);
console.log(JSON.stringify({ result: revision }));
for await (const line of createInterface({ input: process.stdin })) {
  try {
    console.log(JSON.stringify({ result: await commands[line](client) }));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error) }));
  }
}
server.close();
await client.close();
