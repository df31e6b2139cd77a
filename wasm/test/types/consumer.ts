import { Model, ModeloptError, connect, hasSimd, init, type Classification, type Port } from '../../js/index.js';

export async function first(url: URL, pixels: Float32Array): Promise<string> {
  if (!hasSimd()) await init({ wasm: new URL('modelopt.wasm', url) });
  const model = await Model.load(url, { onProgress: ({ loaded, total }) => console.log(loaded / total) });
  const ports: readonly Port[] = model.inputs;
  const scores: Float32Array | undefined = model.run({ [ports[0]!.name]: pixels })['scores'];
  const classes: Classification[] = model.classify(pixels, { top: 3 });
  model.dispose();
  return `${classes[0]?.label} ${scores?.length}`;
}

export async function elsewhere(worker: Worker, bytes: ArrayBuffer): Promise<number> {
  const { Model: Remote } = connect(worker);
  try {
    const model = await Remote.load(bytes);
    const results = await model.run(new Float32Array(4));
    await model.dispose();
    return Object.keys(results).length;
  } catch (error) {
    if (error instanceof ModeloptError) return error.code.length;
    throw error;
  }
}

// @ts-expect-error a model cannot be made without its file
new Model();
