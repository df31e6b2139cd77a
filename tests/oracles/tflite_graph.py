"""TensorFlow Lite models of one operator or a few, made by hand: what those of all operators are made of."""

import numpy as np


class Graph:
    """A model of one operator or a few."""

    def __init__(self):
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators, self.model.operatorCodes = [], [], []
        self.model.subgraphs = [self.graph]

    def tensor(self, shape, kind="INT8", scale=None, zero=0, data=None, axis=0):
        schema = self.schema
        tensor = schema.TensorT()
        tensor.name = f"t{len(self.graph.tensors)}".encode()
        tensor.shape = list(shape)
        tensor.type = getattr(schema.TensorType, kind)
        tensor.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), dtype=np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        if scale is not None:
            quantization = schema.QuantizationParametersT()
            scales = np.atleast_1d(np.asarray(scale, dtype=np.float32))
            quantization.scale = scales
            quantization.zeroPoint = np.full(len(scales), zero, dtype=np.int64)
            quantization.quantizedDimension = axis
            tensor.quantization = quantization
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def numbers(self, values, kind=np.int32):
        values = np.asarray(values, dtype=kind)
        return self.tensor(values.shape, "INT32", data=values)

    def apply(self, name, inputs, outputs, options=None, **fields):
        """One more operator."""
        schema = self.schema
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        # Old versions of some operators take other types.
        first = ("PRELU", "LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT", "CUMSUM", "SHAPE", "BROADCAST_ARGS")
        first += ("RESHAPE", "CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE")
        versions = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4} | dict.fromkeys(first, 1)
        code.version = versions.get(name, 2)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes)
        operator.inputs, operator.outputs = inputs, outputs
        if options:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, options + "T")()
            for field, value in fields.items():
                setattr(operator.builtinOptions, field, value)
        self.model.operatorCodes.append(code)
        self.graph.operators.append(operator)

    def finish(self, name, inputs, output, fed, options=None, made=None, **fields):
        """The file; `made` are all outputs of the last operator where the model's is one of several."""
        self.apply(name, inputs, made or [output], options, **fields)
        self.graph.inputs, self.graph.outputs = fed, [output]
        import flatbuffers

        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


RANDOM = np.random.default_rng(7)


def scale():
    return float(np.float32(np.exp(RANDOM.uniform(-6, -1))))


def zero():
    return int(RANDOM.integers(-128, 128))


def weights(shape):
    return RANDOM.integers(-127, 128, shape).astype(np.int8)


def affine():
    return {"scale": scale(), "zero": zero()}


def typed(graph, kind, shape, **quantization):
    """A tensor of int8 with its scale, or of floats without."""
    return graph.tensor(shape, kind, **(quantization if kind == "INT8" else {}))


def constant(graph, kind, shape, **quantization):
    values = weights(shape)
    if kind == "INT8":
        return graph.tensor(shape, data=values, **quantization)
    return graph.tensor(shape, kind, data=values.astype(np.float32) / 50)


def moved(kind, name, shape, output, extra=(), options=None, **fields):
    """Elements in other places, with one scale."""
    graph, q = Graph(), affine()
    x, y = typed(graph, kind, shape, **q), typed(graph, kind, output, **q)
    further = [graph.numbers(values) for values in extra]
    return graph.finish(name, [x, *further], y, [x], options, **fields)
