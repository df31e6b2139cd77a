"""Models that keep variables from run to run, with the outputs of TensorFlow Lite Micro for a sequence of
inputs.

    tflite_variables.py operators FOLDER   write them with inputs and outputs
    tflite_variables.py floats FOLDER      the same of floats
    tflite_variables.py litert FOLDER      the same of floats, by LiteRT
    tflite_variables.py refusals FOLDER    write models that cannot be imported, with reasons
    tflite_variables.py fixtures FOLDER    write the models of crates/import/tests/fixtures
"""

import sys
from pathlib import Path

import numpy as np
from tflite import Lite, Micro
from tflite_graph import RANDOM, Graph, affine, constant, scale, typed, weights, zero

STEPS = 12


class Variables(Graph):
    """A graph with variables, and the graph that starts them."""

    def __init__(self, kind="INT8"):
        super().__init__()
        self.kind = kind
        self.main, self.starting = self.graph, None

    def handle(self, name):
        tensor = self.tensor([], "RESOURCE")
        self.apply("VAR_HANDLE", [], [tensor], "VarHandleOptions", container=b"", sharedName=name.encode())
        return tensor

    def read(self, name, shape, **q):
        to = typed(self, self.kind, shape, **q)
        self.apply("READ_VARIABLE", [self.handle(name)], [to], "ReadVariableOptions")
        return to

    def assign(self, name, value):
        self.apply("ASSIGN_VARIABLE", [self.handle(name), value], [], "AssignVariableOptions")

    def start(self, name, shape, values=None, **q):
        """What a variable starts from; zero points where nothing is given."""
        if self.starting is None:
            self.starting = self.schema.SubGraphT()
            self.starting.tensors, self.starting.operators = [], []
            self.starting.inputs, self.starting.outputs = [], []
            self.starting.name = b"start"
            self.model.subgraphs.append(self.starting)
            self.apply("CALL_ONCE", [], [], "CallOnceOptions", initSubgraphIndex=1)
        self.graph = self.starting
        numbers = {"INT8": np.int8, "INT16": np.int16, "FLOAT32": np.float32}[self.kind]
        if values is None:
            values = np.full(shape, q.get("zero", 0) if self.kind != "FLOAT32" else 0)
        data = np.broadcast_to(np.asarray(values), shape).astype(numbers)
        q = q if self.kind != "FLOAT32" else {}
        self.assign(name, self.tensor(shape, self.kind, data=data, **q))
        self.graph = self.main

    def concat(self, parts, shape, axis, **q):
        to = typed(self, self.kind, shape, **q)
        self.apply("CONCATENATION", parts, [to], "ConcatenationOptions", axis=axis)
        return to

    def strided(self, value, starts, ends, shape, masks=(0, 0), **q):
        to = typed(self, self.kind, shape, **q)
        operands = [self.numbers(starts), self.numbers(ends), self.numbers([1] * len(starts))]
        fields = dict(beginMask=masks[0], endMask=masks[1])
        self.apply("STRIDED_SLICE", [value, *operands], [to], "StridedSliceOptions", **fields)
        return to

    def latest(self, value, shape, steps, **q):
        """The last steps, as slices of the training framework are converted."""
        rank, masks = len(shape), (0b1111 & ~0b10,) * 2
        part = [shape[0], steps, *shape[2:]]
        return self.strided(value, [0, -steps, 0, 0][:rank], [0, shape[1], 0, 0][:rank], part, (masks[0], 0b1111), **q)

    def ring(self, name, x, shape, steps, **q):
        """The last steps of a stream and the new ones, as kws_streaming keeps them."""
        before = self.read(name, [shape[0], steps, *shape[2:]], **q)
        whole = [shape[0], steps + shape[1], *shape[2:]]
        memory = self.concat([before, x], whole, 1, **q)
        self.assign(name, self.latest(memory, whole, steps, **q))
        return memory, whole

    def convolution(self, x, shape, outputs, size, depthwise=False, stride=1, activation=1, **q):
        kernel = [1, size, 1, outputs] if depthwise else [outputs, size, 1, shape[3]]
        axis = 3 if depthwise else 0
        dims = [1, (shape[1] - size) // stride + 1, shape[2], outputs]
        if self.kind == "FLOAT32":
            w = self.tensor(kernel, "FLOAT32", data=RANDOM.normal(size=kernel).astype(np.float32) / size)
            b = self.tensor([outputs], "FLOAT32", data=RANDOM.normal(size=outputs).astype(np.float32))
        else:
            scales = [scale() for _ in range(outputs)]
            w = self.tensor(kernel, scale=scales, data=weights(kernel), axis=axis)
            data = RANDOM.integers(-3000, 3000, outputs).astype(np.int32)
            b = self.tensor([outputs], "INT32", scale=scales, data=data)
        y = typed(self, self.kind, dims, **q)
        name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        fields = dict(padding=1, strideH=stride, strideW=1, fusedActivationFunction=activation)
        fields |= dict(dilationHFactor=1, dilationWFactor=1)
        if depthwise:
            fields["depthMultiplier"] = 1
        self.apply(name, [x, w, b], [y], "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions", **fields)
        return y, dims

    def done(self, x, y):
        """The file, of which the last operator was there already."""
        self.graph.inputs, self.graph.outputs = [x], [y]
        import flatbuffers

        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def ring(kind, is_started, steps=3, new=1, values=None):
    """A convolution over a ring of steps."""
    graph, q = Variables(kind), affine()
    if kind == "INT16":
        q["zero"] = 0
    if is_started:
        graph.start("ring", [1, steps, 4, 6], values, **q)
    x = typed(graph, kind, [1, new, 4, 6], **q)
    memory, shape = graph.ring("ring", x, [1, new, 4, 6], steps, **q)
    to = {"scale": scale() * 30, "zero": zero()}
    y, _ = graph.convolution(memory, shape, 5, steps + 1, **to)
    return graph.done(x, y)


def one_step(kind):
    """The oldest step is left out before the new one comes, and all of it is kept."""
    graph, q = Variables(kind), affine()
    x = typed(graph, kind, [1, 1, 5], **q)
    before = graph.read("ring", [1, 4, 5], **q)
    rest = graph.strided(before, [0, 1, 0], [0, 4, 0], [1, 3, 5], (0b101, 0b101), **q)
    memory = graph.concat([rest, x], [1, 4, 5], 1, **q)
    graph.assign("ring", memory)
    y = typed(graph, kind, [1, 20], **q)
    return graph.finish("RESHAPE", [memory, graph.numbers([1, 20])], y, [x])


def pieces(kind):
    """Parts by sizes take the oldest step away."""
    graph, q = Variables(kind), affine()
    x = typed(graph, kind, [1, 1, 5], **q)
    before = graph.read("ring", [1, 4, 5], **q)
    oldest, rest = typed(graph, kind, [1, 1, 5], **q), typed(graph, kind, [1, 3, 5], **q)
    graph.apply("SPLIT_V", [before, graph.numbers([1, -1]), graph.numbers(1)], [oldest, rest], "SplitVOptions", numSplits=2)
    memory = graph.concat([rest, x], [1, 4, 5], 1, **q)
    graph.assign("ring", memory)
    y = graph.concat([oldest, memory], [1, 5, 5], 1, **q)
    return graph.done(x, y)


def orders(kind, is_twice):
    """What is read before an assignment, behind it, and behind another one."""
    graph, q = Variables(kind), affine()
    if kind == "FLOAT32":
        graph.start("a", [2, 6])
    x, other = typed(graph, kind, [2, 6], **q), constant(graph, kind, [2, 6], **q)
    parts = [graph.read("a", [2, 6], **q), graph.read("a", [2, 6], **q)]
    graph.assign("a", x)
    parts.append(graph.read("a", [2, 6], **q))
    if is_twice:
        graph.assign("a", other)
        parts.append(graph.read("a", [2, 6], **q))
    y = graph.concat(parts, [2 * len(parts), 6], 0, **q)
    return graph.done(x, y)


def shift(kind, count):
    """Each variable gets what the one before held; the first one gets what the last one held, or the input."""
    graph, q = Variables(kind), affine()
    for index in range(count):
        graph.start(f"v{index}", [1, 4], RANDOM.integers(-128, 128, [1, 4]), **q)
    x = typed(graph, kind, [1, 4], **q)
    held = [graph.read(f"v{index}", [1, 4], **q) for index in range(count)]
    for index, value in enumerate([x, *held[:-1]] if count > 2 else reversed(held)):
        graph.assign(f"v{index}", value)
    y = graph.concat([x, *held], [count + 1, 4], 0, **q)
    return graph.done(x, y)


def held(kind, is_assigned):
    """What a variable held is the output; where nothing assigns to it, it is constant."""
    graph, q = Variables(kind), affine()
    graph.start("a", [3, 4], weights([3, 4]), **q)
    x = typed(graph, kind, [3, 4], **q)
    y = graph.read("a", [3, 4], **q)
    if is_assigned:
        graph.assign("a", x)
    else:
        total = typed(graph, kind, [3, 4], **affine())
        graph.apply("ADD", [x, y], [total], "AddOptions")
        y = total
    return graph.done(x, y)


def sum_so_far(kind, shape=(3, 4)):
    """A sum that grows with every run."""
    graph, q = Variables(kind), affine()
    shape = list(shape)
    if kind == "FLOAT32":
        graph.start("sum", shape, np.float32(0.5))
    x = typed(graph, kind, shape, **q)
    before = graph.read("sum", shape, **q)
    y = typed(graph, kind, shape, **q)
    graph.apply("ADD", [before, x], [y], "AddOptions")
    graph.assign("sum", y)
    return graph.done(x, y)


def other_scale():
    """The variable is read with another zero point than it is assigned with: its bytes stay."""
    graph = Variables()
    x = graph.tensor([2, 5], scale=0.1, zero=-7)
    before = graph.read("a", [2, 5], scale=0.3, zero=11)
    graph.assign("a", x)
    flat = graph.tensor([10], scale=0.3, zero=11)
    return graph.finish("RESHAPE", [before, graph.numbers([10])], flat, [x])


def other_shape():
    """What is assigned is read under other dimensions."""
    graph, q = Variables(), affine()
    x = graph.tensor([2, 5], **q)
    before, behind = graph.read("a", [10], **q), None
    graph.assign("a", x)
    behind = graph.read("a", [10], **q)
    y = graph.concat([before, behind], [20], 0, **q)
    return graph.done(x, y)


def wake_word(kind="INT8"):
    """Convolutions over rings, two of them of mixed sizes, as microWakeWord has them."""
    graph, features = Variables(kind), 40
    q = {"scale": 0.101_960_78, "zero": -128}
    rings = {"first": ([1, 2, 1, features], q)}
    blocks = [(8, (3, 5)), (12, (5, 9))]
    inner = [{"scale": 0.05 + 0.01 * index, "zero": -128} for index in range(3)]
    shapes = {"mixed0": [1, 4, 1, 8], "mixed1": [1, 8, 1, 12], "flat": [1, 5, 1, 12]}
    for index, (name, shape) in enumerate(shapes.items()):
        rings[name] = (shape, inner[index])
    for name, (shape, own) in rings.items():
        graph.start(name, shape, **own)
    x = typed(graph, kind, [1, 3, features], **q)
    images = typed(graph, kind, [1, 3, 1, features], **q)
    graph.apply("RESHAPE", [x, graph.numbers([1, 3, 1, features])], [images], "ReshapeOptions")
    memory, shape = graph.ring("first", images, [1, 3, 1, features], 2, **q)
    value, shape = graph.convolution(memory, shape, 8, 5, **inner[0])
    for index, (channels, sizes) in enumerate(blocks):
        own, to = inner[index], inner[index + 1]
        memory, whole = graph.ring(f"mixed{index}", value, shape, max(sizes) - 1, **own)
        half = channels // 2
        parts = [typed(graph, kind, [1, whole[1], 1, half], **own) for _ in sizes]
        operands = [memory, graph.numbers([half, half]), graph.numbers(-1)]
        graph.apply("SPLIT_V", operands, parts, "SplitVOptions", numSplits=2)
        made = []
        for part, size in zip(parts, sizes):
            kept = graph.latest(part, [1, whole[1], 1, half], size, **own)
            made.append(graph.convolution(kept, [1, size, 1, half], half, size, True, activation=0, **own)[0])
        joined = graph.concat(made, [1, 1, 1, channels], 3, **own)
        value, shape = graph.convolution(joined, [1, 1, 1, channels], 12, 1, **to)
    memory, whole = graph.ring("flat", value, shape, 5, **inner[2])
    count = int(np.prod(whole))
    flat, sums = typed(graph, kind, [1, count], **inner[2]), typed(graph, kind, [1, 1], scale=0.2, zero=3)
    graph.apply("RESHAPE", [memory, graph.numbers([1, count])], [flat], "ReshapeOptions")
    if kind == "FLOAT32":
        w = graph.tensor([1, count], kind, data=RANDOM.normal(size=[1, count]).astype(np.float32))
    else:
        w = graph.tensor([1, count], scale=0.01, data=weights([1, count]))
    graph.apply("FULLY_CONNECTED", [flat, w, -1], [sums], "FullyConnectedOptions")
    share = typed(graph, kind, [1, 1], scale=1 / 256, zero=-128)
    graph.apply("LOGISTIC", [sums], [share])
    if kind == "FLOAT32":
        return graph.done(x, share)
    return graph.finish("QUANTIZE", [share], graph.tensor([1, 1], "UINT8", scale=1 / 256), [x])


def models(kind):
    for is_started in (True, False) if kind != "FLOAT32" else (True,):
        yield f"ring_{is_started}", ring(kind, is_started)
    yield "ring_values", ring(kind, True, values=RANDOM.integers(-99, 99, [1, 3, 4, 6]))
    yield "ring_many_new", ring(kind, True, 2, 5)
    for is_twice in (False, True):
        yield f"orders_{is_twice}", orders(kind, is_twice)
    for is_assigned in (False, True):
        yield f"held_{is_assigned}", held(kind, is_assigned)
    for count in (2, 4):
        yield f"shift_{count}", shift(kind, count)
    yield "sum", sum_so_far(kind)
    yield "wake_word", wake_word(kind)


def integers():
    yield from models("INT8")
    yield "sum_scalar", sum_so_far("INT8", [])
    yield "one_step", one_step("INT8")
    yield "pieces", pieces("INT8")
    yield "other_scale", other_scale()
    yield "other_shape", other_shape()


def samples(shape, dtype):
    if dtype == np.float32:
        return [RANDOM.normal(size=shape).astype(dtype) for _ in range(STEPS)]
    limits = np.iinfo(dtype)
    return [RANDOM.integers(limits.min, limits.max, shape, endpoint=True, dtype=dtype) for _ in range(STEPS)]


def write(folder, all_models, runtime):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in all_models:
        try:
            runner = runtime(model)
            shape = [int(size) for size in runner.input["shape"]]
            given = samples(shape, np.dtype(runner.input["dtype"]))
            outputs = [np.array(runner.run(sample)).copy() for sample in given]
        except (RuntimeError, ValueError) as error:
            print(f"{name}: {runtime.__name__} refuses it: {error}")
            continue
        made = np.stack(outputs)
        # As the runtime holds them.
        made = made ^ np.uint8(0x80) if made.dtype == np.uint8 else made
        (folder / f"{name}.tflite").write_bytes(model)
        np.stack(given).tofile(folder / f"{name}.in")
        made.tofile(folder / f"{name}.out")


def operators(folder):
    write(folder, integers(), Micro)


def floats(folder):
    write(folder, models("FLOAT32"), Micro)


class Plain(Lite):
    """LiteRT without delegates: by its own one, what is read before an assignment is what is assigned."""

    def __init__(self, model):
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        kinds = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self.model = model
        self.interpreter = Interpreter(model_content=model, num_threads=1, experimental_op_resolver_type=kinds)
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]
        self.output = self.interpreter.get_output_details()[0]


def litert(folder):
    write(folder, models("FLOAT32"), Plain)


def refused():
    q = {"scale": 0.5, "zero": 1}
    graph = Variables()
    x, before = graph.tensor([1, 4], **q), graph.read("a", [1, 5], **q)
    graph.assign("a", x)
    yield "shapes", graph.done(x, before), "node 'a' (ASSIGN_VARIABLE): it gives int8 1x4 to a variable of int8 1x5"
    graph = Variables()
    x, y = graph.tensor([1, 4], **q), graph.tensor([1, 4], **q)
    graph.apply("ADD", [x, graph.read("a", [1, 4], **q)], [y], "AddOptions")
    yield "nothing", graph.done(x, y), "(READ_VARIABLE): nothing assigns to the variable 'a'"
    graph = Variables()
    graph.start("a", [1, 4], **q)
    graph.graph = graph.starting
    first, more = graph.tensor([1, 4], data=weights([1, 4]), **q), graph.tensor([1, 4], **q)
    graph.apply("LOGISTIC", [first], [more])
    graph.assign("a", more)
    graph.graph = graph.main
    x, before = graph.tensor([1, 4], **q), graph.read("a", [1, 4], **q)
    graph.assign("a", x)
    yield "computed", graph.done(x, before), "(ASSIGN_VARIABLE): what 'a' starts from is computed"
    graph = Variables()
    graph.start("a", [1, 3], **q)
    x, before = graph.tensor([1, 4], **q), graph.read("a", [1, 4], **q)
    graph.assign("a", x)
    yield "start", graph.done(x, before), "'a' starts from int8 1x3 and is read as int8 1x4"
    graph = Variables()
    x, before = graph.tensor([1, 4], **q), graph.read("a", [1, 4], **q)
    graph.assign("a", x)
    graph.start("a", [1, 4], **q)
    yield "late", graph.done(x, before), "(CALL_ONCE): it is called behind operators that read or assign"


def refusals(folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, model, reason in refused():
        (folder / f"{name}.tflite").write_bytes(model)
        (folder / f"{name}.txt").write_text(reason)


def fixtures(folder):
    (Path(folder) / "wake_word.tflite").write_bytes(wake_word())
    (Path(folder) / "ring.tflite").write_bytes(ring("INT8", True, values=weights([1, 3, 4, 6])))
    (Path(folder) / "wake_word_float.tflite").write_bytes(wake_word("FLOAT32"))


if __name__ == "__main__":
    commands = {"operators": operators, "floats": floats, "litert": litert}
    commands |= {"refusals": refusals, "fixtures": fixtures}
    commands[sys.argv[1]](*sys.argv[2:])
