/**
 * Runs a model in one runtime, on one thread, for `cargo xtask bench wasm`:
 *
 *     contender.mjs (modelopt|onnxruntime-web|tfjs) MODEL SAMPLES.npy FOLDER
 *
 * FOLDER is where the runtime is installed. The first line on the standard output is JSON: the
 * outputs for all samples. Then every number of runs on the standard input is answered by the
 * shortest and the median time of one in microseconds. A run starts with the sample as an array and
 * ends with the outputs as one.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const count = (shape) => shape.reduce((product, size) => product * size, 1);

/** This project's package, with the module that has SIMD. */
async function modelopt(model, folder) {
  const { Model, init } = await import(pathToFileURL(resolve(folder, 'js/node.js')));
  await init({ wasm: await readFile(resolve(folder, 'pkg/modelopt.simd.wasm')) });
  const loaded = Model.fromBytes(await readFile(model));
  const [input] = loaded.inputs;
  const [output] = loaded.outputs;
  // Preprocessing takes channels last, whatever order the model has.
  const isMoved = input.preprocess.channelsFirst;
  return {
    convert: (sample) => loaded.preprocess(isMoved ? channelsLast(sample, input.shape[1]) : sample),
    run: (sample) => loaded.run(sample)[output.name],
  };
}

/** ONNX Runtime with its WebAssembly provider. */
async function onnxRuntime(model, folder) {
  const ort = createRequire(resolve(folder, 'package.json'))('onnxruntime-web');
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'error';
  const options = { executionProviders: ['wasm'], graphOptimizationLevel: 'all' };
  const session = await ort.InferenceSession.create(await readFile(model), options);
  const [input] = session.inputMetadata;
  const [output] = session.outputNames;
  // Samples are run one at a time, whatever batch the file names.
  const shape = input.shape.map((size) => (typeof size === 'number' ? size : 1));
  return {
    convert: (sample) => sample,
    run: async (sample) => {
      const outputs = await session.run({ [input.name]: new ort.Tensor('float32', sample, shape) });
      return outputs[output].data;
    },
  };
}

/** A layer of the list that `layers.py` writes, in the operators that TensorFlow.js fuses. */
function layer(tf, { kind, padding, strides, window, activation, shape }, inputs, [weights, bias]) {
  const convolution = { x: inputs[0], filter: weights, bias, strides, pad: padding, activation };
  switch (kind) {
    case 'convolution': return tf.fused.conv2d(convolution);
    case 'depthwise': return tf.fused.depthwiseConv2d(convolution);
    case 'dense': return tf.fused.matMul({ a: inputs[0], b: weights, bias, activation });
    case 'add': return activation === 'linear' ? tf.add(...inputs) : tf[activation](tf.add(...inputs));
    case 'average': return tf.avgPool(inputs[0], window, strides, padding);
    case 'mean': return tf.mean(inputs[0], [1, 2]);
    case 'reshape': return tf.reshape(inputs[0], shape);
    case 'softmax': return tf.softmax(inputs[0]);
    default: throw new Error(`there is no layer '${kind}'`);
  }
}

/** TensorFlow.js with its WebAssembly backend. */
async function tensorFlow(model, folder) {
  const require = createRequire(resolve(folder, 'package.json'));
  const tf = require('@tensorflow/tfjs-core');
  const backend = require('@tensorflow/tfjs-backend-wasm');
  backend.setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`);
  backend.setThreadsCount(1);
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  if (!await tf.setBackend('wasm')) throw new Error('TensorFlow.js has no WebAssembly here');
  const network = JSON.parse(await readFile(model));
  const bytes = await readFile(`${model}.bin`);
  const constants = network.constants.map(({ shape, start }) => {
    const copy = Uint8Array.from(bytes.subarray(start, start + 4 * count(shape)));
    return tf.tensor(new Float32Array(copy.buffer), shape);
  });
  const compute = (sample) => {
    const values = [tf.tensor(sample, network.shape)];
    for (const each of network.layers) {
      const inputs = each.inputs.map((index) => values[index]);
      values.push(layer(tf, each, inputs, each.constants.map((index) => constants[index])));
    }
    return values.at(-1).dataSync();
  };
  return {
    convert: (sample) => (network.channelsFirst ? channelsLast(sample, network.shape[3]) : sample),
    run: (sample) => tf.tidy(() => compute(sample)),
  };
}

function channelsLast(sample, channels) {
  const pixels = sample.length / channels;
  return sample.map((_, at) => sample[(at % channels) * pixels + Math.floor(at / channels)]);
}

/** The samples of a `.npy` file of 32-bit floats. */
async function samples(path) {
  const bytes = await readFile(path);
  const start = 10 + bytes.readUInt16LE(8);
  const header = bytes.toString('latin1', 10, start);
  if (!header.includes("'<f4'") || header.includes('True')) throw new Error(`${path}: no rows of 32-bit floats`);
  const [number] = header.match(/\d+(?=[,)])/g).map(Number);
  const values = new Float32Array(Uint8Array.from(bytes.subarray(start)).buffer);
  const size = values.length / number;
  return Array.from({ length: number }, (_, index) => values.slice(index * size, (index + 1) * size));
}

async function times(runner, sample, runs) {
  const microseconds = [];
  for (let run = 0; run < runs; run += 1) {
    const start = process.hrtime.bigint();
    const outputs = runner.run(sample);
    if (outputs instanceof Promise) await outputs;
    microseconds.push(Number(process.hrtime.bigint() - start) / 1000);
  }
  microseconds.sort((a, b) => a - b);
  return [microseconds[0], microseconds[runs >> 1]];
}

async function main([runtime, model, path, folder]) {
  const start = { modelopt, 'onnxruntime-web': onnxRuntime, tfjs: tensorFlow }[runtime];
  const runner = await start(model, folder);
  const inputs = (await samples(path)).map((sample) => runner.convert(sample));
  const outputs = [];
  for (const input of inputs) outputs.push(Array.from(await runner.run(input)));
  console.log(JSON.stringify(outputs));
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await times(runner, inputs[0], Number(line))));
  }
}

await main(process.argv.slice(2));
