"""Records networks of Keras 2 in which tensors have no batch: tables of places, tokens repeated for the batch.

Run it where TensorFlow and `tf_keras` are installed; it writes `without_batch.json` and `without_batch.npz` beside
itself. The JSON holds by the name of each case the network; the `.npz` holds its weights
(`<case>|<layer>|<weight>`), its input (`<case>|in`) and its output (`<case>|out`).

    TF_USE_LEGACY_KERAS=1 python tests/converters/data/tensorflow/record_without_batch.py
"""

import json
import os
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
import tf_keras
from tf_keras import layers as kl

HERE = Path(__file__).parent
T, D = 6, 4
SEQUENCE, IMAGE = (T, D), (5, 6, 4)


def batch(x):
    return tf.shape(x)[0]


def places(x, axis=1):
    return tf.range(tf.shape(x)[axis])


def floats(x):
    return tf.cast(places(x), tf.float32)


def table(x, features=D, rows=T, name="table"):
    return kl.Embedding(rows, features, name=name)(places(x))


def own_rows(x, rows):
    """A table of which all rows are taken, however long the sequence is."""
    return kl.Embedding(rows, D, name="table")(tf.range(rows) + 0 * tf.shape(x)[1])


def scores(x):
    return tf.matmul(x, x, transpose_b=True)


def distances(x):
    return places(x)[:, None] - places(x)[None, :]


def relative_bias(x):
    near = tf.clip_by_value(distances(x), -3, 3) + 3
    bias = tf.transpose(kl.Embedding(7, 2, name="near")(near), [2, 0, 1])
    heads = tf.transpose(kl.Reshape((T, 2, 2))(x), [0, 2, 1, 3])
    return tf.matmul(tf.nn.softmax(scores(heads) + bias[tf.newaxis]), heads)


def continuous_bias(x):
    far = tf.cast(distances(x), tf.float32)[..., None]
    bias = kl.Dense(2, name="wide")(kl.Dense(8, activation="relu", name="narrow")(far))
    heads = tf.transpose(tf.reshape(x, [-1, T, 2, 2]), [0, 2, 1, 3])
    return scores(heads) + 16 * tf.sigmoid(tf.transpose(bias, [2, 0, 1])[None])


def rotary(x):
    angles = floats(x)[:, None] * tf.constant([[1.0, 0.1]])
    first, second = tf.split(x, 2, -1)
    cos, sin = tf.cos(angles), tf.sin(angles)
    return tf.concat([first * cos - second * sin, first * sin + second * cos], -1)


def rows_and_columns(x, repeated):
    rows = kl.Embedding(5, 2, name="rows")(places(x, 1))
    columns = kl.Embedding(6, 2, name="columns")(places(x, 2))
    if repeated:
        rows, columns = tf.repeat(rows[:, None], 6, axis=1), tf.repeat(columns[None], 5, axis=0)
    else:
        rows, columns = tf.tile(rows[:, None], [1, 6, 1]), tf.tile(columns[None], [5, 1, 1])
    return x + tf.concat([rows, columns], -1)


def waves(x, join):
    angles = floats(x)[:, None] * tf.constant([[1.0, 0.1]])
    return x + join([tf.sin(angles), tf.cos(angles)])


def causal(x):
    return places(x)[:, None] >= places(x)


OF_SEQUENCES = {
    "a table of places": lambda x: x + table(x),
    "a table of distances between places": lambda x: (
        scores(x) + tf.squeeze(kl.Embedding(T, 1, name="b")(tf.abs(distances(x))), -1)
    ),
    "Dense of places": lambda x: x + kl.Dense(D, name="d")(tf.expand_dims(floats(x), -1)),
    "LayerNormalization of a table": lambda x: x + kl.LayerNormalization(name="n")(table(x)),
    "BatchNormalization of a table": lambda x: x + kl.BatchNormalization(name="n")(table(x)[None]),
    "Dropout of a table": lambda x: x + kl.Dropout(0.1)(table(x)),
    "activations of a table": lambda x: x * kl.ReLU()(kl.Activation("tanh")(table(x))),
    "more activations of a table": lambda x: x * kl.Softmax()(kl.LeakyReLU()(table(x))),
    "activations that are functions": lambda x: x * tf.nn.gelu(tf.nn.relu(tf.sigmoid(table(x)))),
    "EinsumDense of a table": lambda x: x + kl.EinsumDense("abc,cd->abd", (None, D), name="e")(table(x)[None]),
    "Reshape of a table": lambda x: kl.Reshape((T, 2, 2))(x) + kl.Reshape((T, 2, 2))(table(x)[None]),
    "Permute of a table": lambda x: scores(x) + kl.Permute((2, 1))(table(x, T)[None]),
    "pooling of a table": lambda x: x + kl.GlobalAveragePooling1D(keepdims=True)(own_rows(x, 9)[None]),
    "the mean of a table": lambda x: x + tf.reduce_mean(own_rows(x, 9), 0, keepdims=True),
    "the softmax of a table": lambda x: tf.matmul(tf.nn.softmax(table(x, T)), x),
    "a sum of tables": lambda x: x + kl.Add()([table(x), table(x, name="other")]),
    "Add repeats a table": lambda x: kl.Add()([x, table(x)[tf.newaxis]]),
    "Multiply repeats a table": lambda x: kl.Multiply()([x, table(x)[tf.newaxis]]),
    "the first rows of a table": lambda x: x + own_rows(x, 9)[: tf.shape(x)[1]],
    "rows of a table": lambda x: x + tf.gather(own_rows(x, 9), places(x)),
    "a table behind a row of zeros": lambda x: (
        x + tf.pad(kl.Embedding(T - 1, D, name="t")(tf.range(tf.shape(x)[1] - 1)), [[1, 0], [0, 0]])
    ),
    "one factor for each feature": lambda x: x * kl.Embedding(1, D, name="g")(tf.zeros((1,), tf.int32) * batch(x)),
    "keys of places": lambda x: tf.matmul(x, table(x), transpose_b=True),
    "a token, broadcast": lambda x: tf.concat([tf.broadcast_to(table(x)[:1], [batch(x), 1, D]), x], axis=1),
    "a token, repeated": lambda x: tf.concat([tf.repeat(table(x)[tf.newaxis, :1], batch(x), axis=0), x], axis=1),
    "a token, tiled": lambda x: kl.Concatenate(axis=1)([tf.tile(own_rows(x, 1)[None], [batch(x), 1, 1]), x]),
    "a token of ones, repeated": lambda x: tf.concat([tf.repeat(tf.ones((1, 1, D)), batch(x), axis=0), x], axis=1),
    "learned queries": lambda x: kl.MultiHeadAttention(2, 3, name="m")(
        tf.tile(own_rows(x, 5)[None], [batch(x), 1, 1]), x
    ),
    "attention to the places before": lambda x: kl.MultiHeadAttention(2, 3, name="m")(
        x, x, attention_mask=causal(x)[tf.newaxis]
    ),
    "a bias of relative places": relative_bias,
    "a bias of continuous places": continuous_bias,
    "linear biases": lambda x: tf.nn.softmax(scores(x) - 0.5 * tf.abs(tf.cast(distances(x), tf.float32))),
    "waves, joined": lambda x: waves(x, lambda both: tf.concat(both, -1)),
    "waves, joined by a layer": lambda x: waves(x, kl.Concatenate()),
    "waves, stacked": lambda x: waves(x, lambda both: tf.reshape(tf.stack(both, -1), [-1, D])),
    "waves, an outer product": lambda x: (
        x + tf.reshape(tf.sin(tf.tensordot(floats(x), tf.constant([1.0, 0.1, 0.2, 0.3]), axes=0)), [-1, D])
    ),
    "rotary places": rotary,
    "codes of places": lambda x: tf.matmul(x, tf.one_hot(places(x), T), transpose_a=True),
}

OF_IMAGES = {
    "tables of rows and columns, repeated": lambda x: rows_and_columns(x, True),
    "tables of rows and columns, tiled": lambda x: rows_and_columns(x, False),
    "a convolution of places": lambda x: (
        x + kl.Conv2D(4, 1, name="c")(tf.reshape(floats(x), [1, -1, 1, 1]) * tf.ones((1, 1, 6, 1)))
    ),
    "a resized table": lambda x: x + tf.image.resize(tf.reshape(own_rows(x, 12), [1, 4, 3, 4]), [5, 6]),
}


def main():
    random = np.random.default_rng(0)
    networks, arrays = {}, {}
    for shape, cases in ((SEQUENCE, OF_SEQUENCES), (IMAGE, OF_IMAGES)):
        for case, build in cases.items():
            tf_keras.backend.clear_session()
            x = tf_keras.Input(shape, name="x")
            model = tf_keras.Model(x, build(x))
            model.set_weights([np.abs(random.standard_normal(w.shape)).astype("float32") for w in model.get_weights()])
            given = random.standard_normal((2, *shape)).astype("float32")
            networks[case] = json.loads(model.to_json())
            arrays |= {f"{case}|in": given, f"{case}|out": model(given).numpy()}
            for layer in model.layers:
                arrays |= {f"{case}|{layer.name}|{weight.name}": weight.numpy() for weight in layer.weights}
    (HERE / "without_batch.json").write_text(json.dumps(networks) + "\n")
    np.savez_compressed(HERE / "without_batch.npz", **arrays)


if __name__ == "__main__":
    main()
