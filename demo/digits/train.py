"""Trains the demonstration model and writes the files beside this script.

The data are the 1,797 handwritten digits of 8x8 pixels that scikit-learn ships. The network is
small but has every structure that an optimizer has work with: convolutions followed by batch
normalization and ReLU, a residual addition, a depthwise convolution, pooling, a fully connected
layer and a softmax. The graph is written as a framework's exporter writes it: NCHW, a symbolic
batch dimension, and batch normalization as nodes of its own.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt && venv/bin/python train.py
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 0
TEST_COUNT = 497
CLASS_COUNT = 10
PIXEL_MAX = 16.0
EPOCHS = 60
BATCH = 52  # Divides the 1,300 training images.
LEARNING_RATE_MAX = 4e-3
WEIGHT_DECAY = 1e-3
BATCH_NORM_EPSILON = 1e-5
BATCH_NORM_MOMENTUM = 0.9
ONNX_OPSET = 13

# name: (output channels, input channels per group, kernel size, stride, groups)
CONVOLUTIONS = {
    "stem": (16, 1, 3, 1, 1),
    "residual_a": (16, 16, 3, 1, 1),
    "residual_b": (16, 16, 3, 1, 1),
    "depthwise": (16, 1, 3, 2, 16),
    "pointwise": (32, 16, 1, 1, 1),
}
FEATURE_COUNT = 32 * 2 * 2

HERE = Path(__file__).resolve().parent


def split_digits():
    """Returns train images, test images, train labels, test labels; images are u8 [N, 1, 8, 8]."""
    digits = load_digits()
    images = digits.images.astype(np.uint8)[:, None, :, :]
    return train_test_split(
        images, digits.target.astype(np.int64),
        test_size=TEST_COUNT, stratify=digits.target, random_state=SEED,
    )


def initial_parameters(key):
    """Returns (trainable parameters, running statistics of the batch normalizations)."""
    parameters, statistics = {}, {}
    for name, (out_channels, in_channels, size, _, _) in CONVOLUTIONS.items():
        key, subkey = jax.random.split(key)
        shape = (out_channels, in_channels, size, size)
        deviation = np.sqrt(2.0 / (in_channels * size * size))
        parameters[name] = {
            "weight": jax.random.normal(subkey, shape) * deviation,
            "scale": jnp.ones(out_channels),
            "bias": jnp.zeros(out_channels),
        }
        statistics[name] = {"mean": jnp.zeros(out_channels), "variance": jnp.ones(out_channels)}
    key, subkey = jax.random.split(key)
    weight = jax.random.normal(subkey, (CLASS_COUNT, FEATURE_COUNT)) / np.sqrt(FEATURE_COUNT)
    parameters["classifier"] = {"weight": weight, "bias": jnp.zeros(CLASS_COUNT)}
    return parameters, statistics


def convolve_normalize(x, name, parameters, statistics, training):
    """One convolution and its batch normalization; returns (y, updated statistics)."""
    _, _, size, stride, groups = CONVOLUTIONS[name]
    pad = size // 2
    layer, running = parameters[name], statistics[name]
    y = jax.lax.conv_general_dilated(
        x, layer["weight"], (stride, stride), [(pad, pad), (pad, pad)], feature_group_count=groups
    )
    mean, variance = running["mean"], running["variance"]
    if training:
        mean, variance = y.mean((0, 2, 3)), y.var((0, 2, 3))
        running = {
            "mean": BATCH_NORM_MOMENTUM * running["mean"] + (1 - BATCH_NORM_MOMENTUM) * mean,
            "variance": BATCH_NORM_MOMENTUM * running["variance"]
            + (1 - BATCH_NORM_MOMENTUM) * variance,
        }
    gain = layer["scale"] / jnp.sqrt(variance + BATCH_NORM_EPSILON)
    shift = layer["bias"] - mean * gain
    return y * gain[:, None, None] + shift[:, None, None], running


def forward(parameters, statistics, x, training):
    """Returns (logits [N, 10], updated statistics) of images scaled to 0..1, [N, 1, 8, 8]."""
    updated = {}

    def layer(value, name):
        value, updated[name] = convolve_normalize(value, name, parameters, statistics, training)
        return value

    x = jax.nn.relu(layer(x, "stem"))
    branch = jax.nn.relu(layer(x, "residual_a"))
    x = jax.nn.relu(x + layer(branch, "residual_b"))
    x = jax.nn.relu(layer(x, "depthwise"))
    x = jax.nn.relu(layer(x, "pointwise"))
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels, height // 2, 2, width // 2, 2).mean((3, 5))
    x = x.reshape(batch, FEATURE_COUNT)
    logits = x @ parameters["classifier"]["weight"].T + parameters["classifier"]["bias"]
    return logits, updated


def loss(parameters, statistics, x, labels):
    """Mean cross entropy of one batch, and the updated statistics."""
    logits, updated = forward(parameters, statistics, x, training=True)
    likelihood = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
    return -likelihood.mean(), updated


@jax.jit
def train_step(state, x, labels, step, step_count):
    """One step of AdamW with a cosine learning rate."""
    parameters, statistics, first, second = state
    gradient, statistics = jax.grad(loss, has_aux=True)(parameters, statistics, x, labels)
    rate = LEARNING_RATE_MAX * 0.5 * (1 + jnp.cos(jnp.pi * step / step_count))
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)

    def update(p, m, v):
        m_unbiased = m / (1 - 0.9 ** (step + 1))
        v_unbiased = v / (1 - 0.999 ** (step + 1))
        return p - rate * (m_unbiased / (jnp.sqrt(v_unbiased) + 1e-8) + WEIGHT_DECAY * p)

    return jax.tree.map(update, parameters, first, second), statistics, first, second


def shift_images(images, generator):
    """Moves each image by at most one pixel along each axis; the uncovered edge is zero."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    offsets = generator.integers(0, 3, size=(len(images), 2))
    return np.stack([p[:, y : y + 8, x : x + 8] for p, (y, x) in zip(padded, offsets)])


def train(images, labels):
    """Returns the trained parameters and statistics as NumPy arrays."""
    generator = np.random.default_rng(SEED)
    parameters, statistics = initial_parameters(jax.random.key(SEED))
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = (parameters, statistics, zeros, zeros)
    scaled = images.astype(np.float32) / PIXEL_MAX
    steps_per_epoch = len(images) // BATCH
    step_count = EPOCHS * steps_per_epoch
    for step in range(step_count):
        if step % steps_per_epoch == 0:
            order = generator.permutation(len(images))
        start = step % steps_per_epoch * BATCH
        chosen = order[start : start + BATCH]
        batch = shift_images(scaled[chosen], generator)
        state = train_step(state, batch, labels[chosen], float(step), step_count)
    return jax.tree.map(np.asarray, state[:2])


class GraphWriter:
    """Collects ONNX nodes and initializers."""

    def __init__(self):
        self.nodes, self.initializers = [], []

    def constant(self, name, value):
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, operator, name, inputs, output=None, **attributes):
        output = output or f"{name}/output"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=name, **attributes))
        return output


def write_convolution(graph, x, name, parameters, statistics):
    """Adds Conv and BatchNormalization, unfused; returns the output's name."""
    _, _, size, stride, groups = CONVOLUTIONS[name]
    layer, running = parameters[name], statistics[name]
    weight = graph.constant(f"{name}.conv.weight", layer["weight"])
    x = graph.node(
        "Conv", f"/{name}/conv/Conv", [x, weight],
        kernel_shape=[size, size], strides=[stride, stride], pads=[size // 2] * 4,
        dilations=[1, 1], group=groups,
    )
    normalization = [
        graph.constant(f"{name}.bn.weight", layer["scale"]),
        graph.constant(f"{name}.bn.bias", layer["bias"]),
        graph.constant(f"{name}.bn.running_mean", running["mean"]),
        graph.constant(f"{name}.bn.running_var", running["variance"]),
    ]
    return graph.node(
        "BatchNormalization", f"/{name}/bn/BatchNormalization", [x, *normalization],
        epsilon=BATCH_NORM_EPSILON, momentum=BATCH_NORM_MOMENTUM,
    )


def write_onnx(path, parameters, statistics):
    """Writes the network; input `image` f32 [batch, 1, 8, 8], output `probabilities`."""
    graph = GraphWriter()

    def convolution(x, name):
        return write_convolution(graph, x, name, parameters, statistics)

    def relu(x, name):
        return graph.node("Relu", f"/{name}/relu/Relu", [x])

    x = relu(convolution("image", "stem"), "stem")
    branch = relu(convolution(x, "residual_a"), "residual_a")
    x = graph.node("Add", "/residual/Add", [x, convolution(branch, "residual_b")])
    x = relu(x, "residual")
    x = relu(convolution(x, "depthwise"), "depthwise")
    x = relu(convolution(x, "pointwise"), "pointwise")
    x = graph.node("AveragePool", "/pool/AveragePool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = graph.node("Flatten", "/Flatten", [x], axis=1)
    weight = graph.constant("classifier.weight", parameters["classifier"]["weight"])
    bias = graph.constant("classifier.bias", parameters["classifier"]["bias"])
    x = graph.node("Gemm", "/classifier/Gemm", [x, weight, bias], alpha=1.0, beta=1.0, transB=1)
    graph.node("Softmax", "/Softmax", [x], output="probabilities", axis=1)

    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])
    result = helper.make_tensor_value_info(
        "probabilities", TensorProto.FLOAT, ["batch", CLASS_COUNT]
    )
    model = helper.make_model(
        helper.make_graph(graph.nodes, "digits", [image], [result], graph.initializers),
        opset_imports=[helper.make_opsetid("", ONNX_OPSET)],
        ir_version=7, producer_name="demo/digits/train.py",
    )
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(model, strict_mode=True))
    path.write_bytes(model.SerializeToString(deterministic=True))


def accuracy(path, images, labels):
    """Top-1 accuracy of an ONNX file by ONNX Runtime."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    scaled = images.astype(np.float32) / PIXEL_MAX
    (probabilities,) = session.run(None, {"image": scaled})
    return float((probabilities.argmax(1) == labels).mean())


def main():
    train_images, test_images, train_labels, test_labels = split_digits()
    parameters, statistics = train(train_images, train_labels)
    model_path = HERE / "digits.onnx"
    write_onnx(model_path, parameters, statistics)
    np.save(HERE / "train.npy", train_images)
    np.save(HERE / "train_labels.npy", train_labels)
    np.save(HERE / "test.npy", test_images)
    np.save(HERE / "test_labels.npy", test_labels)

    logits, _ = forward(parameters, statistics, test_images / PIXEL_MAX, training=False)
    trained = float((np.asarray(logits).argmax(1) == test_labels).mean())
    print(f"train images {len(train_images)}, test images {len(test_images)}")
    print(f"top-1 on train  {accuracy(model_path, train_images, train_labels):.4f}")
    print(f"top-1 on test   {accuracy(model_path, test_images, test_labels):.4f}"
          f"  (before export {trained:.4f})")
    print(f"digits.onnx     {model_path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
