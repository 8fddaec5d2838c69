// A host as Claude Desktop, Cursor and Windsurf are one, made of the official
// TypeScript SDK: it starts a server from the JSON that those programs read,
// and uses one tool of it.
//
//   node stdio.mjs '{"mcpServers":{"NAME":{"command":"...","args":[],"env":{}}}}' [OPTIONS]
//
// OPTIONS is JSON too; these are the defaults:
//   {"tool":"math_add","arguments":{"a":23,"b":19},"protocol":"2025-11-25","wait":60}
// The protocol picks the SDK: version 1 begins with initialize, version 2 is
// pinned to 2026-07-28. wait is in seconds, for a person to sign in.
//
// It prints one line of JSON and exits 0, or says why not and exits 1.

const clientInfo = { name: 'stdio-test-host', version: '1.0.0' };

// What a bridge lists before somebody has signed in.
const beforeSignIn = new Set(['sign_in', 'connection_status']);

const sdks = {
  '2025-11-25': async () => ({
    ...(await import('@modelcontextprotocol/sdk/client/index.js')),
    ...(await import('@modelcontextprotocol/sdk/client/stdio.js')),
    options: {},
  }),
  '2026-07-28': async () => ({
    ...(await import('@modelcontextprotocol/client')),
    ...(await import('@modelcontextprotocol/client/stdio')),
    options: { versionNegotiation: { mode: { pin: '2026-07-28' } } },
  }),
};

function parse(what, text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${what} is not JSON: ${error.message}`);
  }
}

// theServer is the only entry of a host's configuration.
function theServer(config) {
  const servers = Object.values(config.mcpServers ?? {});
  if (servers.length !== 1) {
    throw new Error(`mcpServers has ${servers.length} entries, and this host starts exactly one`);
  }
  const [{ command, args = [], env = {} }] = servers;
  if (typeof command !== 'string' || command === '') {
    throw new Error('the server has no command: this host starts programs and opens no addresses');
  }
  return { command, args, env };
}

// signal is a promise and what fulfils it. A notification that arrives before
// anybody waits is not lost.
function signal() {
  let fire;
  const fired = new Promise((resolve) => { fire = resolve; });
  return { fired, fire };
}

async function within(seconds, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not happen within ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

// allTools lists the tools, and once more when the first list was only what
// there is before a sign-in.
async function allTools(client, changed, wait) {
  const { tools } = await client.listTools();
  if (!tools.every(({ name }) => beforeSignIn.has(name))) {
    return tools;
  }
  const names = tools.map(({ name }) => name).join(', ');
  await within(wait, changed, `only [${names}] is listed; notifications/tools/list_changed`);
  return (await client.listTools(undefined, { cacheMode: 'refresh' })).tools;
}

// fits checks arguments against the schema that the server lists.
function fits(tool, args) {
  const { properties = {}, required = [] } = tool.inputSchema;
  const missing = required.filter((name) => !(name in args));
  const unknown = Object.keys(args).filter((name) => !(name in properties));
  if (missing.length > 0 || unknown.length > 0) {
    throw new Error(`${tool.name}: its schema requires [${missing}] and has no [${unknown}]`);
  }
}

async function use(server, { tool: name, arguments: args, protocol, wait }) {
  const sdk = await sdks[protocol]?.();
  if (!sdk) {
    throw new Error(`protocol ${protocol}: this host speaks ${Object.keys(sdks).join(' and ')}`);
  }
  const { fired, fire } = signal();
  const listChanged = { tools: { autoRefresh: false, debounceMs: 0, onChanged: fire } };
  const client = new sdk.Client(clientInfo, { ...sdk.options, listChanged });
  try {
    const transport = new sdk.StdioClientTransport({ ...server, stderr: 'inherit' });
    let agreed; // which version 1 of the SDK tells its transport only
    transport.setProtocolVersion = (version) => { agreed = version; };
    await client.connect(transport);
    const tools = await allTools(client, fired, wait);
    const tool = tools.find((listed) => listed.name === name);
    if (!tool) {
      throw new Error(`there is no tool ${name}, only [${tools.map((listed) => listed.name)}]`);
    }
    fits(tool, args);
    const result = await client.callTool({ name, arguments: args });
    return {
      tools: tools.map((listed) => listed.name),
      result,
      serverInfo: client.getServerVersion(),
      protocolVersion: client.getNegotiatedProtocolVersion?.() ?? agreed,
    };
  } finally {
    await client.close();
  }
}

try {
  const [config, options = '{}'] = process.argv.slice(2);
  if (config === undefined) {
    throw new Error('usage: node stdio.mjs JSON [OPTIONS]');
  }
  const outcome = await use(theServer(parse('the configuration', config)), {
    tool: 'math_add', arguments: { a: 23, b: 19 }, protocol: '2025-11-25', wait: 60, ...parse('OPTIONS', options),
  });
  console.log(JSON.stringify(outcome));
} catch (error) {
  console.error(`stdio.mjs: ${error.message}`);
  process.exitCode = 1;
}
