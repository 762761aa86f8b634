"""Masks where Keras warns of what becomes of them, and where we refuse them."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers as kl
from keras import ops

import converters
from converters.errors import ConversionError
from converters.to_keras import to_keras_json
from tests.converters.keras_oracle import (
    assert_equals_keras,
    convert_keras,
    functional,
    random_inputs,
    run_onnx,
    with_hidden_steps,
)
from tests.converters.keras_round_trip import assert_predicts_the_same, loaded_back
from tests.converters.layer_cases.attention import grouped, with_masks
from tests.converters.layer_cases.recurrent import SEQUENCE, masked

LOST = "ignore:(.|\n)*does not support masking and will therefore destroy the mask:UserWarning"


def quietly(make: Callable[[], keras.Model]) -> keras.Model:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)
        return make()


@pytest.mark.filterwarnings(LOST)
@pytest.mark.parametrize("name", with_masks(grouped))
def test_grouped_queries_look_at_what_masks_let_pass(name: str, tmp_path: Path) -> None:
    case = with_masks(grouped)[name]
    assert_equals_keras(quietly(case.model), tmp_path, hidden_steps=True, raw_outputs=True)


@pytest.mark.filterwarnings(LOST)
@pytest.mark.parametrize("layer", [lambda: kl.Conv1D(4, 2), lambda: kl.EinsumDense("abc,cd->abd", (None, 4))])
def test_a_layer_that_does_not_pass_a_mask_on_ends_it(layer: Callable[[], Any], tmp_path: Path) -> None:
    model = quietly(masked(layer, lambda: kl.LSTM(3)).model)
    converted = assert_equals_keras(model, tmp_path, hidden_steps=True, raw_outputs=True)
    assert "TopK" not in {node.op_type for node in converted.graph}


@pytest.mark.parametrize(
    "operation",
    [
        *(lambda x: x[:, :], ops.stop_gradient, ops.copy, lambda x: ops.cast(ops.cast(x, "int32"), "float32")),
        *(lambda x: ops.cast(x, "float32"), ops.conj, ops.real, ops.convert_to_tensor),
    ],
)
def test_an_operation_keeps_a_mask_where_it_gives_the_very_tensor(
    operation: Callable[[Any], Any], tmp_path: Path
) -> None:
    """So does a cast to the type that the tensor has; a copy, or a range of everything, is another tensor."""
    words, values = keras.Input((7,)), keras.Input((5, 6))
    queries = operation(kl.Embedding(3, 6, mask_zero=True)(words))
    model = keras.Model([words, values], kl.Attention()([queries, values]))
    assert_equals_keras(model, tmp_path, numbers_below=3, raw_outputs=True)


def refusal(model: keras.Model, folder: Path) -> str:
    (folder / "net.json").write_text(model.to_json(indent=1))
    with pytest.raises(ConversionError) as caught:
        converters.convert(folder / "net.json")
    return str(caught.value).replace(f"{folder}/", "")


def test_a_mask_of_another_rank_is_refused(tmp_path: Path) -> None:
    x = inputs = keras.Input((4, 7))
    x = kl.TimeDistributed(kl.Dense(3))(kl.Embedding(9, 3, mask_zero=True)(x))
    x = kl.TimeDistributed(kl.Flatten())(x)
    text = refusal(keras.Model(inputs, kl.LSTM(3, name="late")(x)), tmp_path)
    assert text.partition(": ")[2] == (
        "layer 'late' (LSTM): its mask (N, 4, 7) is not one number for each step\n  Give a mask (N, T)."
    )


def test_a_softmax_under_a_mask_is_refused(tmp_path: Path) -> None:
    inputs, mask = keras.Input(SEQUENCE), keras.Input(SEQUENCE)
    text = refusal(keras.Model([inputs, mask], kl.Softmax(name="soft")(inputs, mask=mask)), tmp_path)
    assert text.partition(": ")[2] == (
        "layer 'soft' (Softmax): its input is masked, and a softmax of what a mask lets pass cannot be converted\n"
        "  Take the mask away, or use an attention layer."
    )


def test_masked_sequences_after_others_are_refused(tmp_path: Path) -> None:
    a, b = keras.Input(SEQUENCE), keras.Input(SEQUENCE)
    joined = kl.Concatenate(axis=1, name="row")([kl.Masking()(a), b])
    text = refusal(keras.Model([a, b], kl.LSTM(3)(joined)), tmp_path)
    assert text.partition(": ")[2] == (
        "layer 'row' (Concatenate): joins masked sequences with others\n  Mask all, or none."
    )


def test_words_that_are_no_words_are_skipped(tmp_path: Path) -> None:
    model = functional([kl.Embedding(3, 4, mask_zero=True), kl.LSTM(5, return_sequences=True)], (7,))
    converted = assert_equals_keras(model, tmp_path, numbers_below=3, raw_outputs=True)
    assert "TopK" in {node.op_type for node in converted.graph}
    plain = functional([kl.Embedding(3, 4), kl.LSTM(5)], (7,))
    converted = assert_equals_keras(plain, tmp_path, numbers_below=3, raw_outputs=True)
    assert [node.op_type for node in converted.graph] == ["Cast", "Gather", "Transpose", "Concat", "LSTM", "Squeeze"]


def test_a_model_in_time_distributed_masks_its_own_steps(tmp_path: Path) -> None:
    inside = keras.Input((5, 3))
    inner = keras.Model(inside, kl.LSTM(4)(kl.Dense(3)(kl.Masking()(inside))), name="inner")
    inputs = keras.Input((4, 15))
    model = keras.Model(inputs, kl.LSTM(2)(kl.TimeDistributed(inner)(kl.Reshape((4, 5, 3))(inputs))))
    assert_equals_keras(model, tmp_path, hidden_steps=True)


def test_words_of_sentences_are_skipped(tmp_path: Path) -> None:
    words = keras.Input((6,))
    reader = keras.Model(words, kl.LSTM(4)(kl.Embedding(5, 3, mask_zero=True)(words)), name="reader")
    text = keras.Input((5, 6))
    for x in (
        kl.TimeDistributed(reader)(text),
        kl.TimeDistributed(kl.LSTM(4))(kl.Embedding(5, 3, mask_zero=True)(text)),
        kl.TimeDistributed(kl.LSTM(4))(kl.TimeDistributed(kl.Embedding(5, 3, mask_zero=True))(text)),
    ):
        assert_equals_keras(keras.Model(text, x), tmp_path, numbers_below=3, raw_outputs=True)


def test_heads_of_attention_take_the_masks_off_what_they_look_at(tmp_path: Path) -> None:
    """So Keras 3 does: the sum of a masked sequence and what it sees of itself is not masked."""
    inputs = keras.Input(SEQUENCE)
    x = kl.Dropout(0.1)(kl.Masking()(inputs))
    seen = kl.MultiHeadAttention(2, 3)(x, x)
    model = keras.Model(inputs, kl.GlobalAveragePooling1D()(kl.Add()([x, seen])))
    assert_equals_keras(model, tmp_path, hidden_steps=True)
    model = keras.Model(inputs, [kl.GlobalAveragePooling1D()(seen), kl.Attention()([inputs, x])])
    assert_equals_keras(model, tmp_path, hidden_steps=True, raw_outputs=True)


@pytest.mark.parametrize("first", [False, True], ids=["it comes first", "it comes last"])
def test_of_layers_that_are_as_far_from_the_outputs_keras_order_says_which_sees_a_mask(
    first: bool, tmp_path: Path
) -> None:
    inputs = keras.Input(SEQUENCE)
    x = kl.Masking()(inputs)
    seen, mean = kl.MultiHeadAttention(2, 3)(x, x), kl.GlobalAveragePooling1D()(x)
    outputs = [seen, mean] if first else [mean, seen]
    assert_equals_keras(keras.Model(inputs, outputs), tmp_path, hidden_steps=True, raw_outputs=True)


def test_a_layer_that_is_farther_from_the_outputs_runs_before_others(tmp_path: Path) -> None:
    inputs = keras.Input(SEQUENCE)
    x = kl.Masking()(inputs)
    mean = kl.GlobalAveragePooling1D()(x)
    deep = kl.Dense(4)(kl.Dense(4)(kl.MultiHeadAttention(2, 3)(x, x)))
    assert_equals_keras(keras.Model(inputs, [mean, deep]), tmp_path, hidden_steps=True, raw_outputs=True)


STEPS = (7, 6)


def reader(shape: tuple[int, ...] = STEPS) -> keras.Model:
    """A model that is a layer: what it makes of a sequence is as long, and has its mask."""
    inputs = keras.Input(shape)
    return keras.Model(inputs, kl.LSTM(6, return_sequences=True)(kl.Dense(6)(inputs)), name="reader")


def pair() -> keras.Model:
    a, b = keras.Input(STEPS), keras.Input(STEPS)
    return keras.Model([a, b], [kl.Attention()([a, b]), kl.LSTM(3)(kl.Add()([a, b]))], name="pair")


def row() -> keras.Sequential:
    return keras.Sequential([keras.Input(STEPS), kl.Dense(6), kl.LSTM(4)], name="row")


def with_first() -> keras.Model:
    inputs = keras.Input(STEPS)
    return keras.Model(inputs, [inputs, kl.Dense(2)(inputs)], name="first")


MODELS_GIVEN_MASKS: dict[str, Callable[[Any, Any], Any]] = {
    "a Sequential": lambda x, _other: row()(x),
    "what has its mask afterwards": lambda x, _other: kl.LSTM(3)(reader()(x)),
    "twice": lambda x, _other: (lambda model: kl.LSTM(3)(model(model(x))))(reader()),
    "once with a mask and once without": lambda x, other: (lambda model: [model(x), model(other)])(reader()),
    "another mask than its own": lambda x, other: reader()(x, mask=ops.greater(other[..., 0], 0.0)),
    "two inputs, the first masked": lambda x, other: pair()([x, other]),
    "two inputs, the second masked": lambda x, other: pair()([other, x]),
    "an input that is an output": lambda x, _other: [kl.LSTM(3)(y) for y in with_first()(x)],
}


@pytest.mark.filterwarnings(LOST)
@pytest.mark.parametrize("name", MODELS_GIVEN_MASKS)
def test_a_model_within_a_model_takes_the_mask_that_its_call_is_given(name: str, tmp_path: Path) -> None:
    def make() -> keras.Model:
        inputs, other = keras.Input(STEPS), keras.Input(STEPS)
        given = MODELS_GIVEN_MASKS[name](kl.Masking()(inputs), other)
        return keras.Model([inputs, other], [*keras.tree.flatten(given), kl.GlobalAveragePooling1D()(other)])

    model = quietly(make)
    converted = assert_equals_keras(model, tmp_path, hidden_steps=True, raw_outputs=True)
    inputs = [with_hidden_steps(x) for x in random_inputs([STEPS, STEPS])]
    outputs = run_onnx(converted, *inputs, raw_outputs=True)
    assert_predicts_the_same(loaded_back(converted, tmp_path), outputs, inputs)


@pytest.mark.filterwarnings(LOST)
def test_a_model_takes_the_masks_of_words_of_sentences(tmp_path: Path) -> None:
    text = keras.Input((5, 7))
    read = kl.TimeDistributed(reader(), name="each")(kl.Embedding(4, 6, mask_zero=True)(text))
    model = quietly(lambda: keras.Model(text, read))
    assert_equals_keras(model, tmp_path, numbers_below=4, raw_outputs=True)
    assert back_refusal(model, tmp_path) == (
        "it is given a mask for a model within the network, and stands in TimeDistributed"
    )


def back_refusal(model: keras.Model, folder: Path) -> str:
    with pytest.raises(ConversionError) as caught:
        to_keras_json(convert_keras(model, folder))
    told, fix = str(caught.value).split("\n")
    assert fix == "  Use the weights alone: --weights-out with a .safetensors, .npz or .pt file."
    return told.partition(" (Identity): cannot be given back: ")[2]


@pytest.mark.filterwarnings(LOST)
def test_masks_that_attention_takes_off_within_a_model_are_not_given_back(tmp_path: Path) -> None:
    def make() -> keras.Model:
        inside, inputs = keras.Input(STEPS), keras.Input(STEPS)
        seen = kl.MultiHeadAttention(2, 3, name="heads")(inside, inside)
        block = keras.Model(inside, kl.Add()([inside, seen]), name="block")
        return keras.Model(inputs, kl.GlobalAveragePooling1D()(block(kl.Masking()(inputs))))

    model = quietly(make)
    assert_equals_keras(model, tmp_path, hidden_steps=True)
    assert back_refusal(model, tmp_path) == (
        "it is given a mask for a model within the network, and 'block.heads' takes masks off"
    )


@pytest.mark.filterwarnings(LOST)
def test_a_mask_of_what_is_no_sequence_is_not_given_back(tmp_path: Path) -> None:
    words, mask = keras.Input((7,)), keras.Input((7,))
    inside = keras.Input((7,))
    inner = keras.Model(inside, kl.LSTM(3)(kl.Embedding(4, 6)(inside)), name="inner")
    model = quietly(lambda: keras.Model([words, mask], inner(words, mask=ops.greater(mask, 0.0))))
    assert_equals_keras(model, tmp_path, numbers_below=4, raw_outputs=True)
    assert back_refusal(model, tmp_path) == "it is given a mask for a model within the network, and is no sequence"
