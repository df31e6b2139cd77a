import { ModeloptError } from './errors.js';
import { preprocess } from './preprocess.js';
import { resolve } from './source.js';

/** Requests to a worker, each with a promise. */
class Channel {
  #worker;
  #waiting = new Map();
  #last = 0;

  constructor(worker) {
    this.#worker = worker;
    worker.addEventListener('message', ({ data }) => this.#settle(data));
    worker.addEventListener('error', (event) => this.#failAll(event));
    worker.addEventListener('messageerror', (event) => this.#failAll(event));
  }

  request(method, { model, args = [], onProgress } = {}) {
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolveRequest, reject) => {
      this.#waiting.set(id, { resolve: resolveRequest, reject, onProgress });
      this.#worker.postMessage({ id, method, model, args });
    });
  }

  #settle({ id, result, error, progress }) {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    if (progress) {
      waiting.onProgress?.(progress);
      return;
    }
    this.#waiting.delete(id);
    if (error) waiting.reject(ModeloptError.fromMessage(error));
    else waiting.resolve(result);
  }

  #failAll(event) {
    const error = new ModeloptError('worker', `the worker failed: ${event.message ?? 'a message cannot be read'}`, "Create it as new Worker(url, { type: 'module' }) from the package's file js/worker.js.");
    this.#waiting.forEach(({ reject }) => reject(error));
    this.#waiting.clear();
  }
}

/** A model in a worker: the methods of `Model`, each with a promise. */
class RemoteModel {
  #channel;
  #model;

  constructor(channel, { model, description }) {
    this.#channel = channel;
    this.#model = model;
    Object.assign(this, description);
    Object.freeze(this);
  }

  #request(method, ...args) {
    return this.#channel.request(method, { model: this.#model, args });
  }

  run(inputs) {
    return this.#request('run', inputs);
  }

  runQuantized(inputs) {
    return this.#request('runQuantized', inputs);
  }

  classify(inputs, options) {
    return this.#request('classify', inputs, options);
  }

  async preprocess(raw, { input = this.inputs[0]?.name } = {}) {
    const port = this.inputs.find(({ name }) => name === input);
    if (port) return preprocess(raw, port);
    throw new ModeloptError('input-unknown', `the model has no input '${input}'`, `Its inputs are ${this.inputs.map(({ name }) => `'${name}'`).join(', ')}.`, { tensor: input });
  }

  reset() {
    return this.#request('reset');
  }

  dispose() {
    return this.#request('dispose');
  }
}

/** What can be sent to a worker: addresses as texts, responses as their bytes. */
async function sendable(source) {
  if (source instanceof Response) return source.arrayBuffer();
  if (source instanceof URL || typeof source === 'string') return resolve(source).href;
  return source;
}

/** The package's interface over a worker that runs `js/worker.js`. */
export function connect(worker) {
  const channel = new Channel(worker);
  return {
    async init({ wasm } = {}) {
      const args = [wasm === undefined ? {} : { wasm: await sendable(wasm) }];
      await channel.request('init', { args });
    },
    Model: {
      async load(source, { onProgress, ...options } = {}) {
        const args = [await sendable(source), { ...options, reportsProgress: onProgress !== undefined }];
        return new RemoteModel(channel, await channel.request('load', { args, onProgress }));
      },
    },
  };
}
