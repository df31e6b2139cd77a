#!/usr/bin/env node
/**
 * Runs a model over a stream of samples: `modelopt-run MODEL.mopt [--scalar]`.
 *
 * The first line on the standard output is JSON: `kernels`, `ramBytes`, `node`; or `error`, and
 * the exit code is 3. Then every sample on the standard input, a length in bytes (32 bits, little
 * end first) and the elements of all inputs as they are stored, is answered on the standard output
 * by the elements of all outputs in the same way. Elements are in the caller's order. It ends with
 * its input.
 */
import { readFile } from 'node:fs/promises';
import { once } from 'node:events';
import { Model, init } from '../js/node.js';

const ARRAYS = { f32: Float32Array, int8: Int8Array, int16: Int16Array, int32: Int32Array, int64: BigInt64Array, uint8: Uint8Array, bool: Uint8Array };

const count = (port) => port.shape.reduce((product, size) => product * size, 1);
const bytesOf = (port) => count(port) * ARRAYS[port.dtype].BYTES_PER_ELEMENT;

/** Splits a stream into the bodies of its frames. */
async function* frames(stream) {
  let rest = Buffer.alloc(0);
  for await (const chunk of stream) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32LE(0)) {
      const end = 4 + rest.readUInt32LE(0);
      yield rest.subarray(4, end);
      rest = rest.subarray(end);
    }
  }
  if (rest.length > 0) throw new Error(`the input ends inside a sample, ${rest.length} bytes behind the last`);
}

function answer(model, body) {
  const expected = model.inputs.reduce((sum, port) => sum + bytesOf(port), 0);
  if (body.length !== expected) throw new Error(`a sample has ${body.length} bytes, but the model takes ${expected}`);
  let at = 0;
  const inputs = {};
  for (const port of model.inputs) {
    // A copy starts at an address that suits every type.
    const bytes = Uint8Array.from(body.subarray(at, at + bytesOf(port)));
    inputs[port.name] = new ARRAYS[port.dtype](bytes.buffer);
    at += bytes.length;
  }
  const outputs = model.runQuantized(inputs);
  const parts = model.outputs.map((port) => {
    const values = outputs[port.name];
    return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  });
  const length = Buffer.alloc(4);
  length.writeUInt32LE(parts.reduce((sum, part) => sum + part.length, 0));
  return Buffer.concat([length, ...parts]);
}

async function write(bytes) {
  if (!process.stdout.write(bytes)) await once(process.stdout, 'drain');
}

async function main([path, ...options]) {
  const unknown = options.find((option) => option !== '--scalar');
  if (path === undefined || unknown !== undefined) throw new Error('use: modelopt-run MODEL.mopt [--scalar]');
  const module = options.includes('--scalar') ? '../pkg/modelopt.wasm' : '../pkg/modelopt.simd.wasm';
  await init({ wasm: await readFile(new URL(module, import.meta.url)) });
  const model = Model.fromBytes(await readFile(path));
  await write(`${JSON.stringify({ kernels: model.kernels, ramBytes: model.ramBytes, node: process.version })}\n`);
  for await (const body of frames(process.stdin)) await write(answer(model, body));
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  await write(`${JSON.stringify({ error: error.message })}\n`);
  process.exitCode = 3;
}
