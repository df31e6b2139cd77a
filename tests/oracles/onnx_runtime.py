"""Runs an ONNX model in ONNX Runtime, for comparison.

    onnx_runtime.py (plain|optimized) MODEL INPUT OUTPUT   run float samples stored one behind the other
    onnx_runtime.py each (plain|optimized) FOLDER          run NAME.onnx on NAME.in for NAME.out
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime


def main(how, model, source, target):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_DISABLE_ALL if how == "plain" else level.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    port = session.get_inputs()[0]
    shape = [size if isinstance(size, int) else 1 for size in port.shape]
    element = {"tensor(float)": np.float32, "tensor(int8)": np.int8, "tensor(int32)": np.int32}[port.type]
    samples = np.fromfile(source, dtype=np.float32).reshape(-1, *shape).astype(element)
    outputs = [session.run(None, {port.name: sample})[0] for sample in samples]
    np.concatenate([output.ravel() for output in outputs]).astype(np.float32).tofile(target)


def each(how, folder):
    for model in sorted(Path(folder).glob("*.onnx")):
        main(how, str(model), model.with_suffix(".in"), model.with_suffix(".out"))


if __name__ == "__main__":
    each(*sys.argv[2:]) if sys.argv[1] == "each" else main(*sys.argv[1:])
