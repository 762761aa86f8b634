"""Records what TensorFlow functions in Keras 2 networks are written as, and what they compute.

Run it where TensorFlow and `tf_keras` are installed; it writes `functions.json` and `functions.npz` beside itself. The
JSON holds the versions and, by the expression in `CASES`, the layers that Keras 2 writes for it between the inputs x
and y and the outputs; the `.npz` holds x, y and the outputs, `<number of the expression>.<number of the output>`.

    TF_USE_LEGACY_KERAS=1 python tests/converters/data/tensorflow/record.py
"""

import json
import os
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
import tf_keras

HERE = Path(__file__).parent
BATCH, SHAPE = 2, (6, 4, 3)
K = tf_keras.backend


def array(*shape: int) -> np.ndarray:
    """Some numbers that are short in JSON."""
    return (np.random.default_rng(0).integers(-16, 17, shape) / 8).astype(np.float32)


CASES = """
x + 1.0; 1.0 - x; x * y; x / (abs(y) + 1.0); (10 * x) // 3.0; (10 * x) % 3.0; x ** 2; -x; abs(x); x + array(3)
tf.add(x, array(6, 1, 3)); tf.math.add_n([x, y, x]); tf.maximum(x, 0.1); tf.minimum(x, y); tf.divide(x, 2.0)
tf.math.squared_difference(x, y); tf.math.divide_no_nan(x, tf.nn.relu(y))
tf.math.floormod(4 * x, tf.abs(y) + 0.5); tf.math.atan2(x, y); tf.math.floordiv(10 * x, 3.0); tf.subtract(x, y)
tf.math.multiply(2.0, x)

tf.cast(x > 0, 'float32'); tf.cast(x >= y, 'float32'); tf.cast(x < y, 'float32'); tf.cast(x <= 0.5, 'float32')
tf.cast(tf.equal(tf.round(x), tf.round(y)), 'float32'); tf.cast(tf.not_equal(tf.round(x), 1.0), 'float32')
tf.cast((x > 0) & (y > 0), 'float32'); tf.cast((x > 0) | (y > 0), 'float32'); tf.cast(~(x > 0), 'float32')
tf.cast(tf.math.logical_xor(x > 0, y > 0), 'float32'); tf.where(x > 0, x, y); tf.where(x > y, x, 0.0)
tf.cast(tf.math.is_nan(tf.math.log(x)), 'float32'); tf.cast(tf.math.is_inf(1 / tf.nn.relu(x)), 'float32')
tf.cast(tf.math.is_finite(1 / tf.nn.relu(x)), 'float32'); tf.compat.v1.where(x > 0, x, y)

tf.square(x); tf.sqrt(tf.abs(x)); tf.math.rsqrt(tf.abs(x) + 0.1); tf.exp(x); tf.math.log(tf.abs(x) + 0.1)
tf.math.log1p(tf.abs(x)); tf.math.expm1(x); tf.sign(x); tf.floor(x); tf.math.ceil(x); tf.round(2 * x); tf.sin(x)
tf.cos(x); tf.tan(tf.tanh(x)); tf.asin(tf.tanh(x)); tf.acos(tf.tanh(x)); tf.atan(x); tf.sinh(x); tf.cosh(x)
tf.asinh(x); tf.acosh(tf.abs(x) + 1.1); tf.atanh(0.9 * tf.tanh(x)); tf.math.erf(x); tf.math.erfc(x)
tf.math.reciprocal(tf.abs(x) + 0.5); tf.clip_by_value(x, -0.5, 1.0)
tf.clip_by_value(x, array(3) - 2, array(3) + 1); tf.identity(x) + y; tf.stop_gradient(x) + y
tf.ensure_shape(x, [None, 6, 4, 3]) + y; tf.cast(3 * x, 'int32'); tf.debugging.check_numerics(x, 'bad') + y
tf.cast(tf.cast(3 * x, tf.int64), tf.float32)

tf.nn.relu(x); tf.nn.relu6(4 * x); tf.nn.leaky_relu(x, 0.1); tf.nn.leaky_relu(x); tf.nn.elu(x); tf.nn.selu(x)
tf.nn.gelu(x); tf.nn.gelu(x, approximate=True); tf.nn.silu(x); tf.nn.silu(x, beta=0.5); tf.nn.softplus(x)
tf.nn.softsign(x); tf.nn.softmax(x); tf.nn.softmax(x, axis=1); tf.nn.log_softmax(x); tf.nn.crelu(x)
tf.math.sigmoid(x); tf.tanh(x); tf.math.log_sigmoid(x); K.hard_sigmoid(x); K.relu(x, max_value=6.0)
K.softmax(x); tf_keras.activations.mish(x); tf_keras.activations.gelu(x); tf.compat.v1.nn.softmax(x)
tf.compat.v1.nn.log_softmax(x)

tf.reduce_mean(x, [1, 2]); tf.reduce_mean(x, axis=-1, keepdims=True); tf.reduce_sum(x, 1)
tf.reduce_max(x, [1, 2]); tf.reduce_min(x, 2); tf.reduce_prod(x, 1); tf.reduce_logsumexp(x, 1)
tf.cast(tf.reduce_any(x > 1.5, 1), 'float32'); tf.cast(tf.reduce_all(x > -1.5, 1), 'float32')
tf.math.reduce_std(x, [1, 2]); tf.math.reduce_variance(x, 1); tf.math.reduce_euclidean_norm(x, 1)
tf.norm(x, axis=-1); tf.norm(x, ord=1, axis=1, keepdims=True); tf.math.count_nonzero(tf.nn.relu(x), axis=1)
tf.argmax(x, -1); tf.argmin(x, axis=1, output_type=tf.int32); tf.math.cumsum(x, axis=1)
tf.math.cumsum(x, axis=1, exclusive=True, reverse=True); tf.math.top_k(x, 2); tf.sort(x, axis=1)
tf.sort(x, direction='DESCENDING'); tf.argsort(x, axis=1); tf.math.l2_normalize(x, -1)
tf.nn.l2_normalize(x, [1, 2], epsilon=0.5); tf.nn.moments(x, [1, 2]); K.mean(x, axis=1)
K.std(x, axis=1, keepdims=True); K.argmax(x); tf.math.argmax(x, axis=2)

tf.reshape(x, [-1, 24, 3]); tf.reshape(x, [-1, 72]); K.batch_flatten(x); tf.transpose(x, [0, 2, 1, 3])
tf.expand_dims(x, 1); tf.expand_dims(x, -1); tf.squeeze(x[:, :1], 1); tf.squeeze(x[:, :1])
tf.compat.v1.transpose(x, [0, 3, 1, 2]); tf.concat([x, y], -1); tf.concat([x, y[:, 1:]], 1); tf.stack([x, y], 1)
tf.stack([x, y], -1); tf.unstack(x, axis=1); tf.split(x, 2, 1); tf.split(x, [1, 2], -1)
tf.split(x, [1, -1], axis=1); K.concatenate([x, y]); K.expand_dims(x, 2); tf.compat.v1.expand_dims(x, axis=1)

tf.tile(x, [1, 2, 1, 3]); tf.repeat(x, 2, axis=1); tf.repeat(x, [1, 0, 2], axis=-1); tf.reverse(x, [1])
tf.roll(x, 2, 1); tf.roll(x, [1, -1], [1, 3]); tf.zeros_like(x) + y; tf.ones_like(x) + y
tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]]); tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], constant_values=2.5)
tf.pad(x, [[0, 0], [2, 1], [3, 0], [1, 0]], 'REFLECT'); tf.pad(x, [[0, 0], [3, 2], [0, 4], [0, 0]], 'SYMMETRIC')
K.spatial_2d_padding(x); tf.linalg.band_part(x, 1, 0); tf.linalg.band_part(x, -1, 1); K.repeat_elements(x, 2, 1)
tf.compat.v1.zeros_like(x) + y; tf.compat.v1.ones_like(x) + y; K.zeros_like(x) + y; K.ones_like(x) + y
tf.compat.v1.pad(x, [[0, 0], [1, 1], [0, 0], [0, 0]])

x[:, 1:, ::2]; x[..., -1]; x[:, None]; x[:, tf.newaxis, ..., :2]; x[:, ::-1]; x[:, 4:1:-2]; x[:, 1, :, -1]
x[:, -3:-1]; tf.slice(x, [0, 1, 1, 0], [-1, 2, 2, -1]); tf.gather(x, [2, 0], axis=-1); tf.gather(x, 1, axis=1)
tf.gather(array(6, 5), tf.argmax(x, axis=1)); tf.gather(x, tf.argmax(y, axis=1)[..., 0], batch_dims=1)
tf.strided_slice(x, [0, 1, 0, 0], [0, 5, 3, 2], [1, 2, 1, 1], begin_mask=1, end_mask=1)
tf.strided_slice(x, [0, 0, 1, 2], [0, 0, 1, 3], None, 1, 3, 0, 4, 8)
tf.strided_slice(x, [0, 0, 1], [0, 0, 2], [1, 1, 1], begin_mask=1, end_mask=1, ellipsis_mask=2)
tf.one_hot(tf.argmax(x, axis=1), 6); tf.one_hot(tf.argmax(x, axis=1) - 1, 4, axis=1)
tf.one_hot(tf.argmax(x, 1), 6, 5.0, -1.0); K.one_hot(K.cast(tf.abs(x[..., 0]), 'int32'), 3)
tf.compat.v1.gather(x, [1, 0], axis=2)

tf.linalg.matmul(x, y, transpose_b=True); tf.matmul(x, y, transpose_a=True); x @ tf.transpose(y, [0, 1, 3, 2])
tf.linalg.matmul(x, array(3, 5)); tf.tensordot(x, array(3, 5), 1)
tf.tensordot(x, array(4, 3, 5), [[2, 3], [0, 1]]); K.dot(x, K.constant(array(3, 5)))
K.batch_dot(x[:, 0], y[:, 0], axes=2)

tf.image.resize(x, (12, 8)); tf.image.resize(x, (9, 7)); tf.image.resize(x, (3, 3))
tf.image.resize(x, (9, 3), method='nearest'); tf.image.resize(x, (9, 7), method='bicubic')
tf.image.resize(x, (4, 3), method='bicubic'); tf.image.resize(x, (3, 3), antialias=True)
tf.image.resize(x, (4, 9), method='bicubic', antialias=True)
tf.compat.v1.image.resize_bicubic(x, (9, 7), align_corners=True); tf.compat.v1.image.resize_bilinear(x, (9, 7))
tf.compat.v1.image.resize_bilinear(x, (9, 7), align_corners=True); tf.compat.v1.image.resize(x, (12, 8))
tf.compat.v1.image.resize_nearest_neighbor(x, (9, 3)); tf.compat.v1.image.resize_bicubic(x, (9, 7))
K.resize_images(x, 2, 3, 'channels_last', interpolation='bilinear'); tf.image.resize_with_crop_or_pad(x, 3, 7)
tf.image.rgb_to_grayscale(x); tf.image.flip_left_right(x); tf.image.flip_up_down(x)
tf.image.crop_to_bounding_box(x, 1, 2, 4, 2); tf.image.pad_to_bounding_box(x, 1, 2, 9, 8)
tf.nn.depth_to_space(tf.concat([x, y, y, x], -1), 2); tf.nn.space_to_depth(x, 2)
tf.compat.v1.nn.depth_to_space(tf.concat([x, y, y, x], -1), 2); tf.compat.v1.nn.space_to_depth(x, 2)

tf.nn.avg_pool2d(x, 2, 2, 'SAME'); tf.nn.avg_pool2d(x, 3, 1, 'SAME')
tf.nn.max_pool2d(x, [1, 3, 2, 1], [1, 2, 1, 1], 'VALID'); tf.nn.avg_pool(x, 2, 2, 'VALID')
tf.nn.max_pool(x, 3, 2, 'SAME'); tf.nn.avg_pool1d(x[:, 0], 2, 2, 'SAME')
tf.nn.max_pool1d(x[:, 0], 2, 1, 'VALID'); tf.nn.max_pool3d(x[:, None], 1, 1, 'SAME')
tf.nn.avg_pool3d(x[:, None], [1, 2, 2], 1, 'VALID'); K.pool2d(x, (2, 2))
K.pool2d(x, (2, 2), pool_mode='avg', padding='same'); tf.nn.conv2d(x, array(3, 2, 3, 2), 1, 'SAME')
tf.nn.conv2d(x, array(3, 2, 3, 2), [1, 2, 2, 1], 'VALID')
tf.nn.conv2d(x, array(2, 2, 3, 2), 1, 'SAME', dilations=2); tf.nn.conv2d(x, array(2, 2, 1, 6), 1, 'SAME')
tf.nn.conv1d(x[:, 0], array(2, 3, 4), 1, 'SAME')
tf.nn.conv3d(x[:, None], array(1, 2, 2, 3, 2), [1, 1, 1, 1, 1], 'SAME')
tf.nn.convolution(x, array(2, 2, 3, 2), padding='SAME')
tf.nn.depthwise_conv2d(x, array(3, 2, 3, 2), [1, 1, 1, 1], 'SAME'); tf.nn.bias_add(x, array(3))
tf.nn.batch_normalization(x, array(3), abs(array(3)) + 1, array(3), None, 1e-3)
K.conv2d(x, array(3, 2, 3, 2), padding='same'); K.depthwise_conv2d(x, array(3, 2, 3, 2))
K.bias_add(x, array(3))

tf.reshape(x, [tf.shape(x)[0], 24, 3]); tf.reshape(x, [tf.shape(x)[0], tf.shape(x)[1] * tf.shape(x)[2], 3])
tf.reshape(x, tf.concat([tf.shape(x)[:1], [24, 3]], 0)); tf.reshape(x, tf.stack([tf.shape(x)[0], -1]))
tf.image.resize(x, tf.shape(tf.concat([y, y], 1))[1:3]); tf.image.resize(x, tf.shape(x)[1:3] * 2)
tf.image.resize(x, tf.cast(tf.cast(tf.shape(x)[1:3], tf.float32) * 1.5, tf.int32))
tf.fill(tf.shape(x), 2.0) + y; tf.image.resize(x, [tf.shape(x)[1] // 2, tf.shape(x)[2] + 1])
tf.tile(x, [1, tf.shape(y)[3], 1, 1]); tf.broadcast_to(x[:, :1], tf.shape(x)); tf.zeros(tf.shape(x)) + y
tf.ones(tf.shape(x)) + y; x / tf.cast(tf.shape(x)[1], 'float32')
tf.reshape(x, [tf.shape(x)[0], tf.reduce_prod(tf.shape(x)[1:])]); tf.fill([tf.shape(x)[0], 6, 4, 3], 2.0) * y
tf.reshape(tf.reshape(x, [-1, 3]), [-1, 6, 4, 3]) + y; x / tf.cast(tf.size(x), 'float32')
x * tf.cast(tf.rank(x), 'float32'); x[:, :tf.shape(x)[1] - 2]

tf.math.rint(2 * x); tf.truncatediv(tf.cast(10 * x, tf.int32), 3); tf.truncatediv(10 * x, 3.0)
tf.truncatemod(10 * x, 3.0); tf.reduce_mean(tf.cast(10 * x, tf.int32), [1, 2])
tf.linalg.diag(x); tf.linalg.diag_part(x); tf.linalg.trace(x); tf.math.cumprod(x, axis=1)
tf.math.cumprod(x, axis=2, exclusive=True, reverse=True); tf.image.central_crop(x, 0.4)
tf.image.extract_patches(x, [1, 2, 3, 1], [1, 2, 1, 1], [1, 1, 1, 1], 'SAME')
tf.gather(x, tf.argsort(x[..., 0]), batch_dims=2)
(lambda q: q[0] + q[1] * q[2])(tf.transpose(x, [3, 0, 2, 1])); tf.unstack(tf.transpose(x, [3, 0, 1, 2]))
tf.transpose(tf.transpose(x, [1, 0, 2, 3]), [1, 0, 3, 2]); tf.transpose(x, [3, 1, 0, 2])[0, 1:, :, ::2][2]
tf.unstack(tf.transpose(x, [3, 1, 0, 2]))[1][2]

tf.matmul(x, y, transpose_b=True) / tf.math.sqrt(tf.cast(tf.shape(x)[2], tf.float32))
x * tf.math.rsqrt(tf.cast(tf.shape(x)[2], tf.float32)); x * tf.cast(tf.shape(x)[1], 'float32') ** -0.5
tf.matmul(x, y, transpose_b=True) - 10 * (1 - tf.linalg.band_part(tf.ones((tf.shape(x)[2], tf.shape(x)[2])), -1, 0))
x + tf.cast(tf.range(tf.shape(x)[1]), tf.float32)[None, :, None, None]
x + tf.cast(tf.range(1, tf.shape(x)[1] + 1), tf.float32)[:, None, None]
tf.where(tf.range(tf.shape(x)[1])[:, None, None] > tf.range(tf.shape(x)[2])[:, None], x, y)
tf.concat([tf.tile(array(1, 1, 4, 3), [tf.shape(x)[0], 1, 1, 1]), x], 1); x[:, :tf.shape(x)[1] // 2]
tf.concat([tf.broadcast_to(array(4, 3), [tf.shape(x)[0], 2, 4, 3]), x], 1)
x + tf.reshape(tf.cast(tf.range(tf.shape(x)[1] * tf.shape(x)[2]), tf.float32), [tf.shape(x)[1], tf.shape(x)[2], 1])
tf.reshape(2 * tf.reshape(x, [-1, tf.shape(x)[1], tf.shape(x)[2], 3, 1]), [tf.shape(x)[0], -1, 3])
"""


def main() -> None:
    """Write the files."""
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
            layer["config"] = {key: layer["config"][key] for key in ("name", "function")}
        written[expression] = {"layers": layers, "outputs": config["output_layers"]}
        for place, output in enumerate(model(values) if len(outputs) > 1 else [model(values)]):
            arrays[f"{number}.{place}"] = output.numpy()
    versions = {"tensorflow": tf.__version__, "tf_keras": tf_keras.__version__, "numpy": np.__version__}
    lines = [f"  {json.dumps(expression)}: {json.dumps(network)}" for expression, network in written.items()]
    text = (
        f'{{"versions": {json.dumps(versions)},\n "shape": {list(SHAPE)},\n "functions": {{\n'
        + ",\n".join(lines)
        + "\n}}\n"
    )
    (HERE / "functions.json").write_text(text)
    np.savez_compressed(HERE / "functions.npz", **arrays)


if __name__ == "__main__":
    main()
