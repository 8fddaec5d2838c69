// The official suite's mode for servers knows no authorization. Node loads this
// file before the suite (--import), and each request to the gateway then carries
// the bearer token in MCP_TOKEN; MCP_HOST says which host and port that is. Requests
// to anywhere else, and those that bring credentials of their own, stay as they are.
import http from 'node:http';
import { Agent, setGlobalDispatcher } from 'undici';

const { MCP_TOKEN: token, MCP_HOST: host } = process.env;
if (!token || !host) {
  throw new Error('MCP_TOKEN and MCP_HOST are needed');
}

// pairs gives the headers of a request one form; undici has three.
function pairs(headers) {
  if (Array.isArray(headers)) {
    const list = [];
    for (let i = 0; i + 1 < headers.length; i += 2) {
      list.push([String(headers[i]), headers[i + 1]]);
    }
    return list;
  }
  return headers && Symbol.iterator in headers ? [...headers] : Object.entries(headers ?? {});
}

function withToken(headers, to) {
  const list = pairs(headers);
  if (to !== host || list.some(([name]) => name.toLowerCase() === 'authorization')) {
    return headers;
  }
  return Object.fromEntries([...list, ['authorization', `Bearer ${token}`]]);
}

// Both fetch and undici's own request go through its dispatcher.
setGlobalDispatcher(new Agent().compose((dispatch) => (options, handler) =>
  dispatch({ ...options, headers: withToken(options.headers, new URL(options.origin).host) }, handler)));

// A few scenarios need headers that fetch would correct, and use Node's own client.
const request = http.request;
http.request = (options, ...rest) =>
  request({ ...options, headers: withToken(options.headers, `${options.hostname}:${options.port}`) }, ...rest);
