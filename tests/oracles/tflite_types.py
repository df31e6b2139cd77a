"""Writes small TensorFlow Lite models of builtins in every type that TensorFlow Lite Micro has them in, and of
conversions between types, with what it makes of them: norms, sums of several, coordinates, shapes.

    tflite_types.py operators FOLDER   models with inputs and outputs
    tflite_types.py litert FOLDER      conversions that LiteRT has alone, with what it makes of them
    tflite_types.py refusals FOLDER    models that are refused, each with a part of the reason
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tflite import Lite, Micro
from tflite_graph import RANDOM, Graph, constant, scale, weights, zero

NUMBERS = {"FLOAT32": np.float32, "INT8": np.int8, "UINT8": np.uint8, "INT16": np.int16, "INT32": np.int32}
NUMBERS |= {"INT64": np.int64, "BOOL": np.bool_}


def steps(kind):
    """What integers of a type stand for; floats and numbers as they are have no steps."""
    if kind == "INT8":
        return {"scale": scale(), "zero": zero()}
    if kind == "UINT8":
        return {"scale": scale(), "zero": zero() + 128}
    return {"scale": scale() / 256} if kind == "INT16" else {}


def held(graph, kind, shape, **fixed):
    """A constant of random numbers."""
    if kind == "FLOAT32":
        return constant(graph, kind, shape)
    limits = np.iinfo(NUMBERS[kind])
    values = RANDOM.integers(max(limits.min, -(2**20)), min(limits.max, 2**20), shape)
    return graph.tensor(shape, kind, data=values.astype(NUMBERS[kind]), **fixed)


def l2_normalization(kind, shape):
    graph = Graph()
    x = graph.tensor(shape, kind, **steps(kind))
    y = graph.tensor(shape, kind, **({"scale": 1 / 128} if kind == "INT8" else {}))
    return graph.finish("L2_NORMALIZATION", [x], y, [x], "L2NormOptions")


def log_softmax(shape, unit):
    graph = Graph()
    x, y = graph.tensor(shape, scale=unit, zero=zero()), graph.tensor(shape, scale=1 / 16, zero=127)
    return graph.finish("LOG_SOFTMAX", [x], y, [x], "LogSoftmaxOptions")


def l2_pool(padding, activation):
    graph = Graph()
    x = graph.tensor([1, 7, 6, 5], "FLOAT32")
    y = graph.tensor([1, 4, 3, 5] if padding == 0 else [1, 3, 2, 5], "FLOAT32")
    fields = dict(padding=padding, strideH=2, strideW=2, filterHeight=3, filterWidth=3)
    return graph.finish("L2_POOL_2D", [x], y, [x], "Pool2DOptions", fusedActivationFunction=activation, **fields)


def add_n(kind, count):
    graph, q, shape = Graph(), steps(kind), [3, 5, 4]
    x = graph.tensor(shape, kind, **q)
    others = [held(graph, kind, shape, **q) for _ in range(count - 1)]
    other = steps(kind)
    if other:
        other["scale"] = q["scale"] * count / 2
    y = graph.tensor(shape, kind, **other)
    return graph.finish("ADD_N", [x, *others], y, [x], "AddNOptions")


def floor(name, kind, turned):
    graph, shape = Graph(), [4, 5, 6]
    x, y = graph.tensor(shape, kind), graph.tensor(shape, kind)
    other = held(graph, kind, [5, 6])
    options = name.title().replace("_", "") + "Options"
    model = graph.finish(name, [other, x] if turned else [x, other], y, [x], options)
    # Nothing is divided by zero.
    return model, [RANDOM.choice(np.float32([-1, 1]), shape) * RANDOM.uniform(0.1, 9, shape).astype(np.float32) for _ in range(6)]


def gather_nd(kind, depth):
    """Constant coordinates in data that are fed."""
    graph, q, dims = Graph(), steps(kind), [4, 3, 5]
    x = graph.tensor(dims, kind, **q)
    picks = np.stack([RANDOM.integers(0, size, [2, 3]) for size in dims[:depth]], axis=-1)
    y = graph.tensor([2, 3, *dims[depth:]], kind, **q)
    return graph.finish("GATHER_ND", [x, graph.numbers(picks)], y, [x], "GatherNdOptions")


def gathered(kind, depth):
    """Coordinates that are fed, with samples of them."""
    graph, q, dims = Graph(), steps(kind), [4, 3, 5]
    x = graph.tensor([7, depth], "INT32")
    data = held(graph, kind, dims, **q)
    y = graph.tensor([7, *dims[depth:]], kind, **q)
    model = graph.finish("GATHER_ND", [data, x], y, [x], "GatherNdOptions")
    return model, [np.stack([RANDOM.integers(0, n, 7) for n in dims[:depth]], -1).astype(np.int32) for _ in range(5)]


def update(kind, part, starts):
    """A constant in a part of what is fed."""
    graph, q, dims = Graph(), steps(kind), [4, 5, 6]
    x, y = graph.tensor(dims, kind, **q), graph.tensor(dims, kind, **q)
    operands = [x, held(graph, kind, part, **q), graph.numbers(starts)]
    return graph.finish("DYNAMIC_UPDATE_SLICE", operands, y, [x], "DynamicUpdateSliceOptions")


def updated(kind, part, index=np.int32):
    """A place that is fed, with samples of it, beyond the ends too."""
    graph, q, dims = Graph(), steps(kind), [4, 5, 6]
    x, y = graph.tensor([3], np.dtype(index).name.upper()), graph.tensor(dims, kind, **q)
    operands = [held(graph, kind, dims, **q), held(graph, kind, part, **q), x]
    model = graph.finish("DYNAMIC_UPDATE_SLICE", operands, y, [x], "DynamicUpdateSliceOptions")
    return model, [RANDOM.integers(-2, 8, 3).astype(index) for _ in range(8)]


def fill(kind, computed, dims):
    """A number everywhere: one that is fed, or one that stands beside what is fed."""
    graph, q = Graph(), steps(kind)
    x = graph.tensor([], kind, **q)
    y = graph.tensor(dims, kind, **q)
    if computed:
        return graph.finish("FILL", [graph.numbers(dims), x], y, [x], "FillOptions")
    number = held(graph, kind, [], **q)
    graph.apply("FILL", [graph.numbers(dims), number], [y], "FillOptions")
    return beside(graph, kind, y, dims, q)


def beside(graph, kind, made, dims, q):
    """What is fed and what was made, one behind the other: in TensorFlow Lite Micro no output is constant."""
    x = graph.tensor(dims, kind, **q)
    y = graph.tensor([2 * dims[0], *dims[1:]], kind, **q)
    return graph.finish("CONCATENATION", [x, made], y, [x], "ConcatenationOptions", axis=0)


def zeros_like(kind):
    graph, q, dims = Graph(), steps(kind), [3, 4]
    y = graph.tensor(dims, kind, **q)
    graph.apply("ZEROS_LIKE", [held(graph, kind, dims, **q)], [y], "ZerosLikeOptions")
    return beside(graph, kind, y, dims, q)


def every(axes, keep):
    graph = Graph()
    x = graph.tensor([2, 3, 4], "BOOL")
    kept = [size for axis, size in enumerate([2, 3, 4]) if axis not in axes]
    shape = [1 if axis in axes else n for axis, n in enumerate([2, 3, 4])] if keep else kept
    y = graph.tensor(shape, "BOOL")
    return graph.finish("REDUCE_ALL", [x, graph.numbers(axes)], y, [x], "ReducerOptions", keepDims=keep)


def convert(name, source, target, plain=False):
    graph = Graph()
    x = graph.tensor([6, 50], source, **({} if plain else steps(source)))
    y = graph.tensor([6, 50], target, **({} if plain else steps(target)))
    options = {"CAST": "CastOptions", "QUANTIZE": "QuantizeOptions", "DEQUANTIZE": "DequantizeOptions"}
    return graph.finish(name, [x], y, [x], options[name])


def chain(kinds):
    """Conversions one after the other, the last of them to floats."""
    graph = Graph()
    fed = last = graph.tensor([6, 50], kinds[0], **steps(kinds[0]))
    for kind in kinds[1:]:
        made = graph.tensor([6, 50], kind, **steps(kind))
        graph.apply("QUANTIZE", [last], [made], "QuantizeOptions")
        last = made
    y = graph.tensor([6, 50], "FLOAT32")
    return graph.finish("DEQUANTIZE", [last], y, [fed], "DequantizeOptions")


def rows():
    for kind in ("FLOAT32", "INT8"):
        for index, shape in enumerate(([4, 6], [2, 3, 5], [1, 2, 2, 70], [8, 1])):
            yield f"l2_normalization_{kind}_{index}", l2_normalization(kind, shape)
        for count in (2, 3, 4, 9):
            yield f"add_n_{kind}_{count}", add_n(kind, count)
    for index, unit in enumerate((0.004, 0.02, 0.06, 0.1, 0.3, 0.9)):
        yield f"log_softmax_{index}", log_softmax([6, 10], unit)
    yield "log_softmax_long", log_softmax([2, 300], 0.03)
    for padding in (0, 1):
        for activation in range(4):
            yield f"l2_pool_{padding}_{activation}", l2_pool(padding, activation)
    for name in ("FLOOR_DIV", "FLOOR_MOD"):
        for turned in (False, True):
            yield f"{name.lower()}_{turned}", *floor(name, "FLOAT32", turned)
    for axes, keep in (([1], True), ([0, 1], False), ([2], False)):
        yield f"reduce_all_{axes[-1]}_{keep}", every(axes, keep)


def places():
    for kind in ("FLOAT32", "INT8", "INT16"):
        for depth in (1, 2, 3):
            yield f"gather_nd_{kind}_{depth}", gather_nd(kind, depth)
            yield f"gather_nd_fed_{kind}_{depth}", *gathered(kind, depth)
    for kind in ("FLOAT32", "INT8"):
        yield f"update_{kind}_whole", update(kind, [4, 5, 6], [0, 0, 0])
        for index, part in enumerate(([1, 5, 6], [2, 3, 6], [4, 2, 3], [1, 1, 1])):
            yield f"update_{kind}_{index}", update(kind, part, [2, 1, 9])
            yield f"update_fed_{kind}_{index}", *updated(kind, part)
        yield f"update_fed_{kind}_long", *updated(kind, [2, 3, 6], np.int64)
    for kind in ("FLOAT32", "INT8", "INT32"):
        for computed in (False, True):
            yield f"fill_{kind}_{computed}", fill(kind, computed, [3, 2, 4])
        yield f"zeros_like_{kind}", zeros_like(kind)


def conversions():
    for source in NUMBERS:
        for target in NUMBERS:
            if "INT32" not in (source, target):
                yield f"quantize_{source}_{target}", convert("QUANTIZE", source, target)
            yield f"cast_{source}_{target}", convert("CAST", source, target)
            # Inputs of unsigned bytes need a scale.
            if source != "UINT8" and ("INT8" in source + target or "INT16" in (source, target)):
                yield f"cast_plain_{source}_{target}", convert("CAST", source, target, plain=True)
        yield f"dequantize_{source}", convert("DEQUANTIZE", source, "FLOAT32")
    for index, kinds in enumerate(
        (
            ["FLOAT32", "INT8", "INT16", "INT8", "INT8"],
            ["FLOAT32", "INT16", "INT8", "INT16"],
            ["UINT8", "INT8", "INT16", "INT16"],
            ["INT8", "UINT8", "INT8", "INT16"],
        )
    ):
        yield f"chain_{index}", chain(kinds)


def samples(shape, kind):
    """Random ones, extremes and both mixed."""
    if kind == np.float32:
        normal = [RANDOM.normal(size=shape).astype(kind) for _ in range(6)]
        return normal + [np.zeros(shape, kind), np.full(shape, 3e3, kind), RANDOM.normal(size=shape).astype(kind) * 90]
    if kind == np.bool_:
        return [RANDOM.integers(0, 2, shape).astype(kind) for _ in range(8)]
    limits = np.iinfo(kind)
    ends = np.array([limits.min, limits.max], dtype=kind)
    whole = [RANDOM.integers(limits.min, limits.max, shape, endpoint=True, dtype=kind) for _ in range(6)]
    return whole + [np.full(shape, end, kind) for end in ends] + [RANDOM.choice(ends, shape)]


def held_bytes(port, outputs):
    """As the runtime holds them: unsigned bytes that stand for real numbers are signed ones, 128 lower."""
    values = np.stack(outputs)
    is_moved = port["dtype"] == np.uint8 and len(port["quantization_parameters"]["scales"]) > 0
    return values ^ np.uint8(0x80) if is_moved else values


def write(folder, models, runtime):
    """Models with inputs and the outputs of a runtime; gives the names of those that it refuses."""
    folder, refused = Path(folder), []
    folder.mkdir(parents=True, exist_ok=True)
    for name, model, *fed in models:
        try:
            runner = runtime(model)
            shape = [int(size) for size in runner.input["shape"]]
            given = fed[0] if fed else samples(shape, runner.input["dtype"])
            outputs = [np.array(runner.run(sample)).copy() for sample in given]
        except (RuntimeError, ValueError) as error:
            print(f"{name}: {runtime.__name__} refuses it: {error}")
            refused.append(name)
            continue
        (folder / f"{name}.tflite").write_bytes(model)
        held_bytes(runner.input, given).tofile(folder / f"{name}.in")
        held_bytes(runner.output, outputs).tofile(folder / f"{name}.out")
    return refused


def operators(folder):
    write(folder, [*rows(), *places(), *conversions()], Micro)


def litert(folder):
    models = {name: model for name, model in conversions()}
    with TemporaryDirectory() as other:
        refused = write(other, models.items(), Micro)
    # Its factors between unsigned bytes have 8 binary places.
    taken = [name for name in refused if name != "quantize_UINT8_UINT8"]
    write(folder, [(name, models[name]) for name in taken], Lite)


def refusals(folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, model, reason in refused():
        (folder / f"{name}.tflite").write_bytes(model)
        (folder / f"{name}.txt").write_text(reason)


def refused():
    graph = Graph()
    x, y = graph.tensor([2], "INT32"), graph.tensor([3, 4], "INT8", scale=0.5)
    model = graph.finish("FILL", [x, held(graph, "INT8", [], scale=0.5)], y, [x], "FillOptions")
    yield "fill_fed", model, "(FILL): its dimensions (input 0) are computed at run time"
    graph = Graph()
    x, y = graph.tensor([], "FLOAT32"), graph.tensor([3, 4], "FLOAT32")
    model = graph.finish("FILL", [graph.numbers([3, 5]), x], y, [x], "FillOptions")
    yield "fill_other", model, "(FILL): it fills [3, 5] where the file declares 3x4"
    graph = Graph()
    x, y = graph.tensor([2048, 2048], scale=0.1), graph.tensor([2048, 2048], scale=0.1)
    yield "zeros_many", graph.finish("ZEROS_LIKE", [x], y, [x]), "its constant result would be 2048x2048"
    graph = Graph()
    x, y = graph.tensor([4, 3], "FLOAT32"), graph.tensor([2], "FLOAT32")
    model = graph.finish("GATHER_ND", [x, graph.numbers([[0, 2], [1, 3]])], y, [x], "GatherNdOptions")
    yield "gather_nd_outside", model, "(GATHER_ND): the coordinate 3 is outside the 3 elements"
    graph = Graph()
    x, y = graph.tensor([4, 3], "FLOAT32"), graph.tensor([2], "FLOAT32")
    model = graph.finish("GATHER_ND", [x, graph.numbers([[0, 0, 0]])], y, [x], "GatherNdOptions")
    yield "gather_nd_deep", model, "(GATHER_ND): coordinates 1x3 do not fit 4x3"
    graph = Graph()
    x, part = graph.tensor([1200, 1200], "INT8"), graph.tensor([1200, 1100], "INT8")
    y = graph.tensor([1200, 1200], "INT8")
    model = graph.finish("DYNAMIC_UPDATE_SLICE", [x, part, graph.numbers([0, 9])], y, [x, part])
    yield "update_long", model, "a part of 1200x1100 has too many places"
    model = update("FLOAT32", [4, 6, 6], [0, 0, 0])
    yield "update_large", model, "(DYNAMIC_UPDATE_SLICE): a part of 4x6x6 at 3 does not fit 4x5x6"
    yield "l2_normalization_int16", l2_normalization("INT16", [3, 4]), "there is no l2_normalize from int16 to int16"
    graph = Graph()
    x, y = graph.tensor([4, 3], scale=0.1), graph.tensor([4, 3], scale=0.1)
    model = graph.finish("LOG_SOFTMAX", [x], y, [x], "LogSoftmaxOptions")
    yield "log_softmax_scale", model, "int8 log_softmax has scale 1/16 and zero point 127"
    yield "add_n_many", add_n("INT8", 16), "16 tensors are added, 15 can be"
    graph = Graph()
    x, y = graph.tensor([1, 6, 6, 2], scale=0.1), graph.tensor([1, 3, 3, 2], scale=0.1)
    fields = dict(padding=0, strideH=2, strideW=2, filterHeight=2, filterWidth=2)
    model = graph.finish("L2_POOL_2D", [x], y, [x], "Pool2DOptions", **fields)
    yield "l2_pool_int8", model, "(L2_POOL_2D): it pools int8"
    graph = Graph()
    x, y = graph.tensor([4, 3], scale=0.1), graph.tensor([4, 3], scale=0.1)
    model = graph.finish("FLOOR_DIV", [x, x], y, [x], "FloorDivOptions")
    yield "floor_div_int8", model, "(FLOOR_DIV): it divides quantized numbers"
    for source, target in (("INT8", "INT32"), ("INT32", "INT16")):
        model = convert("QUANTIZE", source, target)
        yield f"quantize_{source}_{target}", model, "(QUANTIZE): it converts"


if __name__ == "__main__":
    {"operators": operators, "litert": litert, "refusals": refusals}[sys.argv[1]](*sys.argv[2:])
