import { ModeloptError } from './errors.js';
import { asBytes, fetchAddress, resolve } from './source.js';

/**
 * A module with one function, `() -> v128`, whose body is `i8x16.popcnt(i8x16.splat(0))`: it is
 * valid where the engine has 128-bit SIMD.
 */
const SIMD_PROBE = Uint8Array.of(
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00,
  0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b,
  0x03, 0x02, 0x01, 0x00,
  0x0a, 0x0a, 0x01, 0x08, 0x00, 0x41, 0x00, 0xfd, 0x0f, 0xfd, 0x62, 0x0b,
);

/** Whether this engine has 128-bit SIMD. */
export function hasSimd() {
  return WebAssembly.validate(SIMD_PROBE);
}

// Looked up only when needed, and written so that bundlers recognize and copy the files.
const ownModule = () => (hasSimd()
  ? new URL('../pkg/modelopt.simd.wasm', import.meta.url)
  : new URL('../pkg/modelopt.wasm', import.meta.url));

async function compile(wasm) {
  if (wasm instanceof WebAssembly.Module) return wasm;
  const bytes = asBytes(wasm);
  if (bytes) return WebAssembly.compile(bytes);
  const response = wasm instanceof Response ? wasm : await fetchAddress(resolve(wasm));
  const isTyped = response.headers.get('content-type')?.startsWith('application/wasm');
  if (isTyped && WebAssembly.compileStreaming) return WebAssembly.compileStreaming(response);
  return WebAssembly.compile(await response.arrayBuffer());
}

/** An instance of the module: calls with errors, and its memory. */
export class Runtime {
  #exports;

  constructor(instance) {
    this.#exports = instance.exports;
  }

  static async create(wasm) {
    try {
      return new Runtime(await WebAssembly.instantiate(await compile(wasm), {}));
    } catch (cause) {
      if (cause instanceof ModeloptError) throw cause;
      throw new ModeloptError('wasm', `the WebAssembly module cannot be started: ${cause.message}`, "Pass init({ wasm }) a file of this package's folder pkg, and allow 'wasm-unsafe-eval' where the page has a Content-Security-Policy.", { cause });
    }
  }

  /** Bytes of the module's memory, which models share and which never shrinks. */
  get heapBytes() {
    return this.#exports.memory.buffer.byteLength;
  }

  /** A view of memory, valid until the next call. */
  view(ArrayType, address, length) {
    return new ArrayType(this.#exports.memory.buffer, address, length);
  }

  /** The last message or description. */
  text() {
    const { text_address: address, text_bytes: bytes } = this.#exports;
    return this.view(Uint8Array, address(), bytes()).slice();
  }

  /** Calls a function of the module. */
  call(name, ...args) {
    try {
      return this.#exports[name](...args) >>> 0;
    } catch (cause) {
      throw new ModeloptError('internal', `the module stopped in ${name}: ${cause.message}`, 'Please report this with the model.', { cause });
    }
  }

  /** Calls a function that returns a code, and throws what the code means. */
  check(tensor, name, ...args) {
    const code = this.call(name, ...args);
    if (code === 100) throw ModeloptError.fromModule(code, 'the model has been disposed of');
    if (code !== 0) throw ModeloptError.fromModule(code, new TextDecoder().decode(this.text()), tensor);
  }
}

let current;
let starting;

async function start(wasm) {
  starting = Runtime.create(wasm);
  try {
    current = await starting;
  } catch (error) {
    starting = undefined;
    throw error;
  }
  return current;
}

/** Starts the module. Models loaded from now on use it; those loaded before keep theirs. */
export async function init({ wasm } = {}) {
  await start(wasm ?? ownModule());
}

/** The running module, started now if need be. */
export function started() {
  return starting ?? start(ownModule());
}

/** The running module, for calls that cannot wait. */
export function running() {
  if (current) return current;
  throw new ModeloptError('not-started', 'the module has not been started', 'Await init() first.');
}
