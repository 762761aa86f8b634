"""Recurrent layers: LSTM, GRU and SimpleRNN, and RNN of any cells of theirs.

A sequence (N, T, features) goes through them as (T, N, features), which is what ONNX' operators take.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir

from converters.json_text import JsonArray, JsonObject
from converters.keys import Keys
from converters.layers.attention_masks import as_booleans
from converters.layers.graph_builder import BATCH
from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.recurrent_cells import GRU, KINDS, LSTM, SIMPLE_RNN, CellConfig, CellKind, run_cell
from converters.layers.registry import Arity, converts
from converters.layers.sequences import flipped, pack, time_first
from converters.layers.tensor import Layout, Tensor, shown
from converters.network import Operand

__all__ = ["RecurrentConfig", "Run", "SequenceInputs", "recurrent", "run_cells"]

STACKED = "StackedRNNCells"

A_CELL = f"Use one of: {', '.join(KINDS)}, or {STACKED} of these."


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig:
    """Keras `LSTM`, `GRU`, `SimpleRNN` and `RNN`, checked.

    Args:
        cells: one, or several of which each takes what the one before it gives.
        stacked: whether the cells are numbered in the names of their parameters.
        zero_output_for_mask: whether masked steps give zeros, not the output before them.
    """

    cells: tuple[CellConfig, ...]
    stacked: bool
    return_sequences: bool
    return_state: bool
    go_backwards: bool
    zero_output_for_mask: bool

    @classmethod
    def read(cls, keys: Keys, kind: CellKind) -> "RecurrentConfig":
        return cls._read(keys, (CellConfig.read(keys, kind),), stacked=False)

    @classmethod
    def read_rnn(cls, keys: Keys) -> "RecurrentConfig":
        cell = keys.raw("cell")
        stacked = isinstance(cell, JsonObject) and cell.get("class_name") == STACKED
        return cls._read(keys, tuple(_read_cells(keys, cell)), stacked=stacked)

    @classmethod
    def _read(cls, keys: Keys, cells: tuple[CellConfig, ...], *, stacked: bool) -> "RecurrentConfig":
        keys.refuse_unless("time_major", False, "the batch must be the first axis")
        keys.refuse_unless("num_constants", 0, "cells that take constants are not those of Keras")
        keys.raw("unroll")  # chooses how the same numbers are computed
        if keys.flag("stateful", default=False):
            keys.notice("stateful", "has no effect: every call starts from the first states that it is given, or zeros")
        return cls(
            cells=cells,
            stacked=stacked,
            return_sequences=keys.flag("return_sequences", default=False),
            return_state=keys.flag("return_state", default=False),
            go_backwards=keys.flag("go_backwards", default=False),
            zero_output_for_mask=keys.flag("zero_output_for_mask", default=False),
        )

    @property
    def units(self) -> int:
        """The size of the output."""
        return self.cells[-1].units

    @property
    def state_sizes(self) -> list[int]:
        """The sizes of the states, one cell after the other."""
        return [cell.units for cell in self.cells for _state in range(cell.kind.states)]


def _read_cells(keys: Keys, value: Any) -> Iterator[CellConfig]:
    class_name, config = (value.get("class_name"), value.get("config")) if isinstance(value, JsonObject) else (0, 0)
    if not isinstance(class_name, str) or not isinstance(config, JsonObject):
        raise keys.error("cell", "holds no cell", A_CELL)
    inner = keys.inner(config)
    if class_name in KINDS:
        yield CellConfig.read(inner, KINDS[class_name])
    elif class_name == STACKED:
        if not isinstance(config.get("cells"), JsonArray) or not config["cells"]:
            raise inner.error("cells", "holds no cells", 'List them: {"class_name": "LSTMCell", "config": {...}}, ...')
        inner.refuse_unless("reverse_state_order", False, "the states of the first cell come first")
        for cell in inner.raw("cells"):
            if not isinstance(cell, JsonObject) or str(cell.get("class_name")) not in KINDS:
                raise keys.error("cell", "holds a cell that we do not know", A_CELL)
            yield from _read_cells(keys, cell)
    else:
        raise keys.error("cell", f'is a "{class_name}", which we do not know', A_CELL)
    inner.report_unread()


@dataclass(frozen=True)
class SequenceInputs:
    """What the call of a recurrent layer is given.

    Args:
        steps: the sequence (T, N, features).
        mask: (N, T): which steps are carried out; all, if None.
        passed_mask: (N, T): the mask that a sequence of outputs has.
        states: the first states.
    """

    steps: ir.Value
    mask: ir.Value | None
    passed_mask: ir.Value | None
    states: tuple[Tensor, ...]

    @classmethod
    def of(cls, inputs: Sequence[Tensor], state_sizes: Sequence[int], layer: LayerBuilder) -> "SequenceInputs":
        """Those of the call.

        Args:
            state_sizes: of the states that the layer has.

        Raises:
            ConversionError: if they do not fit the layer.
        """
        arguments = Arguments.of_layer("sequences|inputs initial_state mask training constants", inputs, layer)
        # Keras 2 lists the states behind the sequence, in one argument; simple forms say no arguments at all.
        first = arguments.value("sequences", tuple(map(Operand, range(len(inputs)))))
        listed = list(_operands(first))
        if not listed:
            raise arguments.refusal("sequences", "a tensor")
        x, *states = [*listed, *_operands(arguments.value("initial_state"))]
        if arguments.value("constants") is not None:
            raise layer.error("is given constants, which cells of Keras do not take", "Leave them out.")
        sequence = inputs[x.index]
        mask = sequence.mask if arguments.value("mask") is None else as_booleans(arguments.tensor("mask"), layer)
        _require_sequence(sequence, mask, layer)
        # Keras 3 hands a sequence's own mask to no layer that is given states too, and yet on to those behind it.
        unseen = arguments.value("mask") is None and states and not layer.written_by_keras_2
        first_states = tuple(inputs[state.index] for state in states)
        _require_states(first_states, state_sizes, layer)
        return cls(time_first(layer.keras_order(sequence).value, layer), None if unseen else mask, mask, first_states)


def _require_sequence(x: Tensor, mask: ir.Value | None, layer: LayerBuilder) -> None:
    if x.rank != 3:
        raise layer.error(
            f"takes an input ({BATCH}, T, features), and is given {shown(x.shape)}",
            "Put a Reshape before it, or TimeDistributed around it.",
        )
    if mask is not None and Tensor(mask, Layout.KERAS).rank != 2:
        raise layer.error(
            f"its mask {shown(Tensor(mask, Layout.KERAS).shape)} is not one number for each step",
            f"Give a mask ({BATCH}, T).",
        )


def _require_states(states: Sequence[Tensor], sizes: Sequence[int], layer: LayerBuilder) -> None:
    if states and [state.shape[1:] for state in states] != [(size,) for size in sizes]:
        raise layer.error(
            f"is given first states {', '.join(shown(state.shape) for state in states)}, and has "
            f"{', '.join(shown((BATCH, size)) for size in sizes)}",
            'Change its "inbound_nodes".',
        )


def _operands(value: Any) -> Iterator[Operand]:
    """The tensors of an argument, which may be nested lists: states of cells within states of layers."""
    if isinstance(value, Operand):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _operands(item)


@dataclass(frozen=True)
class Run:
    """What the cells of a layer make of a sequence.

    Args:
        sequence: (T, N, units).
        last: (N, units): the output of the last step to be carried out.
        states: (N, units) each.
        backwards: whether the sequence stands in the order of time though the last step was carried out first.
    """

    sequence: ir.Value
    last: ir.Value
    states: tuple[ir.Value, ...]
    backwards: bool


def run_cells(config: RecurrentConfig, given: SequenceInputs, layer: LayerBuilder) -> Run:
    """What the layer's cells, one after the other, make of a sequence."""
    steps, mask, masked = given.steps, given.mask, None
    reverse = config.go_backwards and mask is None
    if mask is not None:
        x = time_first(steps, layer)
        if config.go_backwards:
            x, mask = flipped(x, 1, layer), flipped(mask, 1, layer)
        masked = pack(x, mask, layer)
        steps = masked.steps
    states: list[ir.Value] = []
    for number, cell in enumerate(config.cells):
        first = given.states[len(states) : len(states) + cell.kind.states]
        part = layer.part(str(number)) if config.stacked else layer
        lengths = None if masked is None else masked.lengths
        outputs = run_cell(cell, steps, first, part, reverse=reverse, lengths=lengths)
        steps, last = outputs.sequence, outputs.states[0]
        states.extend(outputs.states)
    if masked is not None:
        steps = masked.unpacked(steps, layer, zero_where_masked=config.zero_output_for_mask)
        if given.states:
            last = masked.where_any(last, layer.scalar("zero", 0.0), layer)
            states = [masked.where_any(y, x.value, layer) for y, x in zip(states, given.states, strict=True)]
        if config.zero_output_for_mask:
            last = layer.op("Gather", [steps, layer.constant("last", np.array(-1, np.int64))])
    return Run(steps, last, tuple(states), reverse)


@converts("LSTM", "CuDNNLSTM", config=partial(RecurrentConfig.read, kind=LSTM), arity=Arity.NAMED)
@converts("GRU", "CuDNNGRU", config=partial(RecurrentConfig.read, kind=GRU), arity=Arity.NAMED)
@converts("SimpleRNN", config=partial(RecurrentConfig.read, kind=SIMPLE_RNN), arity=Arity.NAMED)
@converts("RNN", config=RecurrentConfig.read_rnn, arity=Arity.NAMED)
def recurrent(config: RecurrentConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> tuple[Tensor, ...]:
    """What cells make of a sequence (N, T, features): the last output (N, units), or all (N, T, units); then states.

    Declares weight_ih (1, gates * units, features), weight_hh (1, gates * units, units) and bias (1, gates * units)
    of each cell, as ONNX has its gates; of several cells with the cell's number in front.
    Raises ConversionError if x is no sequence, or the states or the mask do not fit.
    Source: keras.io/api/layers/recurrent_layers; ONNX LSTM, GRU, RNN, opset 7.
    """
    given = SequenceInputs.of(inputs, config.state_sizes, layer)
    run = run_cells(config, given, layer)
    states = [Tensor(state, Layout.KERAS) for state in run.states] if config.return_state else []
    if not config.return_sequences:
        return Tensor(run.last, Layout.KERAS), *states
    sequence = flipped(run.sequence, 0, layer) if run.backwards else run.sequence
    return Tensor(time_first(sequence, layer), Layout.KERAS, given.passed_mask), *states
