/** Reads what `src/describe.rs` writes, in the same order. */
class Reader {
  #view;
  #at = 0;
  #decoder = new TextDecoder();

  constructor(bytes) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #advance(bytes) {
    const at = this.#at;
    this.#at += bytes;
    return at;
  }

  count() {
    return this.#view.getUint32(this.#advance(4), true);
  }

  signed() {
    return this.#view.getInt32(this.#advance(4), true);
  }

  float() {
    return this.#view.getFloat32(this.#advance(4), true);
  }

  blob() {
    const length = this.count();
    const start = this.#view.byteOffset + this.#advance(length);
    return new Uint8Array(this.#view.buffer.slice(start, start + length));
  }

  text() {
    return this.#decoder.decode(this.blob());
  }

  list(item) {
    return Array.from({ length: this.count() }, () => item.call(this));
  }
}

const hexadecimal = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

function readPort(reader) {
  const name = reader.text();
  const shape = reader.list(reader.count);
  const dtype = reader.text();
  const [scale, zeroPoint] = [reader.float(), reader.signed()];
  const preprocess = {
    scale: reader.float(),
    mean: reader.list(reader.float),
    std: reader.list(reader.float),
    channelsFirst: reader.count() !== 0,
  };
  const labels = reader.list(reader.text);
  const isQuantized = scale > 0;
  return {
    name,
    shape,
    dtype,
    scale: isQuantized ? scale : undefined,
    zeroPoint: isQuantized ? zeroPoint : undefined,
    labels,
    preprocess,
  };
}

function readManifest(reader) {
  return {
    tool: reader.text(),
    sourceHash: hexadecimal(reader.blob()),
    dataHash: hexadecimal(reader.blob()),
    recipe: reader.text(),
    figures: Object.fromEntries(reader.list(() => [reader.text(), reader.float()])),
  };
}

/** The description of a model from its bytes. */
export function readDescription(bytes) {
  const reader = new Reader(bytes);
  const kernels = reader.text();
  const [fileBytes, ramBytes, nodes] = [reader.count(), reader.count(), reader.count()];
  const inputs = reader.list(() => readPort(reader));
  const outputs = reader.list(() => readPort(reader));
  return { kernels, bytes: fileBytes, ramBytes, nodes, inputs, outputs, manifest: readManifest(reader) };
}
