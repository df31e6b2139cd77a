import { ModeloptError } from './errors.js';

const CACHE_NAME = 'modelopt-models';

/** Reads a `file:` URL. Node's entry point sets it; browsers cannot. */
let readFile;

/** What relative addresses are relative to. */
let baseUrl = () => globalThis.document?.baseURI ?? globalThis.location?.href;

/** Lets Node read files. */
export function useFiles(read, base) {
  readFile = read;
  baseUrl = base;
}

/** The bytes, where the value is an ArrayBuffer or a view of one. */
export function asBytes(value) {
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  return undefined;
}

/** The absolute address of a URL or a string. */
export function resolve(address) {
  try {
    return address instanceof URL ? address : new URL(address, baseUrl());
  } catch (cause) {
    throw new ModeloptError('address', `'${address}' is not an address`, 'Pass a URL, or the bytes.', { cause });
  }
}

/** Fetches an address; a failure names it. */
export async function fetchAddress(url, options) {
  if (url.protocol === 'file:' && readFile) return new Response(await readOrFail(url));
  let response;
  try {
    response = await fetch(url, options);
  } catch (cause) {
    throw new ModeloptError('fetch', `${url.href} cannot be fetched`, 'Check the address, the network and the CORS headers.', { cause });
  }
  return checked(response, url.href);
}

async function readOrFail(url) {
  try {
    return await readFile(url);
  } catch (cause) {
    throw new ModeloptError('fetch', `${url.pathname} cannot be read`, 'Check the path.', { cause });
  }
}

function checked(response, address) {
  if (response.ok) return response;
  throw new ModeloptError('fetch', `${address} answers ${response.status}`, 'Check the address.');
}

/** The body, with progress reported on the way. */
async function readBody(response, onProgress) {
  if (!onProgress || !response.body) return new Uint8Array(await response.arrayBuffer());
  // A compressed body is longer than its Content-Length says.
  const isEncoded = response.headers.has('content-encoding');
  const total = isEncoded ? 0 : Number(response.headers.get('content-length') ?? 0);
  const parts = [];
  let loaded = 0;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    loaded += value.length;
    onProgress({ loaded, total: Math.max(total, loaded) });
  }
  const bytes = new Uint8Array(loaded);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Whether bytes have the hash, which is written as in HTML: `sha256-` and base64. */
async function hasIntegrity(bytes, integrity) {
  const [, bits, expected] = /^sha(256|384|512)-([A-Za-z0-9+/]+=*)$/.exec(integrity) ?? [];
  if (!bits) {
    throw new ModeloptError('integrity', `'${integrity}' is not a hash`, 'Write it as in HTML: sha256- and the hash in base64.');
  }
  if (!globalThis.crypto?.subtle) {
    throw new ModeloptError('integrity', 'this page cannot compute hashes', 'Serve it over https or from localhost.');
  }
  const digest = new Uint8Array(await crypto.subtle.digest(`SHA-${bits}`, bytes));
  return btoa(String.fromCharCode(...digest)) === expected;
}

async function openCache() {
  if (!globalThis.caches) {
    throw new ModeloptError('cache', 'there is no Cache API here', 'Serve the page over https, or leave the option `cache` out.');
  }
  return caches.open(CACHE_NAME);
}

/**
 * Downloads through the cache. With a hash, what is stored is used without asking the server;
 * without one, the server is asked each time and what is stored serves when it does not answer.
 */
async function readCached(url, { onProgress, integrity }) {
  const cache = await openCache();
  const stored = await cache.match(url);
  if (stored && integrity) {
    const bytes = new Uint8Array(await stored.arrayBuffer());
    if (await hasIntegrity(bytes, integrity)) return bytes;
  }
  let bytes;
  try {
    bytes = await readBody(await fetchAddress(url, { cache: 'no-cache' }), onProgress);
  } catch (error) {
    if (!stored || integrity || error.cause === undefined) throw error;
    return new Uint8Array(await stored.arrayBuffer());
  }
  if (!integrity || (await hasIntegrity(bytes, integrity))) await cache.put(url, new Response(bytes));
  return bytes;
}

async function readAny(source, options) {
  const bytes = asBytes(source);
  if (bytes) return bytes;
  if (source instanceof Response) return readBody(checked(source, source.url || 'the response'), options.onProgress);
  if (source instanceof URL || typeof source === 'string') {
    const url = resolve(source);
    if (options.cache) return readCached(url, options);
    return readBody(await fetchAddress(url), options.onProgress);
  }
  throw new ModeloptError('source', 'a model cannot be loaded from this', 'Pass bytes, a URL or a Response.');
}

/** The bytes of a model from wherever it is. */
export async function readSource(source, options = {}) {
  const bytes = await readAny(source, options);
  if (options.integrity && !(await hasIntegrity(bytes, options.integrity))) {
    throw new ModeloptError('integrity', 'the bytes do not have the hash that was asked for', 'Check that the address serves the version that the hash is of.');
  }
  return bytes;
}
