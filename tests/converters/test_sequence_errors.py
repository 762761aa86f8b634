"""What layers of sequences say when their config or their input is wrong. Whole messages are compared."""

import logging
from typing import Any

import pytest

from converters.layers.recurrent_cells import KNOWN_FUNCTIONS
from tests.converters.test_layer_errors import at, build, image, layer, refusal

SEQUENCE = image(7, 6)

CELLS = "Use one of: LSTMCell, GRUCell, SimpleRNNCell, or StackedRNNCells of these."
LISTED = 'List them: {"class_name": "LSTMCell", "config": {...}}, ...'
FORMS = 'Write one of the forms "abc,cd->abd", "...x,xy->...y", "ab...,bc->ac...".'
RECURRENT = "Use LSTM, GRU, SimpleRNN, RNN."


def inner(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": config}


def bidirectional(forward: dict[str, Any], **config: Any) -> dict[str, Any]:
    return layer("Bidirectional", layer=forward, **config)


def einsum(equation: Any, output_shape: Any = 4, **config: Any) -> dict[str, Any]:
    return layer("EinsumDense", equation=equation, output_shape=output_shape, **config)


def heads(**config: Any) -> dict[str, Any]:
    return layer("MultiHeadAttention", num_heads=2, key_dim=3, **config)


LSTM = inner("LSTM", units=3)

CONFIGS: dict[str, tuple[dict[str, Any], str, str]] = {
    "an activation that ONNX' operators lack": (
        layer("LSTM", units=3, activation="gelu"),
        '"gelu"',
        '(LSTM): "activation" is an activation that ONNX\' recurrent operators do not have\n'
        f"  Use one of: {', '.join(KNOWN_FUNCTIONS)}.",
    ),
    "gates of an activation that ONNX' operators lack": (
        layer("GRU", units=3, recurrent_activation="softmax"),
        '"softmax"',
        '(GRU): "recurrent_activation" is an activation that ONNX\' recurrent operators do not have\n'
        f"  Use one of: {', '.join(KNOWN_FUNCTIONS)}.",
    ),
    "time first": (
        layer("LSTM", units=3, time_major=True),
        "true}",
        '(LSTM): "time_major" is true: the batch must be the first axis\n  Write false, or leave it out.',
    ),
    "constants": (
        layer("RNN", cell=inner("GRUCell", units=3), num_constants=1),
        "1}",
        '(RNN): "num_constants" is 1: cells that take constants are not those of Keras\n  Write 0, or leave it out.',
    ),
    "no cell": (layer("RNN", cell=3), "3}", f'(RNN): "cell" holds no cell\n  {CELLS}'),
    "a cell that is none": (
        layer("RNN", cell=inner("Dense", units=3)),
        '{"class_name": "Dense"',
        f'(RNN): "cell" is a "Dense", which we do not know\n  {CELLS}',
    ),
    "no cells in a stack": (
        layer("RNN", cell=inner("StackedRNNCells", cells=[])),
        "[]}",
        f'(RNN): "cells" holds no cells\n  {LISTED}',
    ),
    "no list of cells in a stack": (
        layer("RNN", cell=inner("StackedRNNCells")),
        "{}}",
        f'(RNN): "cells" holds no cells\n  {LISTED}',
    ),
    "a class of cells that is a list": (
        layer("RNN", cell=inner("StackedRNNCells", cells=[{"class_name": [None], "config": {}}])),
        '{"class_name": "StackedRNNCells"',
        f'(RNN): "cell" holds a cell that we do not know\n  {CELLS}',
    ),
    "a class of cells that is an object": (
        layer("RNN", cell=inner("StackedRNNCells", cells=[{"class_name": {"class_name": "Foo"}, "config": {}}])),
        '{"class_name": "StackedRNNCells"',
        f'(RNN): "cell" holds a cell that we do not know\n  {CELLS}',
    ),
    "a stack in a stack": (
        layer("RNN", cell=inner("StackedRNNCells", cells=[inner("StackedRNNCells", cells=[])])),
        '{"class_name": "StackedRNNCells", "config": {"cells": [{',
        f'(RNN): "cell" holds a cell that we do not know\n  {CELLS}',
    ),
    "a stack whose states come last first": (
        layer(
            "RNN",
            cell=inner("StackedRNNCells", cells=[inner("GRUCell", units=3)], reverse_state_order=True),
        ),
        "true}",
        '(RNN): "reverse_state_order" is true: the states of the first cell come first\n'
        "  Write false, or leave it out.",
    ),
    "no recurrent layer both ways": (
        bidirectional(inner("Dense", units=3)),
        '{"class_name": "Dense"',
        f'(Bidirectional): "layer" is a "Dense": only recurrent layers go both ways\n  {RECURRENT}',
    ),
    "no layer both ways": (
        bidirectional(LSTM, backward_layer=[1]),
        "[1]",
        f'(Bidirectional): "backward_layer" is no layer: only recurrent layers go both ways\n  {RECURRENT}',
    ),
    "both the same way": (
        bidirectional(LSTM, backward_layer=inner("LSTM", units=4)),
        '{"class_name": "LSTM", "config": {"units": 4',
        '(Bidirectional): "backward_layer" goes the same way as the other\n  Change one "go_backwards".',
    ),
    "a sequence the one way, an output the other": (
        bidirectional(LSTM, backward_layer=inner("LSTM", units=4, go_backwards=True, return_sequences=True)),
        '{"class_name": "LSTM", "config": {"units": 4',
        '(Bidirectional): "backward_layer" has another "return_sequences" than the other\n  Write the same in both.',
    ),
    "a sum of outputs of other sizes": (
        bidirectional(LSTM, backward_layer=inner("GRU", units=4, go_backwards=True), merge_mode="sum"),
        '"sum"',
        '(Bidirectional): "merge_mode" joins outputs of 3 and 4 units\n'
        '  Give both layers as many units, or write "concat".',
    ),
    "a way to merge that is none": (
        bidirectional(LSTM, merge_mode="max"),
        '"max"',
        '(Bidirectional): "merge_mode" is "max", which is not allowed here\n'
        '  Write one of: "concat", "sum", "mul", "ave".',
    ),
    "heads that cannot be shared": (
        layer("GroupQueryAttention", head_dim=3, num_query_heads=4, num_key_value_heads=3),
        "3}",
        '(GroupQueryAttention): "num_key_value_heads" is 3, and there are 4 heads of queries\n  Divide 4.',
    ),
    "no equation": (
        einsum(3),
        "3, ",
        f'(EinsumDense): "equation" is 3, which is no product of an input and a kernel\n  {FORMS}',
    ),
    "a letter that comes from nowhere": (
        einsum("abc,cd->abe"),
        '"abc,cd->abe"',
        f"(EinsumDense): \"equation\" is 'abc,cd->abe', which is no product of an input and a kernel\n  {FORMS}",
    ),
    "an equation that moves the batch": (
        einsum("abc,cd->bad"),
        '"abc,cd->bad"',
        f"(EinsumDense): \"equation\" is 'abc,cd->bad', which is no product of an input and a kernel\n  {FORMS}",
    ),
    "a bias of axes that are not there": (
        einsum("abc,cd->abd", [None, 4], bias_axes="c"),
        '"c"}',
        '(EinsumDense): "bias_axes" names axes that the output does not have\n  Use letters of "abc,cd->abd".',
    ),
}


@pytest.mark.parametrize(("broken", "text", "message"), CONFIGS.values(), ids=CONFIGS)
def test_a_wrong_config_is_refused(broken: dict[str, Any], text: str, message: str) -> None:
    layers = [SEQUENCE, broken]
    assert refusal(layers) == f"{at(layers, text)}: layer 'a' {message}"


SHAPES: dict[str, tuple[list[Any], str]] = {
    "features where a sequence is asked for": (
        [image(6), layer("LSTM", units=3)],
        "(LSTM): takes an input (N, T, features), and is given (N, 6)\n"
        "  Put a Reshape before it, or TimeDistributed around it.",
    ),
    "an unknown number of features": (
        [image(7, None), layer("GRU", units=3)],
        "(GRU): the number of features at each step is unknown, and its parameters depend on it\n"
        "  Write it in the shape of the input layer.",
    ),
    "steps of features": (
        [image(6), layer("TimeDistributed", layer=inner("BatchNormalization"))],
        "(BatchNormalization): takes steps of a sequence, and is given (N, 6)\n"
        "  Take TimeDistributed away, or give a sequence.",
    ),
    "states of every step": (
        [image(4, 7, 6), layer("TimeDistributed", layer=inner("LSTM", units=3, return_state=True))],
        '(LSTM): gives several tensors, and stands in TimeDistributed, which takes one\n  Write "return_state": false.',
    ),
    "an equation with too few letters": (
        [SEQUENCE, einsum("ab,bc->ac")],
        '(EinsumDense): its input (N, 7, 6) does not have the axes of "ab,bc->ac"\n  Write a letter for each axis.',
    ),
    "too few sizes": (
        [SEQUENCE, einsum("abc,cd->abd", 4)],
        '(EinsumDense): "output_shape" is (4), and "abc,cd->abd" has 2 axes there\n'
        "  Write a size for each, null where it is the input's.",
    ),
    "a size that the input does not have": (
        [SEQUENCE, einsum("abc,cd->abd", [8, 4])],
        '(EinsumDense): axis "b" of "abc,cd->abd" is 7 in its input, and 8 in "output_shape"\n  Write null.',
    ),
    "a size that nothing says": (
        [SEQUENCE, einsum("abc,cd->abd", [None, None])],
        '(EinsumDense): the size of axis "d" is unknown for its input (N, 7, 6), and its parameters depend on it\n'
        '  Write it in "output_shape", or in the shape of the input layer.',
    ),
}


@pytest.mark.parametrize(("layers", "message"), SHAPES.values(), ids=SHAPES)
def test_an_input_that_does_not_fit_is_refused(layers: list[Any], message: str) -> None:
    where = at(layers, f'{{"class_name": "{layers[-1]["class_name"]}"')
    assert refusal(layers) == f"{where}: layer 'a' {message}"


def called(tested: dict[str, Any], shapes: list[tuple[int | None, ...]], *inbound: Any) -> list[Any]:
    """A network of a layer over several inputs, x0, x1..., called as Keras 2 writes it."""
    inputs = [
        {
            "class_name": "InputLayer",
            "config": {"name": f"x{i}", "batch_shape": [None, *shape]},
            "inbound_nodes": [],
        }
        for i, shape in enumerate(shapes)
    ]
    written_by_keras_3 = isinstance(inbound[0], dict)
    return [*inputs, {**tested, "inbound_nodes": list(inbound) if written_by_keras_3 else [list(inbound)]}]


def tensor(index: int) -> dict[str, Any]:
    """As Keras 3 writes what input number `index` gives."""
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [f"x{index}", 0, 0]}}


def ref(index: int, **keywords: Any) -> list[Any]:
    return [f"x{index}", 0, 0, keywords]


CALLS: dict[str, tuple[list[Any], str]] = {
    "first states of another size": (
        called(layer("LSTM", units=3), [(7, 6), (3,), (4,)], ref(0), ref(1), ref(2)),
        '(LSTM): is given first states (N, 3), (N, 4), and has (N, 3), (N, 3)\n  Change its "inbound_nodes".',
    ),
    "constants": (
        called(layer("GRU", units=3), [(7, 6), (3,)], ref(0, constants=["x1", 0, 0])),
        "(GRU): is given constants, which cells of Keras do not take\n  Leave them out.",
    ),
    "first states and no sequence": (
        called(
            layer("LSTM", units=3), [(3,), (3,)], {"args": [0], "kwargs": {"initial_state": [tensor(0), tensor(1)]}}
        ),
        '(LSTM): its argument "sequences" is 0\n  Give a tensor.',
    ),
    "an argument that no recurrent layer has": (
        called(layer("GRU", units=3), [(7, 6)], ref(0, speed=3)),
        '(GRU): its argument "speed" is 3, and we know none of that name\n  Leave it out.',
    ),
    "an argument that attention does not have": (
        called(layer("Attention"), [(7, 6)], ref(0, head_mask=["x0", 0, 0]), ref(0)),
        '(Attention): its argument "head_mask" is a tensor, and we know none of that name\n  Leave it out.',
    ),
    "attention of one": (
        called(layer("Attention"), [(7, 6)], ref(0)),
        "(Attention): takes queries, values and possibly keys, each (N, T, dim), and is given none of them in a list\n"
        '  Change its "inbound_nodes".',
    ),
    "attention of features": (
        called(layer("Attention"), [(7, 6), (6,)], ref(0), ref(1)),
        "(Attention): takes queries, values and possibly keys, each (N, T, dim), and is given (N, 7, 6), (N, 6)\n"
        '  Change its "inbound_nodes".',
    ),
    "keys of another size": (
        called(layer("AdditiveAttention"), [(7, 6), (7, 5)], ref(0), ref(1)),
        "(AdditiveAttention): compares queries (N, 7, 6) with keys (N, 7, 5)\n  Give both as many features.",
    ),
    "heads over features": (
        called(heads(), [(7, 6), (6,)], ref(0, value=["x1", 0, 0])),
        "(MultiHeadAttention): looks from (N, 7, 6) at (N, 6) by keys (N, 6)\n"
        "  Give sequences of as many axes, and as many keys as values.",
    ),
    "no such axis to look along": (
        called(heads(attention_axes=[2]), [(7, 6)], ref(0, value=["x0", 0, 0])),
        '(MultiHeadAttention): "attention_axes" is [2], and its input is (N, 7, 6)\n'
        "  Name axes from 1 to 1, each once.",
    ),
    "nothing later in an image": (
        called(heads(), [(4, 7, 6)], ref(0, value=["x0", 0, 0], use_causal_mask=True)),
        "(MultiHeadAttention): is masked, and looks at sequences of several axes\n  Use sequences (N, T, features).",
    ),
    "a mask of features": (
        called(heads(), [(7, 6), (7,)], ref(0, value=["x0", 0, 0], attention_mask=["x1", 0, 0])),
        '(MultiHeadAttention): its "attention_mask" is (N, 7)\n  Give a mask (N, Tq, Tv), one for all heads.',
    ),
    "no value": (
        called(heads(), [(7, 6)], ref(0)),
        '(MultiHeadAttention): its argument "value" is missing\n  Give a tensor.',
    ),
}


@pytest.mark.parametrize(("layers", "message"), CALLS.values(), ids=CALLS)
def test_a_call_that_does_not_fit_is_refused(layers: list[Any], message: str) -> None:
    place, _colon, told = refusal(layers).partition(": layer 'a' ")
    assert told == message
    assert place.startswith("net.json:1:")


@pytest.mark.parametrize("held", [None, 3, {"class_name": "Dense"}, {"config": {}}])
def test_time_distributed_around_no_layer_is_refused(held: Any) -> None:
    layers = [SEQUENCE, layer("TimeDistributed", layer=held)]
    assert refusal(layers) == (
        f"{at(layers, '{' + chr(34) + 'class_name' + chr(34) + ': ' + chr(34) + 'TimeDistributed')}: "
        "layer 'a' (TimeDistributed): holds no layer\n"
        '  Write it at "layer" of the config: {"class_name": ..., "config": {...}}.'
    )


def test_time_distributed_around_an_unknown_class_names_that_class() -> None:
    layers = [image(4, 8, 8, 3), layer("TimeDistributed", layer=inner("Conv2DLSTM", filters=3))]
    assert "layer 'a' (Conv2DLSTM): this class cannot be converted" in refusal(layers)


@pytest.mark.parametrize("class_name", ["ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"])
def test_recurrent_convolutions_are_refused(class_name: str) -> None:
    layers = [image(4, 8, 8, 3), layer(class_name, filters=3, kernel_size=3)]
    assert f"layer 'a' ({class_name}): this class cannot be converted" in refusal(layers)


NOTICES: dict[str, tuple[dict[str, Any], str, str]] = {
    "dropout": (
        layer("LSTM", units=3, dropout=0.5),
        "0.5}",
        '"dropout" has no effect: it drops units in training only, and recurrent layers are not trained',
    ),
    "dropout of states in a cell": (
        layer("RNN", cell=inner("GRUCell", units=3, recurrent_dropout=0.5)),
        "0.5}",
        '"recurrent_dropout" has no effect: it drops units in training only, and recurrent layers are not trained',
    ),
    "states that stay": (
        layer("LSTM", units=3, stateful=True),
        "true}",
        '"stateful" has no effect: every call starts from the first states that it is given, or zeros',
    ),
    "an unknown key of a cell": (
        layer("RNN", cell=inner("GRUCell", units=3, slope=4)),
        "4}",
        '"slope" is not a key that we know; ignored',
    ),
    "an unknown key of a layer that goes both ways": (
        bidirectional(inner("LSTM", units=3, slope=4)),
        "4}",
        '"slope" is not a key that we know; ignored',
    ),
}


@pytest.mark.parametrize(("noted", "text", "message"), NOTICES.values(), ids=NOTICES)
def test_what_is_ignored_is_said(
    noted: dict[str, Any], text: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    layers = [SEQUENCE, noted]
    with caplog.at_level(logging.WARNING):
        build(layers)
    assert caplog.messages == [f"{at(layers, text)}: layer 'a' ({noted['class_name']}): {message}"]
