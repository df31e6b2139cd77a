"""Writes small TensorFlow Lite models of unsigned bytes, as converters of old wrote them: activations and
weights with any zero point. What they give is LiteRT's: TensorFlow Lite Micro takes them no longer.

    tflite_uint8.py operators FOLDER   models with inputs and outputs
"""

import sys
from pathlib import Path

import numpy as np
from tflite import Lite
from tflite_graph import RANDOM, Graph, scale


def zero():
    return int(RANDOM.integers(90, 160))


def bytes_of(shape):
    return RANDOM.integers(0, 256, shape).astype(np.uint8)


def tensor(graph, shape, factor=1.0, data=None, **fixed):
    affine = fixed or {"scale": scale() * factor, "zero": zero()}
    return graph.tensor(shape, "UINT8", data=data, **affine)


def biases(graph, count, unit):
    values = RANDOM.integers(-3000, 3000, count).astype(np.int32)
    return graph.tensor([count], "INT32", scale=unit, data=values)


def layer(graph, inputs, weights, count):
    """Input, weights and biases, whose scale is the product of theirs."""
    a, b = scale(), scale()
    x = graph.tensor(inputs, "UINT8", scale=a, zero=zero())
    w = graph.tensor(weights, "UINT8", scale=b, zero=zero(), data=bytes_of(weights))
    return x, w, biases(graph, count, np.float32(a) * np.float32(b))


def convolution(depthwise, padding, activation, stride=1):
    graph, outputs, size = Graph(), 8, 3
    shape = [1, size, size, outputs] if depthwise else [outputs, size, size, 4]
    x, w, b = layer(graph, [1, 7, 6, 4], shape, outputs)
    dims = [-(-(n - (0 if padding == 0 else size - 1)) // stride) for n in (7, 6)]
    y = tensor(graph, [1, *dims, outputs], 30)
    fields = dict(padding=padding, strideH=stride, strideW=stride, fusedActivationFunction=activation)
    if depthwise:
        fields["depthMultiplier"] = 2
    name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    options = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
    return graph.finish(name, [x, w, b], y, [x], options, **fields)


def fully_connected(activation):
    graph = Graph()
    x, w, b = layer(graph, [6, 20], [5, 20], 5)
    y = tensor(graph, [6, 5], 20)
    return graph.finish(
        "FULLY_CONNECTED", [x, w, b], y, [x], "FullyConnectedOptions", fusedActivationFunction=activation
    )


def pool(name, padding, activation, size=3):
    graph, q = Graph(), {"scale": scale(), "zero": zero()}
    dims = [-(-n // 2) if padding == 0 else (n - size) // 2 + 1 for n in (7, 6)]
    shape = [1, *dims, 5]
    x, y = tensor(graph, [1, 7, 6, 5], **q), tensor(graph, shape, **q)
    fields = dict(padding=padding, strideH=2, strideW=2, filterHeight=size, filterWidth=size)
    return graph.finish(name, [x], y, [x], "Pool2DOptions", fusedActivationFunction=activation, **fields)


def mean(axes, alike):
    graph, shape = Graph(), [1, 5, 6, 7]
    q = {"scale": scale(), "zero": zero()}
    x = tensor(graph, shape, **q)
    other = q if alike else {"scale": q["scale"] * 0.7, "zero": zero()}
    y = tensor(graph, [1 if axis in axes else n for axis, n in enumerate(shape)], **other)
    return graph.finish("MEAN", [x, graph.numbers(axes)], y, [x], "ReducerOptions", keepDims=True)


def binary(name, activation):
    graph = Graph()
    a, b, y = tensor(graph, [1, 6, 8]), tensor(graph, [1, 6, 8], data=bytes_of([1, 6, 8])), tensor(graph, [1, 6, 8])
    options = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions"}[name]
    return graph.finish(name, [a, b], y, [a], options, fusedActivationFunction=activation)


def unary(name, options=None, **output):
    graph = Graph()
    x, y = tensor(graph, [16, 16]), tensor(graph, [16, 16], **output)
    fields = {"beta": 1.0} if name == "SOFTMAX" else {}
    return graph.finish(name, [x], y, [x], options, **fields)


def concatenation():
    graph, q = Graph(), {"scale": scale(), "zero": zero()}
    a, b = tensor(graph, [2, 3, 4], **q), tensor(graph, [2, 5, 4], data=bytes_of([2, 5, 4]), **q)
    y = tensor(graph, [2, 8, 4], **q)
    return graph.finish("CONCATENATION", [a, b], y, [a], "ConcatenationOptions", axis=1)


def cases():
    for activation in (0, 1, 3):
        for padding in (0, 1):
            yield f"conv_{padding}_{activation}", convolution(False, padding, activation)
            yield f"depthwise_{padding}_{activation}", convolution(True, padding, activation)
            yield f"average_{padding}_{activation}", pool("AVERAGE_POOL_2D", padding, activation)
            yield f"max_{padding}_{activation}", pool("MAX_POOL_2D", padding, activation)
        yield f"fully_connected_{activation}", fully_connected(activation)
        for name in ("ADD", "SUB", "MUL"):
            yield f"{name.lower()}_{activation}", binary(name, activation)
    for size in (2, 4):
        yield f"average_even_{size}", pool("AVERAGE_POOL_2D", 1, 0, size)
    for index, axes in enumerate(([1, 2], [3], [2])):
        yield f"mean_other_{index}", mean(axes, False)
        yield f"mean_alike_{index}", mean(axes, True)
    yield "conv_stride", convolution(False, 0, 0, 2)
    yield "depthwise_stride", convolution(True, 0, 0, 2)
    yield "concatenation", concatenation()
    yield "softmax", unary("SOFTMAX", "SoftmaxOptions", scale=1 / 256, zero=0)
    yield "logistic", unary("LOGISTIC", scale=1 / 256, zero=0)
    yield "tanh", unary("TANH", scale=1 / 128, zero=128)


def operators(folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in cases():
        try:
            runner = Lite(model)
            shape = [int(size) for size in runner.input["shape"]]
            samples = [bytes_of(shape) for _ in range(6)]
            samples += [np.full(shape, extreme, dtype=np.uint8) for extreme in (0, 255)]
            samples.append(RANDOM.choice(np.array([0, 255], dtype=np.uint8), shape))
            outputs = [np.array(runner.run(sample)).copy() for sample in samples]
        except (RuntimeError, ValueError) as error:
            print(f"{name}: LiteRT refuses it: {error}")
            continue
        (folder / f"{name}.tflite").write_bytes(model)
        # The runtime holds unsigned bytes as signed ones, 128 lower.
        (np.stack(samples) ^ 0x80).tofile(folder / f"{name}.in")
        (np.stack(outputs) ^ 0x80).tofile(folder / f"{name}.out")


if __name__ == "__main__":
    {"operators": operators}[sys.argv[1]](*sys.argv[2:])
