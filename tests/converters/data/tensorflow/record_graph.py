"""Records what operations of a TensorFlow graph are written as in networks of Keras 2, and what they compute.

TensorFlow 2.0 to 2.3 wrote them so; later ones do where eager execution is off. The files `graph.json` and `graph.npz`
are like those of `record.py`, whose expressions these are like; each layer holds its NodeDef also as the text that
TensorFlow 2.0 and 2.1 wrote (`node_def_text`).

    TF_USE_LEGACY_KERAS=1 python tests/converters/data/tensorflow/record_graph.py
"""

import json
import os
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
import tf_keras
from google.protobuf import json_format

HERE = Path(__file__).parent
BATCH, SHAPE = 2, (6, 4, 3)
raw = tf.raw_ops


def array(*shape: int) -> np.ndarray:
    """Some numbers that are short in JSON."""
    return (np.random.default_rng(0).integers(-16, 17, shape) / 8).astype(np.float32)


CASES = """
x * 2.0 + 1.0; 1.0 - x * y; x / (tf.abs(y) + 1.0); (10 * x) // 3.0; (10 * x) % 3.0; x ** 2; -x; x + array(3)
tf.maximum(x, 0.1); tf.minimum(x, y); tf.math.squared_difference(x, y); tf.math.divide_no_nan(x, tf.nn.relu(y))
tf.math.atan2(x, y); raw.Add(x=x, y=y); raw.Div(x=x, y=tf.abs(y) + 1.0); tf.add_n([x, y, x])
tf.nn.bias_add(x, array(3)); tf.cast(x > 0, tf.float32); tf.cast(x >= y, tf.float32); tf.cast(x < y, tf.float32)
tf.cast(x <= 0.5, tf.float32); tf.cast(tf.equal(tf.round(x), 1.0), tf.float32)
tf.cast(tf.not_equal(tf.round(x), 1.0), tf.float32); tf.cast((x > 0) & (y > 0), tf.float32)
tf.cast((x > 0) | (y > 0), tf.float32); tf.cast(~(x > 0), tf.float32); tf.where(x > 0, x, y)
raw.Select(condition=x > 0, x=x, y=y); tf.cast(tf.math.is_nan(tf.math.log(x)), tf.float32)
tf.cast(tf.math.is_inf(1 / tf.nn.relu(x)), tf.float32)
tf.cast(tf.math.is_finite(1 / tf.nn.relu(x)), tf.float32)

tf.abs(x); tf.square(x); tf.sqrt(tf.abs(x)); tf.math.rsqrt(tf.abs(x) + 0.1); tf.exp(x)
tf.math.log(tf.abs(x) + 0.1); tf.math.log1p(tf.abs(x)); tf.math.expm1(x); tf.sign(x); tf.floor(x)
tf.math.ceil(x); tf.round(2 * x); tf.math.rint(2 * x); tf.sin(x); tf.cos(x); tf.tan(tf.tanh(x))
tf.asin(tf.tanh(x)); tf.acos(tf.tanh(x)); tf.atan(x); tf.sinh(x); tf.cosh(x); tf.asinh(x)
tf.acosh(tf.abs(x) + 1.1); tf.atanh(0.9 * tf.tanh(x)); tf.math.erf(x); tf.math.erfc(x); raw.Inv(x=x)
tf.math.reciprocal(x); raw.ClipByValue(t=x, clip_value_min=-0.5, clip_value_max=1.0); tf.identity(x) + y
tf.stop_gradient(x) + y; tf.sigmoid(x); tf.nn.relu(x); tf.nn.relu6(4 * x); tf.nn.elu(x); tf.nn.selu(x)
tf.nn.softplus(x); tf.nn.softsign(x); tf.nn.leaky_relu(x, 0.25); tf.nn.softmax(x); tf.nn.log_softmax(x)
tf.zeros_like(x) + y; raw.ZerosLike(x=x) + y; raw.OnesLike(x=x) + y; tf.cast(3 * x, tf.int32)

tf.reduce_mean(x, [1, 2]); tf.reduce_mean(x, -1, keepdims=True); tf.reduce_sum(x, 1); tf.reduce_max(x, [1, 2])
tf.reduce_min(x, 2); tf.reduce_prod(x, 1); tf.cast(tf.reduce_any(x > 1.5, 1), tf.float32)
tf.math.reduce_euclidean_norm(x, 1); tf.cast(tf.reduce_all(x > -1.5, 1), tf.float32); tf.argmax(x, -1)
tf.argmin(x, 1, output_type=tf.int32); tf.cumsum(x, 1); tf.cumsum(x, 1, exclusive=True, reverse=True)
tf.math.top_k(x, 2)

tf.reshape(x, [-1, 24, 3]); tf.transpose(x, [0, 2, 1, 3]); tf.expand_dims(x, 1); tf.squeeze(x[:, :1], [1])
tf.squeeze(x[:, :1]); tf.concat([x, y, x], -1); tf.stack([x, y], 1); tf.unstack(x, axis=1); tf.split(x, 2, 1)
tf.split(x, [1, 2], -1); tf.tile(x, [1, 2, 1, 3]); tf.reverse(x, [1]); tf.roll(x, 2, 1)
tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]]); tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], constant_values=2.5)
tf.pad(x, [[0, 0], [2, 1], [3, 0], [1, 0]], "REFLECT"); tf.pad(x, [[0, 0], [3, 2], [0, 4], [0, 0]], "SYMMETRIC")
tf.linalg.band_part(x, 1, 0); x[:, 1:, ::2]; x[..., -1]; x[:, None]; x[:, 1, :, -1]
tf.slice(x, [0, 1, 1, 0], [-1, 2, 2, -1]); tf.gather(x, [2, 0], axis=-1); tf.one_hot(tf.argmax(x, 1), 6)
tf.reshape(x, [tf.shape(x)[0], 24, 3]); tf.broadcast_to(x[:, :1], tf.shape(x)); tf.fill(tf.shape(x), 2.0) + y
x / tf.cast(tf.size(x), tf.float32)

tf.matmul(x, y, transpose_b=True); tf.matmul(tf.reduce_mean(x, [1, 2]), array(3, 5))
raw.BatchMatMul(x=x, y=y, adj_x=True); tf.nn.conv2d(x, array(3, 2, 3, 2), 1, "SAME")
tf.nn.conv2d(x, array(3, 2, 3, 2), [1, 2, 2, 1], "VALID")
tf.nn.depthwise_conv2d(x, array(3, 2, 3, 2), [1, 1, 1, 1], "SAME")
tf.nn.conv3d(x[:, None], array(1, 2, 2, 3, 2), [1] * 5, "SAME"); tf.nn.avg_pool2d(x, 2, 2, "SAME")
tf.nn.max_pool2d(x, [1, 3, 2, 1], [1, 2, 1, 1], "VALID"); tf.nn.max_pool3d(x[:, None], 1, 1, "SAME")
tf.nn.avg_pool3d(x[:, None], [1, 2, 2], 1, "VALID"); tf.nn.depth_to_space(tf.concat([x, y, y, x], -1), 2)
tf.nn.space_to_depth(x, 2); tf.image.resize(x, (9, 7)); tf.image.resize(x, (9, 3), method="nearest")
tf.image.resize(x, (9, 7), method="bicubic"); tf.compat.v1.image.resize_bilinear(x, (9, 7))
tf.compat.v1.image.resize_bilinear(x, (9, 7), align_corners=True); tf.compat.v1.image.resize_bicubic(x, (9, 7))
tf.compat.v1.image.resize_nearest_neighbor(x, (9, 3))

tf.einsum("bhwc,bxyc->bhx", x, y); tf.linalg.diag(x); tf.linalg.diag_part(x); tf.math.cumprod(x, 1)
tf.truncatediv(tf.cast(10 * x, tf.int32), 3); raw.TruncateMod(x=10 * x, y=3.0); x[:, :tf.shape(x)[1] - 2]
tf.image.extract_patches(x, [1, 2, 3, 1], [1, 2, 1, 1], [1, 1, 1, 1], "SAME")
x + tf.cast(tf.range(tf.shape(x)[3]), tf.float32)
tf.matmul(x, y, transpose_b=True) * tf.linalg.band_part(tf.ones((tf.shape(x)[2], tf.shape(x)[2])), -1, 0)
"""


def text_of(node_def: dict) -> str | None:
    """A NodeDef as TensorFlow 2.0 wrote it; None if its bytes are no text, so that it did not write it."""
    message = json_format.ParseDict(node_def, tf.compat.v1.NodeDef())
    try:
        return message.SerializeToString(deterministic=True).decode()
    except UnicodeDecodeError:
        return None


def main() -> None:
    """Write the files."""
    tf.compat.v1.disable_eager_execution()
    random = np.random.default_rng(1)
    values = [(2 * random.standard_normal((BATCH, *SHAPE))).astype(np.float32) for _name in "xy"]
    arrays, written = {"x": values[0], "y": values[1]}, {}
    expressions = [case.strip() for line in CASES.splitlines() for case in line.split(";") if case.strip()]
    for number, expression in enumerate(expressions):
        tf_keras.backend.clear_session()
        x, y = (tf_keras.Input(SHAPE, name=name) for name in "xy")
        computed = eval(expression, globals() | {"x": x, "y": y})
        outputs = list(computed) if isinstance(computed, list | tuple) else [computed]
        model = tf_keras.Model([x, y], outputs)
        config = json.loads(model.to_json())["config"]
        layers = [layer for layer in config["layers"] if layer["class_name"] != "InputLayer"]
        for layer in layers:
            node_def = layer["config"]["node_def"]
            layer["config"] = {
                "name": layer["config"]["name"],
                "node_def": node_def,
                "constants": layer["config"]["constants"],
            }
            layer["node_def_text"] = text_of(node_def)
            for key in ("module", "registered_name"):
                del layer[key]
        written[expression] = {"layers": layers, "outputs": config["output_layers"]}
        predicted = model.predict(values, verbose=0)
        for place, output in enumerate(predicted if len(outputs) > 1 else [predicted]):
            arrays[f"{number}.{place}"] = output
    versions = {"tensorflow": tf.__version__, "tf_keras": tf_keras.__version__, "numpy": np.__version__}
    lines = [f"  {json.dumps(expression)}: {json.dumps(network)}" for expression, network in written.items()]
    head = f'{{"versions": {json.dumps(versions)},\n "shape": {list(SHAPE)},\n "functions": {{\n'
    (HERE / "graph.json").write_text(head + ",\n".join(lines) + "\n}}\n")
    np.savez_compressed(HERE / "graph.npz", **arrays)


if __name__ == "__main__":
    main()
