import { readDescription } from './description.js';
import { ModeloptError } from './errors.js';
import { preprocess } from './preprocess.js';
import { running, started } from './runtime.js';
import { readSource } from './source.js';

/** What holds elements as they are stored. */
const STORED = {
  f32: Float32Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
};

/** Memory of models that nobody refers to any more. */
const forgotten = new FinalizationRegistry(({ runtime, handle }) => runtime.call('release', handle));

const elementCount = (port) => port.shape.reduce((product, dim) => product * dim, 1);

const deepFreeze = (value) => {
  if (value === null || typeof value !== 'object' || Object.isFrozen(value)) return value;
  Object.values(value).forEach(deepFreeze);
  return Object.freeze(value);
};

function place(runtime, bytes) {
  const handle = runtime.call('reserve', bytes.length);
  if (handle === 0) throw ModeloptError.fromModule(10, `there is no memory for ${bytes.length} bytes`);
  runtime.view(Uint8Array, runtime.call('file_address', handle), bytes.length).set(bytes);
  runtime.check(undefined, 'load', handle);
  return handle;
}

function describe(runtime, handle) {
  runtime.check(undefined, 'describe_model', handle);
  return deepFreeze(readDescription(runtime.text()));
}

/** Shares of 1 for scores; what lies between 0 and 1 already is one. */
function probabilities(scores) {
  if (scores.every((score) => score >= 0 && score <= 1)) return scores;
  const largest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/** A model ready to run. */
export class Model {
  #runtime;
  #handle;
  #description;

  constructor(runtime, handle) {
    this.#runtime = runtime;
    this.#handle = handle;
    this.#description = describe(runtime, handle);
    forgotten.register(this, { runtime, handle }, this);
  }

  static async load(source, options = {}) {
    const [runtime, bytes] = await Promise.all([started(), readSource(source, options)]);
    return new Model(runtime, place(runtime, bytes));
  }

  static fromBytes(bytes) {
    const runtime = running();
    const view = bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : bytes;
    return new Model(runtime, place(runtime, view));
  }

  get inputs() {
    return this.#description.inputs;
  }

  get outputs() {
    return this.#description.outputs;
  }

  get manifest() {
    return this.#description.manifest;
  }

  get kernels() {
    return this.#description.kernels;
  }

  get bytes() {
    return this.#description.bytes;
  }

  get ramBytes() {
    return this.#description.ramBytes;
  }

  get nodes() {
    return this.#description.nodes;
  }

  run(inputs) {
    this.#feed(inputs);
    this.#runtime.check(undefined, 'run', this.#handle);
    return this.#collect(false);
  }

  runQuantized(inputs) {
    this.#feed(inputs);
    this.#runtime.check(undefined, 'run', this.#handle);
    return this.#collect(true);
  }

  classify(inputs, { top = Infinity } = {}) {
    const [port] = this.outputs;
    const classes = port?.shape.at(-1) ?? 0;
    if (classes === 0 || elementCount(port) !== classes) {
      throw new ModeloptError('not-a-classifier', `output '${port?.name}' is not one vector of scores (${port?.shape.join('x')})`, 'Use run() and read the outputs.', { tensor: port?.name });
    }
    const shares = probabilities(Array.from(this.run(inputs)[port.name]));
    return shares
      .map((probability, index) => ({ index, label: port.labels[index] ?? String(index), probability }))
      .sort((a, b) => b.probability - a.probability || a.index - b.index)
      .slice(0, top);
  }

  preprocess(raw, { input = this.inputs[0]?.name } = {}) {
    return preprocess(raw, this.#input(input));
  }

  reset() {
    this.#runtime.check(undefined, 'reset', this.#handle);
  }

  dispose() {
    if (this.#handle === 0) return;
    forgotten.unregister(this);
    this.#runtime.call('release', this.#handle);
    this.#handle = 0;
  }

  #input(name) {
    const port = this.inputs.find((input) => input.name === name);
    if (port) return port;
    const names = this.inputs.map((input) => `'${input.name}'`).join(', ');
    throw new ModeloptError('input-unknown', `the model has no input '${name}'`, `Its inputs are ${names}.`, { tensor: name });
  }

  /** Checks all inputs before the first is handed over. */
  #feed(inputs) {
    const isList = ArrayBuffer.isView(inputs) || Array.isArray(inputs);
    const named = isList && this.inputs.length === 1 ? { [this.inputs[0].name]: inputs } : inputs;
    if (named === null || typeof named !== 'object' || ArrayBuffer.isView(named) || Array.isArray(named)) {
      throw new ModeloptError('input-type', 'inputs are given by name', `Pass { ${this.inputs.map(({ name }) => `'${name}': …`).join(', ')} }.`);
    }
    Object.keys(named).forEach((name) => this.#input(name));
    const elements = this.inputs.map((port) => this.#elements(port, named[port.name]));
    elements.forEach(({ values, isStored }, index) => {
      const address = this.#runtime.call('exchange_address', this.#handle);
      if (address === 0) throw ModeloptError.fromModule(100, 'the model has been disposed of');
      this.#runtime.view(values.constructor, address, values.length).set(values);
      this.#runtime.check(this.inputs[index].name, 'set_input', this.#handle, index, Number(isStored));
    });
  }

  /** The values of an input as numbers, or as they are stored. */
  #elements(port, given) {
    const details = { tensor: port.name };
    if (given === undefined) {
      throw new ModeloptError('input-missing', `input '${port.name}' is missing`, 'Pass it by its name.', details);
    }
    const Stored = STORED[port.dtype];
    const takesNumbers = port.dtype === 'f32' || port.scale !== undefined;
    let values = given;
    if (Array.isArray(given)) {
      values = takesNumbers ? Float32Array.from(given) : Stored.from(given);
    }
    const isStored = values.constructor === Stored && port.dtype !== 'f32';
    if (!isStored && !(takesNumbers && values instanceof Float32Array)) {
      const types = takesNumbers && Stored !== Float32Array ? `Float32Array or ${Stored.name}` : Stored.name;
      throw new ModeloptError('input-type', `input '${port.name}' (${port.dtype}) takes ${types}, not ${values.constructor?.name}`, 'Convert raw data with model.preprocess() first.', details);
    }
    const count = elementCount(port);
    if (values.length !== count) {
      throw new ModeloptError('input-size', `input '${port.name}' takes ${count} elements (${port.shape.join('x')}), but ${values.length} were given`, 'Pass all elements of one sample.', details);
    }
    return { values, isStored };
  }

  #collect(stored) {
    return Object.fromEntries(this.outputs.map((port, index) => {
      this.#runtime.check(port.name, 'get_output', this.#handle, index, Number(stored));
      const address = this.#runtime.call('exchange_address', this.#handle);
      const ArrayType = stored ? STORED[port.dtype] : Float32Array;
      return [port.name, this.#runtime.view(ArrayType, address, elementCount(port)).slice()];
    }));
  }
}
