"""What Keras 2 writes of networks of sequences, and what they predict: the files `sequences.*`, `attention.*`,
`masked.*` and `cudnn.*` of this folder.

Run by hand, in an environment of its own, with tf_keras 2.21.0 and tensorflow-cpu 2.21.0:

    python record_sequences.py
"""

import json
from pathlib import Path

import h5py
import numpy as np
import tf_keras as keras
from tf_keras.src.saving.legacy import hdf5_format

kl = keras.layers
FOLDER = Path(__file__).parent
RANDOM = np.random.default_rng(0)


def record(name: str, model: keras.Model, inputs: list[np.ndarray]) -> None:
    for weight in model.weights:
        values = 0.5 * RANDOM.standard_normal(weight.shape).astype(np.float32)
        weight.assign(np.abs(values) + 0.1 if "variance" in weight.name else values)
    outputs = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    arrays = {f"input_{i}": x for i, x in enumerate(inputs)} | {
        f"output_{i}": np.asarray(y) for i, y in enumerate(outputs)
    }
    np.savez(FOLDER / f"{name}.io.npz", **arrays)
    (FOLDER / f"{name}.json").write_text(model.to_json())
    model.save_weights(FOLDER / f"{name}.weights_legacy.h5", save_format="h5")


def normal(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal((3, *shape)).astype(np.float32)


def with_hidden_steps(*shape: int) -> np.ndarray:
    x = normal(*shape)
    x[1, 2:] = 0
    x[2, ::2] = 0
    return x


def sequences() -> keras.Model:
    inputs, h, c = keras.Input((7, 6)), keras.Input((5,)), keras.Input((5,))
    x, *states = kl.LSTM(
        5, return_state=True, return_sequences=True, recurrent_activation="hard_sigmoid", name="first"
    )(inputs, initial_state=[h, c])
    x = kl.GRU(5, return_sequences=True, use_bias=False, go_backwards=True)(x)
    x = kl.GRU(4, return_sequences=True, reset_after=False)(x)
    x = kl.SimpleRNN(4, return_sequences=True, activation="relu")(x)
    x = kl.Bidirectional(kl.LSTM(3, return_sequences=True))(x)
    x = kl.Bidirectional(kl.GRU(3, return_sequences=True), name="both", merge_mode="sum")(x)
    x = kl.RNN(kl.StackedRNNCells([kl.LSTMCell(3), kl.GRUCell(4), kl.LSTMCell(5)]), return_sequences=True)(x)
    x = kl.TimeDistributed(kl.Dense(6))(x)
    x = kl.TimeDistributed(kl.BatchNormalization())(x)
    inside = keras.Input((6,))
    x = kl.TimeDistributed(keras.Model(inside, kl.Dense(6, name="d2")(kl.Dense(4, name="d1")(inside)), name="inner"))(x)
    return keras.Model([inputs, h, c], [kl.RNN(kl.GRUCell(3))(x), *states])


def attention() -> keras.Model:
    inputs = keras.Input((7, 6))
    x = kl.MultiHeadAttention(2, 3, value_dim=4)(inputs, inputs, use_causal_mask=True)
    x = kl.LayerNormalization()(kl.Add()([x, inputs]))
    x = kl.Attention(use_scale=True, score_mode="concat")([x, x])
    x = kl.AdditiveAttention()([x, inputs])
    return keras.Model(inputs, kl.EinsumDense("abc,cd->abd", output_shape=(None, 8), bias_axes="d")(x))


def masked() -> keras.Model:
    """Masks as Keras 2 has them: no operation stands for them in the JSON, and a sum counts where all terms do."""
    inputs, state, other = keras.Input((7, 6)), keras.Input((5,)), keras.Input((7, 6))
    words, sentences = keras.Input((7,)), keras.Input((4, 5))
    a, b = kl.Masking()(inputs), kl.Masking()(other)
    x, last = kl.GRU(5, return_sequences=True, return_state=True)(kl.Add()([a, b]), initial_state=state)
    x = kl.LSTM(3, return_sequences=True, go_backwards=True)(x)
    joined = kl.SimpleRNN(4)(kl.Concatenate(axis=1)([a, b]))
    y = kl.Bidirectional(kl.LSTM(3, return_sequences=True))(kl.Dropout(0.1)(kl.Embedding(5, 4, mask_zero=True)(words)))
    z = kl.Concatenate()([y, kl.GRU(6, return_sequences=True)(y)])
    z = kl.Add()([kl.Dense(6)(z), y])
    seen = kl.Add()([kl.Attention()([z, z]), kl.MultiHeadAttention(2, 3)(z, z)])
    mean = kl.GlobalAveragePooling1D()(seen)
    read = kl.LSTM(3)(kl.TimeDistributed(kl.LSTM(4))(kl.Embedding(6, 3, mask_zero=True)(sentences)))
    return keras.Model([inputs, state, other, words, sentences], [x, last, joined, mean, read])


def masked_inputs() -> list[np.ndarray]:
    words = RANDOM.integers(0, 5, size=(3, 7)).astype(np.float32)
    words[:, 0] = 1
    sentences = RANDOM.integers(0, 6, size=(3, 4, 5)).astype(np.float32)
    sentences[1, 2:] = 0
    sentences[:, 0, 0] = 1
    return [with_hidden_steps(7, 6), normal(5), with_hidden_steps(7, 6), words, sentences]


def cudnn() -> None:
    """LSTM and GRU as CuDNNLSTM and CuDNNGRU, which Keras 2 itself converts; only a GPU could run them."""
    inputs = keras.Input((7, 6))
    x = kl.LSTM(5, return_sequences=True, name="lstm")(inputs)
    model = keras.Model(inputs, kl.Bidirectional(kl.GRU(4), name="both")(x))
    record("cudnn", model, [normal(7, 6)])
    description = json.loads(model.to_json())
    for layer in description["config"]["layers"]:
        of_gpu(layer["config"].get("layer", layer))
    (FOLDER / "cudnn.json").write_text(json.dumps(description))
    with h5py.File(FOLDER / "cudnn.weights_legacy.h5", "r+") as file:
        for group, names in (("lstm", [""]), ("both", ["forward_gru", "backward_gru"])):
            for name in names:
                rewrite(file[group], name, "CuDNNLSTM" if group == "lstm" else "CuDNNGRU")


def of_gpu(layer: dict) -> None:
    if layer["class_name"] in ("LSTM", "GRU"):
        layer["class_name"] = f"CuDNN{layer['class_name']}"
        for key in ("activation", "recurrent_activation", "use_bias", "dropout", "recurrent_dropout", "implementation"):
            del layer["config"][key]
        layer["config"].pop("reset_after", None)


def rewrite(group: h5py.Group, part: str, class_name: str) -> None:
    """The arrays of a cell as Keras 2 makes those of another class of them; those of CuDNNLSTM have two biases."""
    names = [name for name in group.attrs["weight_names"] if part in name]
    arrays = [group[name][:] for name in names]
    target = type(class_name, (), {"units": arrays[1].shape[0]})()
    for name, values in zip(names, hdf5_format._convert_rnn_weights(target, arrays), strict=True):
        del group[name]
        group.create_dataset(name, data=values)


if __name__ == "__main__":
    record("sequences", sequences(), [normal(7, 6), normal(5), normal(5)])
    record("attention", attention(), [normal(7, 6)])
    record("masked", masked(), masked_inputs())
    cudnn()
