/** The kernels of the SIMD module against the plain ones, on random shapes and extreme values. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const CASES = 5000;

test('vector kernels give the plain ones’ bits', async () => {
  const bytes = readFileSync(new URL('fixtures/self_test.wasm', import.meta.url));
  const { instance } = await WebAssembly.instantiate(bytes, {});
  const { check_random_case: check, has_simd128: hasSimd, memory, message_address: address, message_bytes: length } = instance.exports;
  assert.equal(hasSimd(), 1);
  for (let seed = 0; seed < CASES; seed += 1) {
    try {
      check(seed);
    } catch {
      const message = new TextDecoder().decode(new Uint8Array(memory.buffer, address(), length()));
      assert.fail(`case ${seed}: ${message}`);
    }
  }
});
