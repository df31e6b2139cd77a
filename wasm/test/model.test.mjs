/** The package in Node: both modules answer as the host does, and errors have names. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Model, ModeloptError, hasSimd, init } from '../js/node.js';

const file = (name) => readFileSync(new URL(`fixtures/${name}`, import.meta.url));
const cases = (name) => JSON.parse(file(`${name}.json`));
const build = (name) => readFileSync(new URL(`../pkg/${name}`, import.meta.url));

const floats = (inputs) => Object.fromEntries(Object.entries(inputs).map(([name, values]) => [name, Float32Array.from(values)]));

async function load(name, wasm) {
  await init({ wasm: build(wasm) });
  return Model.fromBytes(file(`${name}.mopt`));
}

for (const wasm of ['modelopt.wasm', 'modelopt.simd.wasm']) {
  for (const name of ['int8_high', 'int8_single', 'int8_double', 'digits']) {
    test(`${name} gives the host's bits in ${wasm}`, async () => {
      const model = await load(name, wasm);
      for (const { inputs, stored } of cases(name)) {
        const outputs = model.runQuantized(floats(inputs));
        assert.deepEqual(Object.keys(outputs).sort(), Object.keys(stored).sort());
        for (const [output, values] of Object.entries(stored)) {
          assert.deepEqual(Array.from(outputs[output]), values, output);
        }
      }
      model.dispose();
    });
  }

  test(`float answers are close in ${wasm}`, async () => {
    const model = await load('float', wasm);
    for (const { inputs, stored } of cases('float')) {
      const outputs = model.run(floats(inputs));
      for (const [output, values] of Object.entries(stored)) {
        values.forEach((value, index) => {
          assert.ok(Math.abs(outputs[output][index] - value) <= 1e-4 * Math.max(1, Math.abs(value)), output);
        });
      }
    }
    model.dispose();
  });
}

test('state is kept between runs until it is reset', async () => {
  const model = await load('accumulator', 'modelopt.wasm');
  const [port] = model.inputs;
  const [output] = model.outputs;
  const step = () => Array.from(model.run({ [port.name]: [1, 2] })[output.name]);
  assert.deepEqual(step(), [1, 2]);
  assert.deepEqual(step(), [2, 4]);
  model.reset();
  assert.deepEqual(step(), [1, 2]);
  model.dispose();
});

test('a model says what it is', async () => {
  const model = await load('int8_high', 'modelopt.simd.wasm');
  const [image] = model.inputs;
  assert.equal(image.name, 'image');
  assert.equal(image.preprocess.channelsFirst, true);
  assert.equal(model.manifest.figures.top1, 0.5);
  assert.equal(model.bytes, file('int8_high.mopt').length);
  assert.ok(model.ramBytes > 0 && model.nodes > 5);
  assert.equal(model.kernels, 'simd128');
  assert.ok(hasSimd());
  model.dispose();
});

test('classes are sorted by probability', async () => {
  const model = await load('digits', 'modelopt.simd.wasm');
  const [{ inputs }] = cases('digits');
  const all = model.classify(floats(inputs));
  assert.equal(all.length, 10);
  assert.ok(all.every((entry, index) => index === 0 || all[index - 1].probability >= entry.probability));
  assert.equal(model.classify(floats(inputs), { top: 3 }).length, 3);
  const raw = Uint8Array.from({ length: 64 }, (_, index) => index % 17);
  assert.equal(model.preprocess(raw)[5], Math.fround(5 / 16));
  model.dispose();
});

const fails = (work, code) => assert.throws(work, (error) => {
  assert.ok(error instanceof ModeloptError, String(error));
  assert.equal(error.code, code);
  assert.ok(error.remedy.length > 10 && error.message.endsWith(error.remedy));
  return true;
});

test('files that are no models are refused by name', async () => {
  await init({ wasm: build('modelopt.wasm') });
  const good = file('int8_high.mopt');
  fails(() => Model.fromBytes(Buffer.from('<!doctype html>')), 'not-a-model');
  fails(() => Model.fromBytes(good.subarray(0, 900)), 'truncated');
  const damaged = Uint8Array.from(good);
  damaged[damaged.length - 1] ^= 1;
  fails(() => Model.fromBytes(damaged), 'checksum');
  fails(() => Model.fromBytes(file('unknown_operator.mopt')), 'unknown-operator');
  fails(() => Model.fromBytes(file('bad_operand.mopt')), 'operand');
});

test('damaged files never stop the module', async () => {
  await init({ wasm: build('modelopt.wasm') });
  const good = file('int8_high.mopt');
  for (let length = 0; length < good.length; length += 7) {
    assert.throws(() => Model.fromBytes(good.subarray(0, length)), ModeloptError);
  }
  Model.fromBytes(good).dispose();
});

test('inputs that do not fit are refused by name', async () => {
  const model = await load('digits', 'modelopt.wasm');
  fails(() => model.run(new Float32Array(63)), 'input-size');
  fails(() => model.run({ other: new Float32Array(64) }), 'input-unknown');
  fails(() => model.run({}), 'input-missing');
  fails(() => model.run(new Float64Array(64)), 'input-type');
  model.dispose();
  model.dispose();
  fails(() => model.run(new Float32Array(64)), 'disposed');
});

test('models give their memory back', async () => {
  const model = await load('digits', 'modelopt.wasm');
  model.dispose();
  for (let round = 0; round < 2000; round += 1) Model.fromBytes(file('digits.mopt')).dispose();
});

const tool = (args, input) => spawnSync(process.execPath, [new URL('../bin/modelopt-run.mjs', import.meta.url).pathname, ...args], { input });

test('the stream tool answers frame by frame', () => {
  const [{ inputs }] = cases('accumulator');
  const [values] = Object.values(inputs);
  const sample = Buffer.from(Float32Array.from(values).buffer);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(sample.length);
  const { status, stdout } = tool([new URL('fixtures/accumulator.mopt', import.meta.url).pathname, '--scalar'], Buffer.concat([length, sample, length, sample]));
  assert.equal(status, 0);
  const end = stdout.indexOf(10) + 1;
  assert.equal(JSON.parse(stdout.subarray(0, end)).kernels, 'scalar');
  assert.equal(stdout.readUInt32LE(end), 8);
  const first = new Float32Array(Uint8Array.from(stdout.subarray(end + 4, end + 12)).buffer);
  assert.deepEqual(Array.from(first), Array.from(Float32Array.from(values)));
  assert.equal(stdout.length, end + 24);
});

test('the stream tool tells what is wrong', () => {
  for (const [args, input, words] of [
    [[], '', 'use: modelopt-run'],
    [[new URL('fixtures/bad_operand.mopt', import.meta.url).pathname], '', 'operands of node'],
    [[new URL('fixtures/digits.mopt', import.meta.url).pathname], Buffer.from([3, 0, 0, 0, 1, 2, 3]), '3 bytes'],
  ]) {
    const { status, stdout } = tool(args, input);
    assert.equal(status, 3);
    assert.match(JSON.parse(stdout.toString().trim().split('\n').at(-1)).error, new RegExp(words));
  }
});
