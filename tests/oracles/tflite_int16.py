"""Writes small TensorFlow Lite models with int16 activations, and what TensorFlow Lite Micro makes of them.

    tflite_int16.py operators FOLDER   models with inputs and outputs
"""

import sys
from pathlib import Path

import numpy as np
from tflite import Micro
from tflite_graph import RANDOM, Graph, scale, weights


def wide(graph, shape, factor=1.0, data=None):
    """A tensor of int16 around zero."""
    return graph.tensor(shape, "INT16", scale=scale() / 256 * factor, data=data)


def int16(shape):
    return RANDOM.integers(-32768, 32768, shape).astype(np.int16)


def biases(graph, count, scales, kind):
    values = RANDOM.integers(-(2**24), 2**24, count)
    if kind == "INT64":
        # Beyond what 32 bits hold.
        values[0] = 3 * 2**31
    array = values.astype(np.int64 if kind == "INT64" else np.int32)
    return graph.tensor([count], kind, scale=scales, data=array)


def convolution(depthwise, padding, activation, kind="INT64", size=3, stride=1, dilation=1, inputs=4):
    graph, outputs = Graph(), 8
    x = wide(graph, [1, 7, 6, inputs])
    scales = [scale() for _ in range(outputs)]
    shape = [1, size, size, outputs] if depthwise else [outputs, size, size, inputs]
    w = graph.tensor(shape, scale=scales, data=weights(shape), axis=3 if depthwise else 0)
    operands = [x, w]
    if kind:
        operands.append(biases(graph, outputs, scales, kind))
    reach = (size - 1) * dilation
    dims = [-(-(n - (0 if padding == 0 else reach)) // stride) for n in (7, 6)]
    y = wide(graph, [1, *dims, outputs], 30)
    fields = dict(padding=padding, strideH=stride, strideW=stride, fusedActivationFunction=activation)
    fields.update(dilationHFactor=dilation, dilationWFactor=dilation)
    if depthwise:
        fields["depthMultiplier"] = 2
    name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    options = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
    return graph.finish(name, operands, y, [x], options, **fields)


def fully_connected(activation, kind="INT64", inputs=20, channels=False):
    graph, s = Graph(), scale() / 256
    x = graph.tensor([2, 3, inputs], "INT16", scale=s)
    scales = np.array([scale() for _ in range(5 if channels else 1)], dtype=np.float32)
    w = graph.tensor([5, inputs], scale=scales, data=weights([5, inputs]))
    operands = [x, w]
    if kind:
        operands.append(biases(graph, 5, np.float32(s) * scales, kind))
    y = wide(graph, [2, 3, 5], 20)
    fields = dict(fusedActivationFunction=activation, keepNumDims=True)
    return graph.finish("FULLY_CONNECTED", operands, y, [x], "FullyConnectedOptions", **fields)


def transpose_conv(padding, size, stride):
    graph, outputs = Graph(), 4
    x = wide(graph, [1, 3, 4, 5])
    shape = [outputs, size, size, 5]
    scales = [scale() for _ in range(outputs)]
    w = graph.tensor(shape, scale=scales, data=weights(shape), axis=0)
    b = biases(graph, outputs, scales, "INT64")
    dims = [n * stride if padding == 0 else (n - 1) * stride + max(size, stride) for n in (3, 4)]
    y = wide(graph, [1, *dims, outputs], 20)
    shape = graph.numbers([1, *dims, outputs])
    fields = dict(padding=padding, strideH=stride, strideW=stride)
    return graph.finish("TRANSPOSE_CONV", [shape, w, x, b], y, [x], "TransposeConvOptions", **fields)


def pool(name, padding, activation):
    graph, s = Graph(), scale() / 256
    shape = [1, 4, 3, 5] if padding == 0 else [1, 3, 2, 5]
    x, y = (graph.tensor(dims, "INT16", scale=s) for dims in ([1, 7, 6, 5], shape))
    fields = dict(padding=padding, strideH=2, strideW=2, filterHeight=3, filterWidth=3)
    return graph.finish(name, [x], y, [x], "Pool2DOptions", fusedActivationFunction=activation, **fields)


def binary(name, activation, broadcast, alike=False):
    graph, s = Graph(), scale() / 256
    own = {"scale": s} if alike else None
    new = lambda shape, **fields: graph.tensor(shape, "INT16", **(own or {"scale": scale() / 256}), **fields)
    a = new([1, 6, 8])
    shape = [8] if broadcast else [1, 6, 8]
    b, y = new(shape, data=int16(shape)), new([1, 6, 8])
    options = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions"}.get(name)
    fields = {"fusedActivationFunction": activation} if options else {}
    return graph.finish(name, [a, b], y, [a], options or "MaximumMinimumOptions", **fields)


def unary(name, output=None, options=None, source=None, kinds=("INT16", "INT16"), **fields):
    graph = Graph()
    x = graph.tensor([16, 16], kinds[0], **(source or {"scale": scale() / 256}))
    y = graph.tensor([16, 16], kinds[1], **(output or {"scale": scale() / 256}))
    return graph.finish(name, [x], y, [x], options, **fields)


def same(name, shape, output, extra=(), options=None, **fields):
    """Elements in other places, with one scale."""
    graph, s = Graph(), scale() / 256
    x, y = graph.tensor(shape, "INT16", scale=s), graph.tensor(output, "INT16", scale=s)
    further = [graph.numbers(values) for values in extra]
    return graph.finish(name, [x, *further], y, [x], options, **fields)


def reduce(name, alike, axes, keep):
    graph, s = Graph(), scale() / 256
    x = graph.tensor([1, 5, 6, 7], "INT16", scale=s)
    kept = [size for axis, size in enumerate([1, 5, 6, 7]) if axis not in axes]
    shape = [1 if axis in axes else n for axis, n in enumerate([1, 5, 6, 7])] if keep else kept
    y = graph.tensor(shape, "INT16", scale=s if alike else s * 0.7)
    return graph.finish(name, [x, graph.numbers(axes)], y, [x], "ReducerOptions", keepDims=keep)


def softmax(columns, s):
    graph = Graph()
    x, y = graph.tensor([4, columns], "INT16", scale=s), graph.tensor([4, columns], "INT16", scale=1 / 32768)
    return graph.finish("SOFTMAX", [x], y, [x], "SoftmaxOptions", beta=1.0)


def concatenation():
    graph, s = Graph(), scale() / 256
    a, b = graph.tensor([2, 3, 4], "INT16", scale=s), graph.tensor([2, 5, 4], "INT16", scale=s, data=int16([2, 5, 4]))
    y = graph.tensor([2, 8, 4], "INT16", scale=s)
    return graph.finish("CONCATENATION", [a, b], y, [a], "ConcatenationOptions", axis=1)


def batch_matmul(adjacent):
    graph = Graph()
    x = wide(graph, [2, 4, 300])
    shape = [2, 6, 300] if adjacent else [2, 300, 6]
    w, y = wide(graph, shape, data=int16(shape)), wide(graph, [2, 4, 6], 9)
    return graph.finish("BATCH_MATMUL", [x, w], y, [x], "BatchMatMulOptions", adjX=False, adjY=adjacent)


def split(index):
    graph, s = Graph(), scale() / 256
    x = graph.tensor([2, 6, 3], "INT16", scale=s)
    made = [graph.tensor([2, 3, 3], "INT16", scale=s) for _ in range(2)]
    return graph.finish("SPLIT", [graph.numbers(1), x], made[index], [x], "SplitOptions", made=made, numSplits=2)


def layers():
    for activation in range(4):
        for padding in (0, 1):
            yield f"conv_{padding}_{activation}", convolution(False, padding, activation)
            yield f"depthwise_{padding}_{activation}", convolution(True, padding, activation)
            yield f"average_{padding}_{activation}", pool("AVERAGE_POOL_2D", padding, activation)
            yield f"max_{padding}_{activation}", pool("MAX_POOL_2D", padding, activation)
        yield f"fully_connected_{activation}", fully_connected(activation)
        for name in ("ADD", "SUB", "MUL"):
            yield f"{name.lower()}_{activation}", binary(name, activation, activation % 2 == 1)
    for kind in ("INT32", None):
        yield f"conv_{kind}", convolution(False, 0, 0, kind)
        yield f"fully_connected_{kind}", fully_connected(0, kind)
    yield "depthwise_None", convolution(True, 0, 0, None)
    yield "conv_stride", convolution(False, 0, 0, stride=2)
    yield "conv_dilation", convolution(False, 1, 0, dilation=2)
    yield "conv_point", convolution(False, 0, 0, size=1)
    yield "conv_long", convolution(False, 1, 0, inputs=120)
    yield "depthwise_stride", convolution(True, 0, 1, stride=2)
    yield "fully_connected_long", fully_connected(0, inputs=2000)
    yield "fully_connected_channels", fully_connected(0, channels=True)
    for padding in (0, 1):
        for size, stride in ((3, 2), (2, 2), (3, 1)):
            yield f"transpose_conv_{padding}_{size}_{stride}", transpose_conv(padding, size, stride)
    yield "batch_matmul_False", batch_matmul(False)
    yield "batch_matmul_True", batch_matmul(True)


def functions():
    yield "maximum", binary("MAXIMUM", 0, True, alike=True)
    yield "minimum", binary("MINIMUM", 0, False, alike=True)
    unit = {"scale": 1 / 32768}
    for index, s in enumerate((1 / 4096, 1 / 2048, 1 / 32768, None, None, None, None)):
        source = {"scale": s} if s else None
        yield f"logistic_{index}", unary("LOGISTIC", unit, source=source)
        yield f"tanh_{index}", unary("TANH", unit, source=source)
    for index in range(4):
        yield f"softmax_{index}", softmax((1, 2, 10, 60)[index], (1e-4, 3e-4, 2e-3, 1e-2)[index])
        yield f"leaky_{index}", unary("LEAKY_RELU", None, "LeakyReluOptions", alpha=float(RANDOM.uniform(-0.1, 1.5)))
        for name in ("RELU", "ABS", "HARD_SWISH", "ELU"):
            yield f"{name.lower()}_{index}", unary(name)
        yield f"quantize_{index}", unary("QUANTIZE")
        narrow = {"scale": scale(), "zero": int(RANDOM.integers(-128, 128))}
        yield f"quantize_narrow_{index}", unary("QUANTIZE", narrow, kinds=("INT16", "INT8"))
        yield f"quantize_wide_{index}", unary("QUANTIZE", source=narrow, kinds=("INT8", "INT16"))
        axes = ([1, 2], [3], [1], [2, 3])[index]
        for name in ("MEAN", "SUM"):
            yield f"{name.lower()}_other_{index}", reduce(name, False, axes, index % 2 == 0)
        for name in ("MEAN", "REDUCE_MAX"):
            yield f"{name.lower()}_alike_{index}", reduce(name, True, axes, index % 2 == 0)


def structural():
    yield "relu6", same("RELU6", [16, 16], [16, 16])
    yield "reshape", same("RESHAPE", [4, 6], [2, 12], [[2, 12]])
    yield "squeeze", same("SQUEEZE", [1, 4, 6], [4, 6], options="SqueezeOptions", squeezeDims=[0])
    yield "expand_dims", same("EXPAND_DIMS", [4, 6], [4, 1, 6], [[1]])
    yield "transpose", same("TRANSPOSE", [2, 3, 4], [4, 2, 3], [[2, 0, 1]])
    yield "pad", same("PAD", [2, 3, 4], [3, 5, 4], [[[0, 1], [1, 1], [0, 0]]])
    yield "slice", same("SLICE", [4, 6, 3], [2, 3, 3], [[1, 2, 0], [2, 3, 3]])
    yield "strided_slice", same(
        "STRIDED_SLICE", [4, 6, 3], [2, 3, 3], [[0, 1, 0], [4, 6, 3], [2, 2, 1]], "StridedSliceOptions"
    )
    yield "gather", same("GATHER", [2, 6, 3], [2, 4, 3], [[5, 0, 2, 2]], "GatherOptions", axis=1)
    for name in ("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"):
        options = name.title().replace("_", "") + "Options"
        yield name.lower(), same(name, [1, 4, 5, 3], [1, 8, 10, 3], [[8, 10]], options, halfPixelCenters=True)
    yield "split_0", split(0)
    yield "split_1", split(1)
    yield "concatenation", concatenation()


def samples(shape, kind):
    limits = np.iinfo(kind)
    whole = [RANDOM.integers(limits.min, limits.max + 1, shape).astype(kind) for _ in range(6)]
    whole += [np.full(shape, extreme, dtype=kind) for extreme in (limits.min, limits.max)]
    whole.append(RANDOM.choice(np.array([limits.min, limits.max], dtype=kind), shape))
    # Small ones, around which functions bend.
    return whole + [RANDOM.integers(-60, 60, shape).astype(kind)]


def operators(folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in [*layers(), *functions(), *structural()]:
        try:
            runner = Micro(model)
            shape = [int(size) for size in runner.input["shape"]]
            given = samples(shape, runner.input["dtype"])
            outputs = [np.array(runner.run(sample)).copy() for sample in given]
        except RuntimeError as error:
            print(f"{name}: TensorFlow Lite Micro refuses it: {error}")
            continue
        (folder / f"{name}.tflite").write_bytes(model)
        np.stack(given).tofile(folder / f"{name}.in")
        np.stack(outputs).tofile(folder / f"{name}.out")


if __name__ == "__main__":
    {"operators": operators}[sys.argv[1]](*sys.argv[2:])
