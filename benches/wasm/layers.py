"""Writes an ONNX model as a list of layers for TensorFlow.js, for `cargo xtask bench wasm`.

    layers.py MODEL.onnx LAYERS.json

Activations are fused into the layers before them, and values are in `[N, H, W, C]`, as TensorFlow.js
computes them; `LAYERS.json.bin` has the constants. A model of quantized tensors becomes one of
floats: its weights are the numbers that the integers stand for, and where integers cannot be below
the one for zero, there is a rectifier.
"""

import json
import sys

import numpy as np
from onnx import helper, load, numpy_helper


class Converter:
    """Turns nodes into layers, in their order."""

    def __init__(self, model):
        graph = model.graph
        self.values = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
        names = [one for one in graph.input if one.name not in self.values]
        sizes = [dim.dim_value or 1 for dim in names[0].type.tensor_type.shape.dim]
        self.nodes = list(graph.node)
        # By the name of a value: the index of the layer that makes it, 0 for the input.
        self.places = {names[0].name: 0}
        self.layers, self.constants, self.bytes = [], [], b""
        # Channels come first where nothing moves them before the first convolution.
        self.channels_first = len(sizes) == 4 and self.nodes[0].op_type not in ("Transpose", "Reshape")
        self.shape = [sizes[i] for i in (0, 2, 3, 1)] if self.channels_first else sizes

    def constant(self, values):
        values = np.ascontiguousarray(values, np.float32)
        self.constants.append({"shape": list(values.shape), "start": len(self.bytes)})
        self.bytes += values.tobytes()
        return len(self.constants) - 1

    def append(self, node, kind, constants=(), inputs=None, **attributes):
        inputs = [self.places[name] for name in inputs or node.input[:1]]
        indices = [self.constant(values) for values in constants]
        attributes = {"activation": "linear", **attributes}
        self.layers.append({"kind": kind, "inputs": inputs, "constants": indices, **attributes})
        self.places[node.output[0]] = len(self.layers)

    def pass_on(self, node, activation=None):
        """Gives the output the place of the input, whose layer may get an activation."""
        place = self.places[node.input[0]]
        if activation and activation != self.layers[place - 1]["activation"]:
            self.layers[place - 1]["activation"] = activation
        self.places[node.output[0]] = place

    def convolution(self, node, attributes):
        weights = self.values[node.input[1]]
        bias = self.values[node.input[2]]
        padding = pads(attributes)
        options = {"strides": attributes.get("strides", [1, 1]), "padding": padding}
        depthwise = attributes.get("group", 1) > 1
        order = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
        kind = "depthwise" if depthwise else "convolution"
        self.append(node, kind, [weights.transpose(order), bias], **options)

    def dense(self, node, weights, bias):
        self.append(node, "dense", [weights, bias])

    def add(self, node):
        before, addend = node.input
        if addend not in self.values:
            return self.append(node, "add", inputs=[before, addend])
        # A matrix product's bias.
        layer = self.layers[self.places[before] - 1]
        layer["constants"][1] = self.constant(self.values[addend])
        self.places[node.output[0]] = self.places[before]

    def dequantize(self, node):
        name, scale, zero = node.input
        if name not in self.values:
            return self.pass_on(node)
        axis = next((one.i for one in node.attribute if one.name == "axis"), 1)
        values = self.values[name].astype(np.float32)
        shape = [-1 if i == axis else 1 for i in range(values.ndim)]
        scale, zero = (self.values[one].astype(np.float32) for one in (scale, zero))
        if scale.ndim == 1 and scale.size > 1:
            scale, zero = scale.reshape(shape), zero.reshape(shape)
        self.values[node.output[0]] = (values - zero) * scale

    def quantize(self, node):
        zero = self.values[node.input[2]]
        is_layer = self.places[node.input[0]] > 0
        kind = is_layer and self.layers[self.places[node.input[0]] - 1]["kind"]
        rectifies = zero == np.iinfo(zero.dtype).min and kind in ("convolution", "depthwise", "dense", "add")
        self.pass_on(node, "relu" if rectifies else None)

    def reshape(self, node):
        place = self.places[node.input[0]]
        sizes = [int(size) for size in self.values[node.input[1]]]
        # A single channel moves past the others without moving anything.
        if len(sizes) == 4 and place == 0:
            return self.pass_on(node)
        self.append(node, "reshape", shape=[1, -1])

    def average(self, node, attributes):
        options = {"window": attributes["kernel_shape"], "strides": attributes["strides"]}
        self.append(node, "average", padding=pads(attributes), **options)

    def convert(self, node):
        attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        kind = node.op_type
        if kind == "Conv":
            self.convolution(node, attributes)
        elif kind == "Gemm":
            weights = self.values[node.input[1]]
            transposed = attributes.get("transB", 0)
            self.dense(node, weights.T if transposed else weights, self.values[node.input[2]])
        elif kind == "MatMul":
            weights = self.values[node.input[1]]
            self.dense(node, weights, np.zeros(weights.shape[1]))
        elif kind == "Add":
            self.add(node)
        elif kind == "Relu":
            self.pass_on(node, "relu")
        elif kind == "Clip":
            limits = [float(self.values[name]) for name in node.input[1:3]]
            if limits != [0, 6]:
                sys.exit(f"{node.name}: there is no layer for limits of {limits}")
            self.pass_on(node, "relu6")
        elif kind == "AveragePool":
            self.average(node, attributes)
        elif kind == "GlobalAveragePool":
            self.append(node, "mean")
        elif kind in ("Reshape", "Flatten"):
            self.reshape(node) if kind == "Reshape" else self.append(node, "reshape", shape=[1, -1])
        elif kind == "Softmax":
            self.append(node, "softmax")
        elif kind == "QuantizeLinear":
            self.quantize(node)
        elif kind == "DequantizeLinear":
            self.dequantize(node)
        elif kind in ("Transpose", "Identity"):
            self.pass_on(node)
        else:
            sys.exit(f"{node.name}: there is no layer for {kind}")


def pads(attributes):
    """`same` and `valid` where they say the same; rows and columns before and behind otherwise."""
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    if not any((top, left, bottom, right)):
        return "valid"
    return [[0, 0], [top, bottom], [left, right], [0, 0]]


def write(source, path):
    converter = Converter(load(source))
    for node in converter.nodes:
        converter.convert(node)
    network = {
        "shape": converter.shape,
        "channelsFirst": converter.channels_first,
        "layers": converter.layers,
        "constants": converter.constants,
    }
    with open(path, "w") as file:
        json.dump(network, file)
    with open(f"{path}.bin", "wb") as file:
        file.write(converter.bytes)


write(*sys.argv[1:3])
