"""Writes MobileNetV2 1.0 224 as float ONNX, with weights from a seeded generator.

    mobilenet_v2.py MODEL.onnx

The topology is that of Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks"
(2018), table 2: an input of [1, 3, 224, 224], 1000 classes, 3.5 million parameters, 300 million
multiplications. It is written as training frameworks export it: channels first, batch norms folded
into the convolutions, ReLU6 as Clip. Times depend on shapes alone; the weights are such that
activations keep their size from layer to layer, so that quantized outputs can be compared.
"""

import sys

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

# Expansion factor, output channels, repetitions, stride of the first of them.
STAGES = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]
INPUT_CHANNELS, SIZE = 3, 224
STEM_CHANNELS, HEAD_CHANNELS, CLASSES = 32, 1280, 1000
SEED = 224


class Network:
    """Nodes and constants, appended in the order of the computation."""

    def __init__(self):
        self.generator = np.random.default_rng(SEED)
        self.nodes = []
        self.constants = []
        self.constant("zero", np.float32(0))
        self.constant("six", np.float32(6))

    def constant(self, name, values):
        self.constants.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def node(self, kind, inputs, **attributes):
        output = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def weights(self, shape, gain):
        """Normal, with a variance of `gain` over the number of inputs (He et al., 2015), and
        small biases.

        A rectifier's mean would make the outputs much the same for all pictures: filters that see
        many channels have no gain for it. Those of a single channel have a positive centre, as a
        channel that is never above zero would be removed."""
        name = f"layer_{len(self.nodes)}"
        deviation = np.sqrt(gain / np.prod(shape[1:]))
        weights = self.generator.normal(0, deviation, shape)
        if shape[1] > 1:
            weights -= weights.mean(axis=1, keepdims=True)
        else:
            weights[:, :, 1, 1] = np.abs(weights[:, :, 1, 1])
        biases = self.generator.normal(0, 0.02, shape[0])
        return [self.constant(f"{name}.weight", weights), self.constant(f"{name}.bias", biases)]

    def convolution(self, value, inputs, outputs, kernel, stride=1, groups=1, is_linear=False):
        # A rectifier halves the power of what it passes on.
        shape = (outputs, inputs // groups, kernel, kernel)
        constants = self.weights(shape, 1 if is_linear else 2)
        value = self.node(
            "Conv",
            [value, *constants],
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[kernel // 2] * 4,
            dilations=[1, 1],
            group=groups,
        )
        return value if is_linear else self.node("Clip", [value, "zero", "six"])

    def bottleneck(self, value, inputs, expansion, outputs, stride):
        wide, start = inputs * expansion, value
        if expansion > 1:
            value = self.convolution(value, inputs, wide, 1)
        value = self.convolution(value, wide, wide, 3, stride, groups=wide)
        value = self.convolution(value, wide, outputs, 1, is_linear=True)
        if stride == 1 and inputs == outputs:
            value = self.node("Add", [start, value])
        return value

    def classifier(self, value):
        value = self.node("GlobalAveragePool", [value])
        value = self.node("Flatten", [value], axis=1)
        constants = self.weights((CLASSES, HEAD_CHANNELS), 1)
        return self.node("Gemm", [value, *constants], transB=1)


def mobilenet_v2():
    network = Network()
    value = network.convolution("input", INPUT_CHANNELS, STEM_CHANNELS, 3, stride=2)
    channels = STEM_CHANNELS
    for expansion, outputs, repetitions, stride in STAGES:
        for repetition in range(repetitions):
            first = stride if repetition == 0 else 1
            value = network.bottleneck(value, channels, expansion, outputs, first)
            channels = outputs
    value = network.convolution(value, channels, HEAD_CHANNELS, 1)
    logits = network.classifier(value)
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        network.nodes,
        "mobilenet_v2",
        [tensor("input", TensorProto.FLOAT, [1, INPUT_CHANNELS, SIZE, SIZE])],
        [tensor(logits, TensorProto.FLOAT, [1, CLASSES])],
        network.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    checker.check_model(model)
    return model


save(mobilenet_v2(), sys.argv[1])
