"""Models of comparisons, choices, repetitions, blocks and running sums."""

import numpy as np
from tflite_graph import RANDOM, Graph, affine, constant, moved, scale, typed, zero


def prelu(kind, alike, unit=None):
    """What is below zero times a factor for each channel."""
    graph, q = Graph(), affine()
    q["scale"] = unit or q["scale"]
    x, factors = typed(graph, kind, [1, 5, 4, 6], **q), constant(graph, kind, [1, 1, 6], **affine())
    y = typed(graph, kind, [1, 5, 4, 6], **(q if alike else affine()))
    return graph.finish("PRELU", [x, factors], y, [x])


def compare(kind, name, alike):
    graph, q = Graph(), affine()
    x, other = typed(graph, kind, [4, 5, 6], **q), constant(graph, kind, [5, 6], **(q if alike else affine()))
    y = graph.tensor([4, 5, 6], "BOOL")
    options = {"LESS": "LessOptions", "GREATER": "GreaterOptions", "EQUAL": "EqualOptions"}
    options |= {"LESS_EQUAL": "LessEqualOptions", "GREATER_EQUAL": "GreaterEqualOptions"}
    return graph.finish(name, [x, other], y, [x], options.get(name, "NotEqualOptions"))


def logical(name):
    graph = Graph()
    x, y = graph.tensor([4, 6], "BOOL"), graph.tensor([4, 6], "BOOL")
    other = graph.tensor([4, 6], "BOOL", data=RANDOM.integers(0, 2, [4, 6]).astype(np.bool_))
    if name == "LOGICAL_NOT":
        return graph.finish(name, [x], y, [x], "LogicalNotOptions")
    options = {"LOGICAL_AND": "LogicalAndOptions", "LOGICAL_OR": "LogicalOrOptions"}[name]
    return graph.finish(name, [x, other], y, [x], options)


def select(kind, name):
    graph, q = Graph(), affine()
    shape = [4, 5, 6]
    truth = RANDOM.integers(0, 2, shape).astype(np.bool_)
    condition = graph.tensor(shape, "BOOL", data=truth)
    x, other = typed(graph, kind, shape, **q), constant(graph, kind, shape, **q)
    y = typed(graph, kind, shape, **q)
    options = "SelectOptions" if name == "SELECT" else "SelectV2Options"
    return graph.finish(name, [condition, x, other], y, [x], options)


def cast(kind, to):
    graph = Graph()
    x, y = typed(graph, kind, [4, 6], **affine()), graph.tensor([4, 6], to)
    return graph.finish("CAST", [x], y, [x], "CastOptions")


def cumulative(kind, axis, exclusive, reverse):
    graph, q = Graph(), affine()
    x = typed(graph, kind, [2, 7, 5], **q)
    y = typed(graph, kind, [2, 7, 5], scale=q["scale"] * 4.7, zero=zero())
    fields = dict(exclusive=exclusive, reverse=reverse)
    return graph.finish("CUMSUM", [x, graph.numbers(axis)], y, [x], "CumsumOptions", **fields)


def embedding(kind):
    graph, q = Graph(), affine()
    x, y = typed(graph, kind, [10, 4], **q), typed(graph, kind, [5, 4], **q)
    return graph.finish("EMBEDDING_LOOKUP", [graph.numbers([3, 0, 9, 9, 1]), x], y, [x])


def top_k(kind, index):
    """The values or the places of the largest."""
    graph, q = Graph(), affine()
    x = typed(graph, kind, [4, 9], **q)
    made = [typed(graph, kind, [4, 3], **q), graph.tensor([4, 3], "INT32")]
    return graph.finish("TOPK_V2", [x, graph.numbers(3)], made[index], [x], "TopKV2Options", made=made)


def desktop(kind):
    """What LiteRT has alone: what TensorFlow Lite Micro puts beside images is whatever its memory holds."""
    yield "filled_by_shape", filled_by_shape(kind)
    yield from rows(kind)
    operands = [[2, 4], [[1, 2], [0, 1]]]
    options = "SpaceToBatchNDOptions"
    yield "space_to_batch_padded", moved(kind, "SPACE_TO_BATCH_ND", [1, 5, 7, 3], [8, 4, 2, 3], operands, options)


def filled_by_shape(kind):
    """Dimensions that are computed from a shape: the last two of what is fed."""
    graph, q = Graph(), affine()
    x = typed(graph, kind, [2, 3, 4], **q)
    dims, part, size = graph.tensor([3], "INT32"), graph.tensor([2], "INT32"), graph.tensor([2], "INT32")
    graph.apply("SHAPE", [x], [dims], "ShapeOptions", outType=graph.schema.TensorType.INT32)
    graph.apply("STRIDED_SLICE", [dims, *map(graph.numbers, ([1], [3], [1]))], [part], "StridedSliceOptions")
    graph.apply("BROADCAST_ARGS", [part, graph.numbers([1])], [size])
    y, total = typed(graph, kind, [3, 4], **q), typed(graph, kind, [2, 3, 4], **affine())
    graph.apply("FILL", [size, constant(graph, kind, [], **q)], [y], "FillOptions")
    return graph.finish("ADD", [x, y], total, [x], "AddOptions")


def rows(kind):
    """Norms and logarithms of shares, by rows."""
    graph = Graph()
    x, y = typed(graph, kind, [6, 10], **affine()), typed(graph, kind, [6, 10], scale=1 / 128)
    yield "l2_normalization", graph.finish("L2_NORMALIZATION", [x], y, [x], "L2NormOptions")
    graph = Graph()
    x, y = typed(graph, kind, [6, 10], **affine()), typed(graph, kind, [6, 10], scale=1 / 16, zero=127)
    yield "log_softmax", graph.finish("LOG_SOFTMAX", [x], y, [x], "LogSoftmaxOptions")


def squared_difference(kind):
    graph = Graph()
    x, other = typed(graph, kind, [4, 5, 6], **affine()), constant(graph, kind, [5, 6], **affine())
    y = typed(graph, kind, [4, 5, 6], scale=scale() * 4, zero=zero())
    return graph.finish("SQUARED_DIFFERENCE", [x, other], y, [x], "SquaredDifferenceOptions")


def inverse_root():
    """Of integers from zero on; there is none of others."""
    graph = Graph()
    x = graph.tensor([16, 16], scale=scale(), zero=-128)
    y = graph.tensor([16, 16], scale=scale() * 0.3, zero=zero())
    return graph.finish("RSQRT", [x], y, [x])


def further(kind):
    """Comparisons, choices, repetitions, blocks and running sums."""
    for alike in (False, True):
        yield f"prelu_{alike}", prelu(kind, alike)
    yield "prelu_fine", prelu(kind, True, 1 / 2000)
    for index in range(4):
        yield f"squared_difference_{index}", squared_difference(kind)
        if kind == "INT8":
            yield f"rsqrt_{index}", inverse_root()
    for name in ("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "EQUAL", "NOT_EQUAL"):
        for alike in (False, True):
            yield f"{name.lower()}_{alike}", compare(kind, name, alike)
    for name in ("SELECT", "SELECT_V2"):
        yield name.lower(), select(kind, name)
    yield "tile", moved(kind, "TILE", [2, 1, 3], [2, 4, 6], [[1, 4, 2]], "TileOptions")
    yield "broadcast_to", moved(kind, "BROADCAST_TO", [3, 1, 4], [2, 3, 5, 4], [[2, 3, 5, 4]])
    yield "reverse", moved(kind, "REVERSE_V2", [2, 5, 3], [2, 5, 3], [[1]], "ReverseV2Options")
    amounts = [[[1, 0], [2, 1], [0, 2]]]
    for mode in (0, 1):
        options = dict(options="MirrorPadOptions", mode=mode)
        yield f"mirror_pad_{mode}", moved(kind, "MIRROR_PAD", [3, 5, 4], [4, 8, 6], amounts, **options)
    beside = [[1, 2], [0, 1]]
    yield "space_to_batch", moved(
        kind, "SPACE_TO_BATCH_ND", [1, 6, 8, 3], [8, 3, 2, 3], [[2, 4], [[0, 0], [0, 0]]], "SpaceToBatchNDOptions"
    )
    yield "batch_to_space", moved(
        kind, "BATCH_TO_SPACE_ND", [8, 4, 2, 3], [1, 5, 7, 3], [[2, 4], beside], "BatchToSpaceNDOptions"
    )
    yield "embedding_lookup", embedding(kind)
    for index in (0, 1):
        yield f"top_k_{index}", top_k(kind, index)
    for to in ("FLOAT32", "INT32", "INT8", "BOOL"):
        yield f"cast_{to.lower()}", cast(kind, to)
    for name in ("LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT"):
        yield name.lower(), logical(name)
    for axis, exclusive, reverse in ((1, False, False), (2, True, False), (0, False, True), (1, True, True)):
        yield f"cumsum_{axis}_{exclusive}_{reverse}", cumulative(kind, axis, exclusive, reverse)
