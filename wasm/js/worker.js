/**
 * Runs models in a Web Worker: `new Worker(new URL('modelopt/worker', …), { type: 'module' })`,
 * then `connect(worker)` from the package.
 *
 * A request is `{ id, method, model?, args }`; its answer `{ id, result }` or `{ id, error }`,
 * after any number of `{ id, progress }`.
 */
import { ModeloptError } from './errors.js';
import { Model } from './model.js';
import { init } from './runtime.js';

const models = new Map();
let lastModel = 0;

async function load(id, source, { reportsProgress, ...options }) {
  const onProgress = reportsProgress ? (progress) => postMessage({ id, progress }) : undefined;
  const model = await Model.load(source, { ...options, onProgress });
  lastModel += 1;
  models.set(lastModel, model);
  const { inputs, outputs, manifest, kernels, bytes, ramBytes, nodes } = model;
  return { model: lastModel, description: { inputs, outputs, manifest, kernels, bytes, ramBytes, nodes } };
}

async function answer({ id, method, model, args }) {
  if (method === 'init') return init(...args);
  if (method === 'load') return load(id, ...args);
  const loaded = models.get(model);
  if (!loaded) throw new ModeloptError('disposed', 'the model has been disposed of', 'Load it again.');
  if (method === 'dispose') models.delete(model);
  return loaded[method](...args);
}

/** The memory of arrays in a result, to be moved instead of copied. */
function buffers(result) {
  const values = result !== null && typeof result === 'object' ? [result, ...Object.values(result)] : [];
  return values.filter(ArrayBuffer.isView).map((array) => array.buffer);
}

self.addEventListener('message', async ({ data: request }) => {
  const { id } = request;
  try {
    const result = await answer(request);
    postMessage({ id, result }, { transfer: buffers(result) });
  } catch (error) {
    const known = error instanceof ModeloptError
      ? error
      : new ModeloptError('internal', String(error?.message ?? error), 'Please report this.');
    postMessage({ id, error: known.toMessage() });
  }
});
