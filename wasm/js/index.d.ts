/** Bytes in memory. */
export type Bytes = ArrayBuffer | ArrayBufferView;

/** Elements as a tensor stores them; which type it is follows from {@link Port.dtype}. */
export type StoredElements =
  | Float32Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array;

/**
 * Elements of one input, in the caller's layout ({@link Port.shape}, row-major).
 *
 * A `Float32Array` or an array of numbers holds real numbers: they are quantized inside, by the
 * rule that is in the file. The array type of the input's {@link Port.dtype} (such as
 * `Int8Array`) holds elements that are quantized already.
 */
export type Elements = StoredElements | readonly number[];

/** All inputs by name, or the elements of the only one. */
export type Inputs = Readonly<Record<string, Elements>> | Elements;

/** What is done to raw data before it becomes an input: `(value * scale - mean[c]) / std[c]`. */
export interface Preprocess {
  /** Factor applied first. */
  readonly scale: number;
  /** Subtracted per channel; one value serves all channels; empty means 0. */
  readonly mean: readonly number[];
  /** Divisor per channel; one value serves all channels; empty means 1. */
  readonly std: readonly number[];
  /** Whether channels come first in what the model takes. */
  readonly channelsFirst: boolean;
}

/** An input or an output as the caller sees it. */
export interface Port {
  /** The name in the source model. */
  readonly name: string;
  /** Dimensions of what is passed, outermost first; the batch is 1. */
  readonly shape: readonly number[];
  /** The element type inside the model. */
  readonly dtype: 'f32' | 'int8' | 'int16' | 'int32' | 'int64' | 'uint8' | 'uint16' | 'uint32' | 'uint64' | 'bool';
  /** `real = scale * (integer - zeroPoint)`; undefined where the port is not quantized. */
  readonly scale: number | undefined;
  /** The integer that stands for 0; undefined where the port is not quantized. */
  readonly zeroPoint: number | undefined;
  /** The names of the classes, where the port is a vector of scores; otherwise empty. */
  readonly labels: readonly string[];
  /** What {@link Model.preprocess} does. */
  readonly preprocess: Preprocess;
}

/** Where a model came from and how it was made. */
export interface Manifest {
  /** Name and version of the program that wrote the file. */
  readonly tool: string;
  /** SHA-256 of the source model in hexadecimal, empty when unknown. */
  readonly sourceHash: string;
  /** SHA-256 of the calibration data in hexadecimal, empty when there was none. */
  readonly dataHash: string;
  /** The options that made the model. */
  readonly recipe: string;
  /** The evaluator's figures by name, such as `top1`. */
  readonly figures: Readonly<Record<string, number>>;
}

/** One class of {@link Model.classify}. */
export interface Classification {
  /** Position in the output. */
  index: number;
  /** The class's name, or its index as text where the model has no labels. */
  label: string;
  /** 0 to 1. */
  probability: number;
}

/** What {@link Model.preprocess} takes: values, or an image as a canvas gives it. */
export type RawData = ArrayLike<number> | { data: ArrayLike<number>; width: number; height: number };

/** How much of a model has arrived. */
export interface Progress {
  /** Bytes so far. */
  loaded: number;
  /** Bytes in all; as far as known, the same as `loaded`. */
  total: number;
}

/** Options of {@link Model.load}. */
export interface LoadOptions {
  /** Called as bytes arrive. */
  onProgress?: (progress: Progress) => void;
  /** The hash of the file as in HTML: `sha256-` and base64. A file without it is refused. */
  integrity?: string;
  /**
   * Keep the file in the browser's Cache API. With `integrity`, a stored file is used without
   * asking the server; without, the server is asked and the stored file serves when it is out of
   * reach. Needs a URL and a secure context.
   */
  cache?: boolean;
}

/** Options of {@link init}. */
export interface InitOptions {
  /**
   * The WebAssembly module, where it is not beside the package: `pkg/modelopt.simd.wasm` or, for
   * engines without 128-bit SIMD, `pkg/modelopt.wasm`.
   */
  wasm?: Bytes | URL | string | Response | WebAssembly.Module;
}

/** What a model is, whether it runs here or in a worker. */
export interface ModelDescription {
  /** The inputs, in order. */
  readonly inputs: readonly Port[];
  /** The outputs, in order. */
  readonly outputs: readonly Port[];
  /** Where the model came from. */
  readonly manifest: Manifest;
  /** The set of kernels that runs it, such as `simd128` or `scalar`. */
  readonly kernels: string;
  /** Bytes of the file. */
  readonly bytes: number;
  /** Bytes of working memory, packed weights included. */
  readonly ramBytes: number;
  /** The number of nodes in the plan. */
  readonly nodes: number;
}

/** A model ready to run. Its methods throw {@link ModeloptError}. */
export class Model implements ModelDescription {
  private constructor();

  /** Loads a model from bytes, an address or a response. Starts the module if need be. */
  static load(source: Bytes | URL | string | Response, options?: LoadOptions): Promise<Model>;

  /** Loads a model from bytes at once. {@link init} must have finished. */
  static fromBytes(bytes: Bytes): Model;

  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly manifest: Manifest;
  readonly kernels: string;
  readonly bytes: number;
  readonly ramBytes: number;
  readonly nodes: number;

  /** Runs the model once; outputs are real numbers in the caller's layout. */
  run(inputs: Inputs): Record<string, Float32Array>;

  /** Runs the model once; outputs are as the model stores them, in the caller's layout. */
  runQuantized(inputs: Inputs): Record<string, StoredElements>;

  /**
   * Runs the model and sorts the classes of its first output, the likeliest first. Scores that
   * all lie between 0 and 1 are probabilities already; others go through a softmax.
   */
  classify(inputs: Inputs, options?: { top?: number }): Classification[];

  /**
   * Prepares raw data (height, width, channel) for an input, the first one by default. An image
   * from a canvas loses its alpha channel, and becomes grey where the input has one channel. It
   * must have the input's size.
   */
  preprocess(raw: RawData, options?: { input?: string }): Float32Array;

  /** Forgets the state that is kept between runs. */
  reset(): void;

  /** Gives the model's memory back. Disposing twice does nothing. */
  dispose(): void;
}

/** A model in a worker: as {@link Model}, with promises. */
export interface RemoteModel extends ModelDescription {
  run(inputs: Inputs): Promise<Record<string, Float32Array>>;
  runQuantized(inputs: Inputs): Promise<Record<string, StoredElements>>;
  classify(inputs: Inputs, options?: { top?: number }): Promise<Classification[]>;
  preprocess(raw: RawData, options?: { input?: string }): Promise<Float32Array>;
  reset(): Promise<void>;
  dispose(): Promise<void>;
}

/** The package's interface over a worker. */
export interface Remote {
  init(options?: InitOptions): Promise<void>;
  readonly Model: {
    load(source: Bytes | URL | string | Response, options?: LoadOptions): Promise<RemoteModel>;
  };
}

/** Everything that this package throws on purpose. */
export class ModeloptError extends Error {
  private constructor();
  /** A stable name of the problem, such as `checksum` or `input-size`. */
  readonly code: string;
  /** What helps. The message ends with it. */
  readonly remedy: string;
  /** The operator that the error means, where it means one. */
  readonly operator: string | undefined;
  /** The input or output that the error means, where it means one. */
  readonly tensor: string | undefined;
}

/**
 * Starts the WebAssembly module. Loading a model does it too; call this to say where the module
 * is, or to have it ready earlier. Models loaded later use the module given last.
 */
export function init(options?: InitOptions): Promise<void>;

/** Whether this engine has 128-bit SIMD, and so which of the two modules is the default. */
export function hasSimd(): boolean;

/**
 * Runs models in a worker of the package's file `worker.js`:
 * `connect(new Worker(new URL('modelopt/worker', import.meta.url), { type: 'module' }))`.
 */
export function connect(worker: Worker): Remote;
