"""Runs TensorFlow Lite models in TensorFlow Lite Micro or in LiteRT, for comparison.

    tflite.py run RUNTIME MODEL INPUT OUTPUT         run samples stored one behind the other
    tflite.py real RUNTIME MODEL INPUT OUTPUT        the same with floats, which are quantized as inputs are
    tflite.py each (tflm|litert) FOLDER              run NAME.tflite on NAME.in for NAME.out, or say why not
    tflite.py operators FOLDER                       write small models with inputs and outputs
    tflite.py litert FOLDER                          write models that move and add, by LiteRT
    tflite.py floats FOLDER                          write small float models likewise, by LiteRT
    tflite.py fixtures FOLDER                        write the models of crates/import/tests/fixtures

A RUNTIME is tflm, litert, or mixed: LiteRT with the softmax of TensorFlow Lite Micro at the end.
"""

import sys
from pathlib import Path

import numpy as np
from tflite_further import desktop, further
from tflite_graph import RANDOM, Graph, affine, constant, moved, scale, typed, weights, zero


# More than any of these models needs; by default it is what its file takes, ten times.
ARENA = 1 << 24


class Micro:
    """TensorFlow Lite Micro."""

    def __init__(self, model):
        from tflite_micro import runtime

        # The interpreter reads the bytes while it runs, and does not keep them.
        self.model = model
        self.interpreter = runtime.Interpreter.from_bytes(model, arena_size=ARENA)
        self.input = self.interpreter.get_input_details(0)
        self.output = self.interpreter.get_output_details(0)

    def run(self, sample):
        self.interpreter.set_input(sample, 0)
        self.interpreter.invoke()
        return self.interpreter.get_output(0)


class Lite:
    """LiteRT with its default kernels, on one thread."""

    def __init__(self, model):
        from ai_edge_litert.interpreter import Interpreter

        self.model = model
        self.interpreter = Interpreter(model_content=model, num_threads=1)
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]
        self.output = self.interpreter.get_output_details()[0]

    def run(self, sample):
        self.interpreter.set_tensor(self.input["index"], sample)
        self.interpreter.invoke()
        return self.interpreter.get_tensor(self.output["index"])


class Mixed:
    """LiteRT up to the softmax that ends a model, which TensorFlow Lite Micro computes: LiteRT's is of floats."""

    def __init__(self, model):
        self.first, self.last = Lite(model), None
        cut = whole_but_softmax(model)
        if cut:
            scales = {key: affine_of(port)[0] for key, port in (("x", Lite(cut).output), ("y", self.first.output))}
            dims, zero = Lite(cut).output["shape"], affine_of(Lite(cut).output)[1]
            graph = Graph()
            x = graph.tensor(dims, scale=scales["x"], zero=zero)
            y = graph.tensor(dims, scale=scales["y"], zero=affine_of(self.first.output)[1])
            shares = graph.finish("SOFTMAX", [x], y, [x], "SoftmaxOptions", beta=1.0)
            self.first, self.last = Lite(cut), Micro(shares)
        self.input, self.output = self.first.input, (self.last or self.first).output

    def run(self, sample):
        made = self.first.run(sample)
        return self.last.run(made) if self.last else made


def whole_but_softmax(model):
    """The model without the softmax that ends it; `None` where it ends with something else."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    parts = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    graph = parts.subgraphs[0]
    last = graph.operators[-1]
    if parts.operatorCodes[last.opcodeIndex].builtinCode != schema.BuiltinOperator.SOFTMAX:
        return None
    graph.operators, graph.outputs = graph.operators[:-1], [last.inputs[0]]
    builder = flatbuffers.Builder(1024)
    builder.Finish(parts.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


RUNTIMES = {"tflm": Micro, "litert": Lite, "mixed": Mixed}


def run(which, model, source, target):
    runner = RUNTIMES[which](Path(model).read_bytes())
    shape = [int(size) for size in runner.input["shape"]]
    samples = np.fromfile(source, dtype=runner.input["dtype"]).reshape(-1, *shape)
    outputs = [np.array(runner.run(sample)) for sample in samples]
    np.concatenate([output.ravel() for output in outputs]).tofile(target)


def affine_of(port):
    """Scale and zero point of an input or output."""
    parameters = port["quantization_parameters"]
    return float(parameters["scales"][0]), int(parameters["zero_points"][0])


def real(which, model, source, target):
    runner = RUNTIMES[which](Path(model).read_bytes())
    shape = [int(size) for size in runner.input["shape"]]
    (unit, zero_point), (step, offset) = affine_of(runner.input), affine_of(runner.output)
    samples = np.fromfile(source, dtype=np.float32).reshape(-1, *shape)
    steps = np.round(samples / np.float32(unit))
    samples = np.clip(steps + zero_point, -128, 127).astype(np.int8)
    outputs = [np.array(runner.run(sample)).astype(np.float32) for sample in samples]
    reals = [(output - offset) * np.float32(step) for output in outputs]
    np.concatenate([output.ravel() for output in reals]).astype(np.float32).tofile(target)


def each(which, folder):
    """Runs all models of a folder that have inputs beside them."""
    for model in sorted(Path(folder).glob("*.tflite")):
        target = model.with_suffix(".out")
        try:
            run(which, model, model.with_suffix(".in"), target)
        except (RuntimeError, ValueError) as error:
            target.unlink(missing_ok=True)
            print(f"{model.stem}: {which} refuses it: {error}")


def convolution(depthwise, padding, activation, size=3, stride=1, dilation=1):
    graph = Graph()
    x = graph.tensor([1, 7, 6, 4], **affine())
    outputs = 8
    scales = [scale() for _ in range(outputs)]
    shape = [1, size, size, outputs] if depthwise else [outputs, size, size, 4]
    w = graph.tensor(shape, scale=scales, data=weights(shape), axis=3 if depthwise else 0)
    biases = RANDOM.integers(-3000, 3000, outputs).astype(np.int32)
    b = graph.tensor([outputs], "INT32", scale=scales, data=biases)
    reach = (size - 1) * dilation
    dims = [-(-(n - (0 if padding == 0 else reach)) // stride) for n in (7, 6)]
    y = graph.tensor([1, *dims, outputs], scale=scale() * 30, zero=zero())
    fields = dict(padding=padding, strideH=stride, strideW=stride, fusedActivationFunction=activation)
    fields.update(dilationHFactor=dilation, dilationWFactor=dilation)
    if depthwise:
        fields["depthMultiplier"] = 2
    name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    options = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
    return graph.finish(name, [x, w, b], y, [x], options, **fields)


def fully_connected(activation, keep):
    graph = Graph()
    a, w_scale = affine(), scale()
    x = graph.tensor([2, 3, 20], **a)
    w = graph.tensor([5, 20], scale=w_scale, data=weights([5, 20]))
    unit = np.float32(a["scale"]) * np.float32(w_scale)
    b = graph.tensor([5], "INT32", scale=unit, data=RANDOM.integers(-9000, 9000, 5).astype(np.int32))
    y = graph.tensor([2, 3, 5] if keep else [6, 5], scale=scale() * 20, zero=zero())
    fields = dict(fusedActivationFunction=activation, keepNumDims=keep)
    return graph.finish("FULLY_CONNECTED", [x, w, b], y, [x], "FullyConnectedOptions", **fields)


def pool(name, padding, activation):
    graph = Graph()
    q = affine()
    x, y = graph.tensor([1, 7, 6, 5], **q), graph.tensor([1, 4, 3, 5] if padding == 0 else [1, 3, 2, 5], **q)
    fields = dict(padding=padding, strideH=2, strideW=2, filterHeight=3, filterWidth=3)
    return graph.finish(name, [x], y, [x], "Pool2DOptions", fusedActivationFunction=activation, **fields)


def binary(name, activation, broadcast, alike=False):
    graph = Graph()
    q = affine()
    a = graph.tensor([1, 6, 8], **q)
    other = q if alike else affine()
    shape = [8] if broadcast else [1, 6, 8]
    b = graph.tensor(shape, data=weights(shape), **other)
    y = graph.tensor([1, 6, 8], **(q if alike else affine()))
    options = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions"}.get(name)
    fields = {"fusedActivationFunction": activation} if options else {}
    return graph.finish(name, [a, b], y, [a], options or "MaximumMinimumOptions", **fields)


def unary(name, output=None, options=None, **fields):
    graph = Graph()
    x = graph.tensor([16, 16], **affine())
    y = graph.tensor([16, 16], **(output or affine()))
    return graph.finish(name, [x], y, [x], options, **fields)


def same(name, shape, output, extra=(), options=None, **fields):
    graph = Graph()
    q = affine()
    x, y = graph.tensor(shape, **q), graph.tensor(output, **q)
    further = [graph.numbers(values) for values in extra]
    return graph.finish(name, [x, *further], y, [x], options, **fields)


def softmax():
    graph = Graph()
    x = graph.tensor([4, 10], scale=scale(), zero=zero())
    y = graph.tensor([4, 10], scale=1 / 256, zero=-128)
    return graph.finish("SOFTMAX", [x], y, [x], "SoftmaxOptions", beta=1.0)


def mean(alike, axes, keep):
    graph = Graph()
    q = affine()
    x = graph.tensor([1, 5, 6, 7], **q)
    kept = [size for axis, size in enumerate([1, 5, 6, 7]) if axis not in axes]
    shape = [1 if axis in axes else n for axis, n in enumerate([1, 5, 6, 7])] if keep else kept
    y = graph.tensor(shape, **(q if alike else {"scale": q["scale"] * 0.7, "zero": zero()}))
    return graph.finish("MEAN", [x, graph.numbers(axes)], y, [x], "ReducerOptions", keepDims=keep)


def concatenation():
    graph = Graph()
    q = affine()
    a, b = graph.tensor([2, 3, 4], **q), graph.tensor([2, 5, 4], data=weights([2, 5, 4]), **q)
    y = graph.tensor([2, 8, 4], **q)
    return graph.finish("CONCATENATION", [a, b], y, [a], "ConcatenationOptions", axis=1)


def split(kind, which, index):
    """Two parts, of which the model has one."""
    graph, q = Graph(), affine()
    x = typed(graph, kind, [2, 6, 3], **q)
    shapes = {"SPLIT": ([2, 3, 3],) * 2, "SPLIT_V": ([2, 1, 3], [2, 5, 3]), "UNPACK": ([6, 3],) * 2}[which]
    made = [typed(graph, kind, shape, **q) for shape in shapes]
    if which == "SPLIT":
        operands, options = [graph.numbers(1), x], dict(options="SplitOptions", numSplits=2)
    elif which == "SPLIT_V":
        operands = [x, graph.numbers([1, -1]), graph.numbers(1)]
        options = dict(options="SplitVOptions", numSplits=2)
    else:
        operands, options = [x], dict(options="UnpackOptions", num=2, axis=0)
    return graph.finish(which, operands, made[index], [x], made=made, **options)


def pack(kind):
    graph, q = Graph(), affine()
    x, c = typed(graph, kind, [3, 4], **q), constant(graph, kind, [3, 4], **q)
    y = typed(graph, kind, [3, 2, 4], **q)
    return graph.finish("PACK", [x, c], y, [x], "PackOptions", valuesCount=2, axis=1)


def resize(kind, name, size, align, half):
    fields = dict(alignCorners=align, halfPixelCenters=half)
    options = "ResizeBilinearOptions" if name == "RESIZE_BILINEAR" else "ResizeNearestNeighborOptions"
    return moved(kind, name, [1, 4, 5, 3], [1, *size, 3], [size], options, **fields)


def arg_max(kind, name):
    graph = Graph()
    x, y = typed(graph, kind, [2, 7, 3], **affine()), graph.tensor([2, 3], "INT32")
    options = "ArgMaxOptions" if name == "ARG_MAX" else "ArgMinOptions"
    return graph.finish(name, [x, graph.numbers(1)], y, [x], options, outputType=graph.schema.TensorType.INT32)


def reduce(kind, name, axes, keep):
    graph, q = Graph(), affine()
    x = typed(graph, kind, [1, 5, 6, 7], **q)
    kept = [size for axis, size in enumerate([1, 5, 6, 7]) if axis not in axes]
    shape = [1 if axis in axes else n for axis, n in enumerate([1, 5, 6, 7])] if keep else kept
    other = {"scale": q["scale"] * 5.3, "zero": zero()} if name == "SUM" else q
    y = typed(graph, kind, shape, **other)
    return graph.finish(name, [x, graph.numbers(axes)], y, [x], "ReducerOptions", keepDims=keep)


def batch_matmul(kind, adjacent_x, adjacent_y, computed):
    graph = Graph()
    x = typed(graph, kind, [2, 5, 4] if adjacent_x else [2, 4, 5], **affine())
    shape = [2, 6, 5] if adjacent_y else [2, 5, 6]
    # Squares of one operand where both are to be computed.
    w = x if computed else constant(graph, kind, shape, **affine())
    shape = [2, 4, 4] if computed else [2, 4, 6]
    y = typed(graph, kind, shape, scale=scale() * 20, zero=zero())
    fields = dict(adjX=adjacent_x, adjY=True if computed else adjacent_y)
    return graph.finish("BATCH_MATMUL", [x, w], y, [x], "BatchMatMulOptions", **fields)


def transpose_conv(kind, padding, size, stride):
    graph, outputs = Graph(), 4
    x = typed(graph, kind, [1, 3, 4, 5], **affine())
    shape = [outputs, size, size, 5]
    scales = [scale() for _ in range(outputs)]
    w = constant(graph, kind, shape, scale=scales, axis=0)
    if kind == "INT8":
        biases = RANDOM.integers(-3000, 3000, outputs).astype(np.int32)
        b = graph.tensor([outputs], "INT32", scale=scales, data=biases)
    else:
        b = constant(graph, kind, [outputs])
    dims = [n * stride if padding == 0 else (n - 1) * stride + max(size, stride) for n in (3, 4)]
    y = typed(graph, kind, [1, *dims, outputs], scale=scale() * 20, zero=zero())
    shape = graph.numbers([1, *dims, outputs])
    fields = dict(padding=padding, strideH=stride, strideW=stride)
    return graph.finish("TRANSPOSE_CONV", [shape, w, x, b], y, [x], "TransposeConvOptions", **fields)


def svdf(rank, activation):
    """A layer with a state of int16, which samples one after the other fill."""
    graph, units, steps = Graph(), 3, 4
    a, w_scale, t_scale, s_scale = affine(), scale(), scale() / 50, scale() / 5
    x = graph.tensor([1, 8], **a)
    w = graph.tensor([units * rank, 8], scale=w_scale, data=weights([units * rank, 8]))
    values = RANDOM.integers(-32767, 32768, [units * rank, steps]).astype(np.int16)
    t = graph.tensor([units * rank, steps], "INT16", scale=t_scale, data=values)
    biases = RANDOM.integers(-900000, 900000, units).astype(np.int32)
    b = graph.tensor([units], "INT32", scale=np.float32(t_scale) * np.float32(s_scale), data=biases)
    s = graph.tensor([1, units * rank * steps], "INT16", scale=s_scale)
    graph.graph.tensors[s].isVariable = True
    top = s_scale * t_scale * 32767 * 3000 / 128
    y = graph.tensor([1, units], scale=top, zero=-128 if activation else zero())
    fields = dict(rank=rank, fusedActivationFunction=activation)
    return graph.finish("SVDF", [x, w, t, b, s], y, [x], "SVDFOptions", **fields)


def float_svdf(rank, activation):
    graph, units, steps, size = Graph(), 3, 4, 8
    x = graph.tensor([2, size], "FLOAT32")
    shapes = [[units * rank, size], [units * rank, steps], [units]]
    constants = [graph.tensor(shape, "FLOAT32", data=RANDOM.normal(size=shape).astype(np.float32)) for shape in shapes]
    s = graph.tensor([2, units * rank * steps], "FLOAT32")
    graph.graph.tensors[s].isVariable = True
    y = graph.tensor([2, units], "FLOAT32")
    fields = dict(rank=rank, fusedActivationFunction=activation)
    return graph.finish("SVDF", [x, *constants, s], y, [x], "SVDFOptions", **fields)


def lstm(kind, power=-11, clip=0.0, time_first=False, steps=5):
    """A layer with a state that samples one after the other change."""
    graph, batch, size, units = Graph(), 2, 7, 6
    shape = [steps, batch, size] if time_first else [batch, steps, size]
    floats = kind != "INT8"

    def matrix(rows, columns):
        values = weights([rows, columns])
        if floats:
            return graph.tensor([rows, columns], kind, data=values.astype(np.float32) / 100)
        unit = float(np.float32(RANDOM.uniform(0.004, 0.012)))
        return graph.tensor([rows, columns], scale=unit, data=values)

    def bias():
        if floats:
            return graph.tensor([units], kind, data=RANDOM.normal(size=units).astype(np.float32))
        return graph.tensor([units], "INT32", scale=1e-4, data=RANDOM.integers(-9000, 9000, units).astype(np.int32))

    def state(kind, **fixed):
        index = graph.tensor([batch, units], kind, **({} if floats else fixed))
        graph.graph.tensors[index].isVariable = True
        return index

    hidden = {"scale": 1 / 128, "zero": zero() // 16}
    x = typed(graph, kind, shape, scale=0.01, zero=zero())
    operands = [x, *(matrix(units, size) for _ in range(4)), *(matrix(units, units) for _ in range(4)), -1, -1, -1]
    operands += [*(bias() for _ in range(4)), -1, -1, state(kind, **hidden)]
    operands += [state(kind if floats else "INT16", scale=2.0**power), -1, -1, -1, -1]
    y = typed(graph, kind, [*shape[:2], units], **hidden)
    tanh = graph.schema.ActivationFunctionType.TANH
    fields = dict(fusedActivationFunction=tanh, timeMajor=time_first, cellClip=clip)
    return graph.finish(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", operands, y, [x], "UnidirectionalSequenceLSTMOptions", **fields
    )


def layers(kind):
    """Layers of long short-term memory."""
    for power in (-9, -11, -12, -14, -15):
        yield f"lstm_{-power}", lstm(kind, power)
    yield "lstm_clipped", lstm(kind, clip=0.7)
    yield "lstm_time_first", lstm(kind, time_first=True)
    yield "lstm_step", lstm(kind, steps=1)


def filters():
    for rank in (1, 2):
        for activation in (0, 1):
            yield f"svdf_{rank}_{activation}", float_svdf(rank, activation)


def structural(kind):
    """Models of operators that there are for integers and floats alike."""
    for index in (0, 1):
        for name in ("SPLIT", "SPLIT_V", "UNPACK"):
            yield f"{name.lower()}_{index}", split(kind, name, index)
    yield "pack", pack(kind)
    gather = dict(options="GatherOptions", axis=1)
    yield "gather", moved(kind, "GATHER", [2, 6, 3], [2, 4, 3], [[5, 0, 2, 2]], **gather)
    squares = dict(blockSize=2)
    yield "depth_to_space", moved(
        kind, "DEPTH_TO_SPACE", [1, 3, 2, 12], [1, 6, 4, 3], options="DepthToSpaceOptions", **squares
    )
    yield "space_to_depth", moved(
        kind, "SPACE_TO_DEPTH", [1, 6, 4, 3], [1, 3, 2, 12], options="SpaceToDepthOptions", **squares
    )
    for name in ("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"):
        for size in ([8, 10], [7, 3], [1, 4]):
            for align, half in ((False, False), (True, False), (False, True)):
                label = f"{name.lower()}_{size[0]}_{align}_{half}"
                yield label, resize(kind, name, size, align, half)
    for name in ("ARG_MAX", "ARG_MIN"):
        yield name.lower(), arg_max(kind, name)
    for name in ("SUM", "REDUCE_MAX", "REDUCE_MIN"):
        for index, axes in enumerate(([1, 2], [3], [1])):
            yield f"{name.lower()}_{index}", reduce(kind, name, axes, index % 2 == 0)
    for adjacent_x in (False, True):
        for adjacent_y in (False, True):
            yield f"batch_matmul_{adjacent_x}_{adjacent_y}", batch_matmul(kind, adjacent_x, adjacent_y, False)
    yield "batch_matmul_computed", batch_matmul(kind, False, True, True)
    for padding in (0, 1):
        for size, stride in ((3, 2), (2, 2), (4, 2), (3, 1), (2, 3)):
            yield f"transpose_conv_{padding}_{size}_{stride}", transpose_conv(kind, padding, size, stride)


def fixed(top, zero_point):
    return {"scale": 1 / top, "zero": zero_point}


def cases():
    for activation in range(4):
        for padding in (0, 1):
            yield f"conv_{padding}_{activation}", convolution(False, padding, activation)
            yield f"depthwise_{padding}_{activation}", convolution(True, padding, activation)
            yield f"average_{padding}_{activation}", pool("AVERAGE_POOL_2D", padding, activation)
            yield f"max_{padding}_{activation}", pool("MAX_POOL_2D", padding, activation)
        yield f"fully_connected_{activation}", fully_connected(activation, activation % 2 == 0)
        for name in ("ADD", "SUB", "MUL"):
            yield f"{name.lower()}_{activation}", binary(name, activation, activation % 2 == 1)
    yield "conv_stride", convolution(False, 0, 0, stride=2)
    yield "conv_dilation", convolution(False, 1, 0, dilation=2)
    yield "conv_point", convolution(False, 0, 0, size=1)
    yield "depthwise_stride", convolution(True, 0, 1, stride=2)
    yield "maximum", binary("MAXIMUM", 0, True, alike=True)
    yield "minimum", binary("MINIMUM", 0, False, alike=True)
    for index in range(6):
        yield f"logistic_{index}", unary("LOGISTIC", fixed(256, -128))
        yield f"tanh_{index}", unary("TANH", fixed(128, 0))
        yield f"softmax_{index}", softmax()
        yield f"relu_{index}", unary("RELU")
        yield f"quantize_{index}", unary("QUANTIZE")
        yield f"leaky_{index}", unary("LEAKY_RELU", None, "LeakyReluOptions", alpha=float(RANDOM.uniform(0.01, 0.5)))
        yield f"hard_swish_{index}", unary("HARD_SWISH", {"scale": scale() + 0.02, "zero": zero()})
        yield f"elu_{index}", unary("ELU")
        yield f"abs_{index}", unary("ABS")
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
    for rank in (1, 2):
        for activation in (0, 1):
            yield f"svdf_{rank}_{activation}", svdf(rank, activation)
    yield "concatenation", concatenation()
    for index, axes in enumerate(([1, 2], [3], [1], [2, 3])):
        yield f"mean_other_{index}", mean(False, axes, index % 2 == 0)
        yield f"mean_alike_{index}", mean(True, axes, index % 2 == 0)


def floats(folder):
    """Models of floats, with outputs of LiteRT."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    common = [*structural("FLOAT32"), *further("FLOAT32"), *desktop("FLOAT32")]
    for name, model in [*common, *layers("FLOAT32"), *filters()]:
        try:
            runner = Lite(model)
        except (RuntimeError, ValueError) as error:
            print(f"{name}: LiteRT refuses it: {error}")
            continue
        shape = [int(size) for size in runner.input["shape"]]
        samples = [RANDOM.normal(size=shape).astype(np.float32) for _ in range(4)]
        if np.dtype(runner.input["dtype"]) == np.bool_:
            samples = [sample > 0 for sample in samples]
        outputs = [np.array(runner.run(sample)).copy() for sample in samples]
        (folder / f"{name}.tflite").write_bytes(model)
        np.stack(samples).tofile(folder / f"{name}.in")
        np.stack(outputs).tofile(folder / f"{name}.out")


def operators(folder):
    write(folder, [*cases(), *structural("INT8"), *further("INT8"), *layers("INT8")], Micro)


def litert(folder):
    means = [(f"mean_{axis}_{alike}", mean(alike, [axis], True)) for axis in (1, 2, 3) for alike in (False, True)]
    common = [*structural("INT8"), *further("INT8"), *desktop("INT8")]
    write(folder, [*common, *means, ("svdf_1", svdf(1, 1)), ("svdf_2", svdf(2, 1))], Lite)


def write(folder, models, runtime):
    """Models with inputs, random and extreme, and the outputs of a runtime."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in models:
        try:
            runner = runtime(model)
        except (RuntimeError, ValueError) as error:
            print(f"{name}: {runtime.__name__} refuses it: {error}")
            continue
        shape = [int(size) for size in runner.input["shape"]]
        count = int(np.prod(shape))
        samples = [RANDOM.integers(-128, 128, shape).astype(np.int8) for _ in range(6)]
        samples.append(np.arange(count).astype(np.int8).reshape(shape))
        samples += [np.full(shape, extreme, dtype=np.int8) for extreme in (-128, 127)]
        samples.append(RANDOM.choice(np.array([-128, 127], dtype=np.int8), shape))
        # Truth values.
        if np.dtype(runner.input["dtype"]) == np.bool_:
            samples = [sample > 0 for sample in samples]
        outputs = [np.array(runner.run(sample)).copy() for sample in samples]
        (folder / f"{name}.tflite").write_bytes(model)
        np.stack(samples).tofile(folder / f"{name}.in")
        np.stack(outputs).tofile(folder / f"{name}.out")


def small(kind, move, weight_kind=None):
    """A fully connected layer of two outputs; unsigned numbers are 128 higher."""
    graph = Graph()
    quantized = kind != "FLOAT32"
    q = {"scale": 0.5, "zero": 3 + move} if quantized else {}
    x = graph.tensor([1, 4], kind, **q)
    values = np.array([[1, -2, 3, -4], [5, 6, -7, 8]]) + move
    integer = np.uint8 if move else np.int8
    w = graph.tensor([2, 4], weight_kind or kind, scale=0.25, zero=move, data=values.astype(integer))
    if quantized:
        b = graph.tensor([2], "INT32", scale=0.125, data=np.array([8, -16], dtype=np.int32))
    else:
        b = graph.tensor([2], "FLOAT32", data=np.array([1, -2], dtype=np.float32))
    q = {"scale": 1.0, "zero": -5 + move} if quantized else {}
    y = graph.tensor([1, 2], kind, **q)
    return graph.finish("FULLY_CONNECTED", [x, w, b], y, [x], "FullyConnectedOptions")


def fixtures(folder):
    folder = Path(folder)
    (folder / "signed.tflite").write_bytes(small("INT8", 0))
    (folder / "unsigned.tflite").write_bytes(small("UINT8", 128))
    (folder / "hybrid.tflite").write_bytes(small("FLOAT32", 0, "INT8"))
    (folder / "conv.tflite").write_bytes(convolution(True, 0, 1))
    (folder / "wide.tflite").write_bytes(small("INT16", 0, "INT8"))
    (folder / "unsupported.tflite").write_bytes(unary("LOCAL_RESPONSE_NORMALIZATION"))
    (folder / "svdf.tflite").write_bytes(float_svdf(1, 0))


if __name__ == "__main__":
    commands = {"run": run, "real": real, "each": each, "operators": operators, "litert": litert}
    commands |= {"floats": floats, "fixtures": fixtures}
    commands[sys.argv[1]](*sys.argv[2:])
