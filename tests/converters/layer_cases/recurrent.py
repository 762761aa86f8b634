"""Cases of recurrent layers, of what wraps them, and of masks on their way to them.

Every network under the name of a recurrent class has a recurrent layer, and no other has one: training refuses those.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers as kl

from tests.converters.layer_cases.case import Case, called, options

SEQUENCE = (7, 6)
FRAMES = (4, 8, 11, 3)
STATE = (5,)


def masked(*layers: Callable[[], Any], shape: tuple[int, ...] = SEQUENCE) -> Case:
    """The layers, over a sequence of which steps are masked."""
    return Case(lambda: [kl.Masking(), *(layer() for layer in layers)], (shape,), raw_outputs=True, hidden_steps=True)


def in_row(*layers: Callable[[], Any], shape: tuple[int | None, ...] = SEQUENCE, **common: Any) -> Case:
    return Case(lambda: [layer() for layer in layers], (shape,), raw_outputs=True, **common)


def cases_of(layer: Callable[..., Any]) -> dict[str, Case]:
    """What all layers of one cell have in common."""
    table: dict[str, dict[str, Any]] = {
        "the last output": {},
        "all outputs": {"return_sequences": True},
        "no bias": {"use_bias": False},
        "backwards": {"go_backwards": True},
        "backwards, all outputs": {"go_backwards": True, "return_sequences": True},
        "states": {"return_state": True},
        "all outputs and states": {"return_sequences": True, "return_state": True},
        "unrolled": {"unroll": True, "return_sequences": True},
        "another activation": {"activation": "relu"},
        "no activation": {"activation": None},
        "dropout, which acts in training only": {"dropout": 0.3, "recurrent_dropout": 0.2},
    }
    return {
        **options(layer, table, SEQUENCE, raw_outputs=True, units=5),
        "after a convolution": in_row(lambda: kl.Conv1D(4, 3), lambda: layer(5, return_sequences=True)),
        "before a convolution": Case(lambda: [layer(4, return_sequences=True), kl.Conv1D(3, 2)], (SEQUENCE,)),
        "one after another": in_row(lambda: layer(5, return_sequences=True), lambda: layer(4)),
        "any number of steps": in_row(lambda: layer(5, return_sequences=True), shape=(None, 6), sizes=(SEQUENCE,)),
        "any number of steps, backwards": in_row(
            lambda: layer(5, return_sequences=True, go_backwards=True), shape=(None, 6), sizes=(SEQUENCE,)
        ),
        "masked": masked(lambda: layer(5)),
        "masked, all outputs": masked(lambda: layer(5, return_sequences=True, return_state=True)),
        "masked, backwards": masked(lambda: layer(5, return_sequences=True, go_backwards=True)),
        "masked twice": masked(lambda: layer(5, return_sequences=True), lambda: layer(4)),
        "masked, any number of steps": Case(
            lambda: [kl.Masking(), layer(5, return_sequences=True)],
            ((None, 6),),
            sizes=(SEQUENCE,),
            raw_outputs=True,
            hidden_steps=True,
        ),
    }


def gates(layer: Callable[..., Any]) -> dict[str, Case]:
    """What layers with gates have besides: an activation of the gates."""
    table = {
        f"gates of {name}": {"recurrent_activation": name}
        for name in ("hard_sigmoid", "relu", "elu", "softsign", "leaky_relu", "sparse_sigmoid")
    }
    both = {"softplus and softsign": {"activation": "softsign", "recurrent_activation": "softplus"}}
    return options(layer, table | both, SEQUENCE, raw_outputs=True, units=5, return_sequences=True)


def from_states(layer: Callable[..., Any], count: int, **options: Any) -> dict[str, Case]:
    """The layer that starts from states which it is given."""

    def plain(tested: Any, x: Any, *states: Any) -> Any:
        return list(tested(x, initial_state=list(states)))

    def with_mask(tested: Any, x: Any, *states: Any) -> Any:
        mask = keras.ops.any(keras.ops.not_equal(x, 0.0), axis=-1)
        return list(tested(x, initial_state=list(states), mask=mask))

    def with_numbers(tested: Any, x: Any, *states: Any) -> Any:
        return list(tested(x, initial_state=list(states), mask=keras.ops.relu(x[..., 0])))

    def looked_at(tested: Any, x: Any, *states: Any) -> Any:
        y, *_states = plain(tested, kl.Masking()(x), *states)
        return [kl.Attention()([y, x[..., :5]]), kl.AdditiveAttention()([x[..., :5], y])]

    def looked_at_by_heads(tested: Any, x: Any, *states: Any) -> Any:
        y, *_states = plain(tested, kl.Masking()(x), *states)
        return kl.MultiHeadAttention(2, 3)(y, y)

    def make() -> Any:
        return layer(5, return_sequences=True, return_state=True, **options)

    shapes = (SEQUENCE, *(STATE,) * count)
    return {
        "from states": called(make, plain, *shapes),
        "from states, masked by the call": called(make, with_mask, *shapes, hidden_steps=True),
        "from states, masked by numbers": called(make, with_numbers, *shapes, hidden_steps=True),
        "from states, masked before: Keras 3 passes such a mask over": called(
            make, lambda tested, x, *states: plain(tested, kl.Masking()(x), *states), *shapes, hidden_steps=True
        ),
        "from states, masked before, for attention: Keras 3 hands the mask on": called(
            make, looked_at, *shapes, hidden_steps=True
        ),
        "from states, masked before, for heads of attention": called(
            make, looked_at_by_heads, *shapes, hidden_steps=True
        ),
    }


def bidirectional() -> dict[str, Case]:
    lstm, gru = kl.LSTM, kl.GRU

    def both(layer: Callable[[], Any], **common: Any) -> Callable[[], Any]:
        return lambda: kl.Bidirectional(layer(), **common)

    def sequences(**common: Any) -> Callable[[], Any]:
        return both(lambda: gru(5, return_sequences=True), **common)

    def states(tested: Any, x: Any, *given: Any) -> Any:
        return list(tested(x, initial_state=list(given)))

    def looked_at(tested: Any, x: Any, *given: Any) -> Any:
        return kl.Attention()([x, tested(kl.Masking()(x), initial_state=list(given))])

    return {
        "the last outputs": in_row(both(lambda: lstm(5))),
        "all outputs": in_row(sequences()),
        **{f"merged by {mode}": in_row(sequences(merge_mode=mode)) for mode in ("sum", "mul", "ave")},
        "the last outputs added": in_row(both(lambda: kl.SimpleRNN(5), merge_mode="sum")),
        "not merged": in_row(sequences(merge_mode=None)),
        "not merged, with states": in_row(both(lambda: lstm(5, return_state=True), merge_mode=None)),
        "with states": in_row(both(lambda: lstm(5, return_sequences=True, return_state=True))),
        "a layer of another kind backwards": in_row(
            both(
                lambda: lstm(5, return_sequences=True),
                backward_layer=gru(4, return_sequences=True, go_backwards=True),
            )
        ),
        "the first layer backwards": in_row(
            both(
                lambda: lstm(5, return_sequences=True, go_backwards=True),
                backward_layer=gru(4, return_sequences=True),
            )
        ),
        "cells": in_row(
            both(lambda: kl.RNN(kl.StackedRNNCells([kl.LSTMCell(3), kl.GRUCell(4)]), return_sequences=True))
        ),
        "one after another": in_row(sequences(), both(lambda: lstm(4))),
        "from states": called(both(lambda: gru(5, return_state=True)), states, SEQUENCE, STATE, STATE),
        "from states, masked before, for attention": called(
            both(lambda: gru(3, return_sequences=True)), looked_at, SEQUENCE, (3,), (3,), hidden_steps=True
        ),
        "masked": masked(both(lambda: lstm(5))),
        "masked, all outputs": masked(sequences(), both(lambda: gru(3))),
    }


def rnn() -> dict[str, Case]:
    def stack() -> Any:
        return kl.StackedRNNCells([kl.LSTMCell(3), kl.GRUCell(4), kl.LSTMCell(5)])

    def states(tested: Any, x: Any, *given: Any) -> Any:
        return list(keras.tree.flatten(tested(x, initial_state=[list(given[:2]), given[2], list(given[3:])])))

    cells = {
        "LSTMCell": lambda: kl.LSTMCell(5, unit_forget_bias=False),
        "GRUCell": lambda: kl.GRUCell(5, reset_after=False),
        "SimpleRNNCell": lambda: kl.SimpleRNNCell(5),
        "stacked cells": stack,
        "a stack of one cell": lambda: kl.StackedRNNCells([kl.GRUCell(5)]),
    }
    return {
        **{
            name: in_row(lambda cell=cell: kl.RNN(cell(), return_sequences=True, name="tested"))
            for name, cell in cells.items()
        },
        "stacked cells backwards": in_row(lambda: kl.RNN(stack(), go_backwards=True, return_sequences=True)),
        "stacked cells from states": called(
            lambda: kl.RNN(stack(), return_state=True), states, SEQUENCE, (3,), (3,), (4,), (5,), (5,)
        ),
        "masked": masked(lambda: kl.RNN(stack(), return_sequences=True)),
        "masked steps give zeros": masked(
            lambda: kl.RNN(kl.GRUCell(4), zero_output_for_mask=True, return_sequences=True)
        ),
        "a masked last step gives zeros": masked(lambda: kl.RNN(kl.GRUCell(4), zero_output_for_mask=True)),
    }


def each(layer: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: kl.TimeDistributed(layer())


def time_distributed() -> dict[str, Case]:
    def model() -> Any:
        x = inputs = keras.Input(FRAMES[1:])
        x = kl.Conv2D(4, 3, padding="same", name="conv")(x)
        x = kl.Add(name="sum")([x, kl.Conv2D(4, 1, name="other")(x)])
        x = kl.Concatenate(name="wide")([x, x])
        x = kl.Concatenate(axis=1, name="high")([x, x])
        return keras.Model(inputs, kl.Dense(5, name="head")(kl.Flatten(name="flat")(x)), name="eye")

    return {
        "Dense": Case(each(lambda: kl.Dense(4, activation="softmax")), (SEQUENCE,)),
        "Dense on frames": Case(each(lambda: kl.Dense(4)), (FRAMES,)),
        "Conv2D": Case(each(lambda: kl.Conv2D(4, 3)), (FRAMES,)),
        "Conv1D": Case(each(lambda: kl.Conv1D(4, 3)), ((5, 9, 3),)),
        "pooling": Case(each(lambda: kl.MaxPooling2D()), (FRAMES,)),
        "BatchNormalization": Case(each(kl.BatchNormalization), (FRAMES,)),
        "Flatten": in_row(each(kl.Flatten), shape=FRAMES),
        "Reshape": in_row(each(lambda: kl.Reshape((2, 3)))),
        "a row of layers": in_row(
            each(lambda: kl.Conv2D(4, 3)),
            each(lambda: kl.Activation("relu")),
            each(kl.GlobalAveragePooling2D),
            shape=FRAMES,
        ),
        "a model": in_row(each(model), shape=FRAMES),
        "a Sequential model": Case(
            each(lambda: keras.Sequential([keras.Input((6,)), kl.Dense(4), kl.Dense(3)])), (SEQUENCE,)
        ),
        "itself": Case(each(each(lambda: kl.Conv1D(3, 2))), (FRAMES,)),
        "itself, around images": Case(each(each(lambda: kl.Conv2D(4, 3))), ((2, *FRAMES),)),
        "frames of any size": Case(
            lambda: [kl.TimeDistributed(kl.Conv2D(4, 3)), kl.TimeDistributed(kl.UpSampling2D())],
            ((None, None, None, 3),),
            sizes=(FRAMES,),
        ),
    }


def recurrent_in_time_distributed() -> dict[str, Case]:
    return {
        "in TimeDistributed": in_row(each(lambda: kl.LSTM(4)), shape=(4, 7, 3)),
        "both ways in TimeDistributed": in_row(
            each(lambda: kl.Bidirectional(kl.GRU(4, return_sequences=True))), shape=(4, 7, 3)
        ),
        "after any number of frames": in_row(
            each(lambda: kl.Conv2D(4, 3)),
            each(kl.GlobalAveragePooling2D),
            lambda: kl.LSTM(5),
            shape=(None, *FRAMES[1:]),
            sizes=(FRAMES,),
        ),
        "masked before TimeDistributed": masked(each(lambda: kl.Dense(4)), lambda: kl.LSTM(3)),
        "masked before TimeDistributed, cut into steps": masked(each(kl.BatchNormalization), lambda: kl.LSTM(3)),
    }


def behind_masks() -> dict[str, Case]:
    """Where the mask of a sequence comes from, and what it passes."""

    def of_two(joined: Callable[[Any, Any], Any]) -> Case:
        return called(
            lambda: kl.LSTM(3), lambda tested, a, b: tested(joined(a, b)), SEQUENCE, SEQUENCE, hidden_steps=True
        )

    return {
        "behind layers that pass a mask on": masked(
            lambda: kl.Dense(4),
            lambda: kl.LayerNormalization(),
            lambda: kl.BatchNormalization(),
            lambda: kl.Dropout(0.1),
            lambda: kl.LSTM(3),
        ),
        "masked at another value": Case(
            lambda: [kl.Rescaling(1.0, offset=2.0), kl.Masking(2.0), kl.LSTM(4)],
            (SEQUENCE,),
            raw_outputs=True,
            hidden_steps=True,
        ),
        "behind a sum of masked terms": of_two(lambda a, b: kl.Add()([kl.Masking()(a), kl.Masking()(b)])),
        "behind a sum of which one term is masked": of_two(lambda a, b: kl.Add()([kl.Masking()(a), b])),
        "behind masked features side by side": of_two(
            lambda a, b: kl.Concatenate()([kl.Masking()(a), kl.Masking()(b)])
        ),
        "behind attention from masked queries": of_two(
            lambda a, b: kl.Add()(
                [kl.Attention()([kl.Masking()(a), b]), kl.MultiHeadAttention(2, 3)(kl.Masking()(a), b)]
            )
        ),
        "behind masked sequences in a row": of_two(
            lambda a, b: kl.Concatenate(axis=1)([kl.Masking()(a), kl.Masking()(b)])
        ),
    }


RESET_BEFORE: dict[str, dict[str, Any]] = {
    "reset before the product": {"return_sequences": True},
    "reset before the product, no bias": {"use_bias": False},
    "reset before the product, backwards": {"go_backwards": True},
}

CASES: dict[str, dict[str, Case]] = {
    "LSTM": {
        **cases_of(kl.LSTM),
        **gates(kl.LSTM),
        **from_states(kl.LSTM, 2),
        **behind_masks(),
        **recurrent_in_time_distributed(),
    },
    "GRU": {
        **cases_of(kl.GRU),
        **gates(kl.GRU),
        **from_states(kl.GRU, 1),
        **options(kl.GRU, RESET_BEFORE, SEQUENCE, raw_outputs=True, units=5, reset_after=False),
    },
    "SimpleRNN": {**cases_of(kl.SimpleRNN), **from_states(kl.SimpleRNN, 1)},
    "RNN": rnn(),
    "Bidirectional": bidirectional(),
    "TimeDistributed": time_distributed(),
    "Masking": {
        "plain": Case(lambda: kl.Masking(), (SEQUENCE,), hidden_steps=True),
        "before a mean": masked(kl.GlobalAveragePooling1D),
        "before a mean that keeps the axis": Case(
            lambda: [kl.Masking(), kl.GlobalAveragePooling1D(keepdims=True)], (SEQUENCE,), hidden_steps=True
        ),
    },
}

RECURRENT = frozenset({"LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional"})
"""Classes of which every case has a recurrent layer, and which no case of another has."""
