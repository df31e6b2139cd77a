"""Runs models in other runtimes, on one thread, for `cargo xtask bench host`.

    rivals.py inputs SHARED FOLDER             write the samples that all contenders get
    rivals.py quantize ONNX NPY ONNX           quantize a float model as ONNX Runtime computes it
                                               fastest: unsigned inputs, one scale for all weights
    rivals.py (litert|onnxruntime) MODEL NPY   print the outputs for them as JSON; then, for every
                                               number of runs on the standard input, the shortest
                                               and the median time of one in microseconds
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

SAMPLES = 8


class Lite:
    """LiteRT with its default kernels."""

    def __init__(self, model):
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(model_path=model, num_threads=1)
        details = self.interpreter.get_input_details()[0]
        # Samples are run one at a time, whatever batch the file names.
        self.shape = [1, *details["shape"][1:]]
        self.interpreter.resize_tensor_input(details["index"], self.shape)
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]
        self.output = self.interpreter.get_output_details()[0]

    def convert(self, sample):
        sample = sample.reshape(self.shape)
        if self.input["dtype"] != np.int8:
            return sample
        scale, zero_point = self.input["quantization"]
        return np.clip(np.round(sample / scale) + zero_point, -128, 127).astype(np.int8)

    def run(self, sample):
        self.interpreter.set_tensor(self.input["index"], sample)
        self.interpreter.invoke()
        return self.interpreter.get_tensor(self.output["index"])

    def real(self, output):
        if self.output["dtype"] != np.int8:
            return output
        scale, zero_point = self.output["quantization"]
        return (output.astype(np.float32) - zero_point) * scale


class Onnx:
    """ONNX Runtime with all of its optimizations."""

    def __init__(self, model):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(model, options, providers)
        self.input = self.session.get_inputs()[0]

    def signature(self):
        """The input's name and shape, for one sample."""
        shape = [size if isinstance(size, int) else 1 for size in self.input.shape]
        return self.input.name, shape

    def convert(self, sample):
        return sample.reshape(self.signature()[1])

    def run(self, sample):
        return self.session.run(None, {self.input.name: sample})[0]

    def real(self, output):
        return output


def write(folder, name, samples, raw=None):
    np.save(folder / f"{name}_real.npy", samples.astype(np.float32))
    np.save(folder / f"{name}_raw.npy", (samples if raw is None else raw).astype(np.float32))


def inputs(shared, folder):
    """Samples as models take them (`real`), and as preprocessing finds them (`raw`)."""
    data = shared / "data"
    write(folder, "kws", np.load(data / "kws/test_inputs_f32.npy")[:SAMPLES])
    specs = np.load(data / "streaming_wakeword/calibration_samples.npz")["specs"]
    write(folder, "ww", specs[:SAMPLES])
    frames = np.fromfile(data / "anomaly/normal_id_01_f32_le.bin", dtype="<f4").reshape(-1, 128)
    write(folder, "ad", np.stack([frames[i : i + 5].ravel() for i in range(SAMPLES)]))
    generator = np.random.default_rng(1)

    def pictures(size):
        """Colours that change slowly from corner to corner."""
        at = np.linspace(0, 1, size)
        across, down = np.meshgrid(at, at)
        corners = generator.uniform(40, 220, (SAMPLES, 4, 1, 1, 3))
        parts = [(1 - across) * (1 - down), across * (1 - down), (1 - across) * down, across * down]
        return sum(corners[:, i] * part[..., None] for i, part in enumerate(parts)).round()

    write(folder, "ic", pictures(32))
    pixels = pictures(96)
    write(folder, "vww", pixels / 255, pixels)
    # Channels first, and about as large as its weights expect.
    large, calibration = ((pictures(224) - 128).transpose(0, 3, 1, 2) / 64 for _ in range(2))
    write(folder, "mnv2", large)
    write(folder, "mnv2_calibration", calibration)


def quantize(model, path, quantized):
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    name, shape = Onnx(model).signature()

    class Samples(CalibrationDataReader):
        def __init__(self):
            self.left = iter(np.load(path))

        def get_next(self):
            sample = next(self.left, None)
            return None if sample is None else {name: sample.reshape(shape)}

    types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    quantize_static(model, quantized, Samples(), **types)


def serve(kind, model, path):
    runner = {"litert": Lite, "onnxruntime": Onnx}[kind](model)
    samples = [runner.convert(sample) for sample in np.load(path)]
    outputs = [runner.real(runner.run(sample)).ravel().tolist() for sample in samples]
    print(json.dumps(outputs), flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter_ns()
            runner.run(samples[0])
            times.append((time.perf_counter_ns() - start) / 1000)
        print(json.dumps([min(times), sorted(times)[len(times) // 2]]), flush=True)


if sys.argv[1] == "inputs":
    inputs(Path(sys.argv[2]), Path(sys.argv[3]))
elif sys.argv[1] == "quantize":
    quantize(*sys.argv[2:5])
else:
    serve(*sys.argv[1:4])
