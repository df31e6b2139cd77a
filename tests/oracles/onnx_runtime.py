"""Runs an ONNX model in ONNX Runtime, for comparison.

    onnx_runtime.py (plain|optimized) MODEL INPUT OUTPUT   run float samples stored one behind the other
    onnx_runtime.py each (plain|optimized) FOLDER          run NAME.onnx on NAME.in for NAME.out
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

# Operators that multiply integers, and the places of the first operand's zero point, the second operand, and its
# zero point among their inputs.
MULTIPLYING, PLACES = ("QLinearConv", "QLinearMatMul", "QGemm"), (2, 3, 5)


class Exact:
    """A model that never multiplies unsigned bytes by signed ones: numbers that are 128 higher stand for the latter.

    On x86-64 without VNNI ONNX Runtime adds pairs of such products up in 16 bits, which saturate.
    """

    def __init__(self, path):
        self.model = onnx.load(path)
        self.graph = self.model.graph
        self.constants = {constant.name: constant for constant in self.graph.initializer}
        if not any(node.op_type in MULTIPLYING for node in self.graph.node):
            self.raise_all()
        for node in self.graph.node:
            if node.op_type in MULTIPLYING and self.types(node, PLACES) == ["UINT8", "INT8", "INT8"]:
                self.raise_inputs(node, PLACES[1:])

    def types(self, node, places):
        """The types of a node's constants, None for what is none."""
        names = [node.input[at] if at < len(node.input) else None for at in places]
        known = [self.constants[name].data_type if name in self.constants else None for name in names]
        return [kind and onnx.TensorProto.DataType.Name(kind) for kind in known]

    def raise_inputs(self, node, places):
        for at in places:
            if self.types(node, [at]) != ["INT8"]:
                continue
            name = f"{node.input[at]}_unsigned"
            if name not in self.constants:
                higher = numpy_helper.to_array(self.constants[node.input[at]]).astype(np.int16) + 128
                self.constants[name] = numpy_helper.from_array(higher.astype(np.uint8), name)
                self.graph.initializer.append(self.constants[name])
            node.input[at] = name

    def raise_all(self):
        """All integers of a QDQ file, of which optimizations make products of both kinds."""
        ports = [*self.graph.input, *self.graph.output]
        if any(port.type.tensor_type.elem_type == onnx.TensorProto.INT8 for port in ports):
            return
        for node in self.graph.node:
            if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                self.raise_inputs(node, (0, 2))
        del self.graph.value_info[:]


def main(how, model, source, target):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_DISABLE_ALL if how == "plain" else level.ORT_ENABLE_ALL
    exact = Exact(model).model.SerializeToString()
    session = onnxruntime.InferenceSession(exact, options, providers=["CPUExecutionProvider"])
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
