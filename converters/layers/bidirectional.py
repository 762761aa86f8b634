"""Bidirectional: a recurrent layer once along the sequence and once against it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial

import onnx_ir as ir

from converters.json_text import JsonObject
from converters.keys import Keys
from converters.layers.layer_builder import LayerBuilder
from converters.layers.recurrent import RecurrentConfig, Run, SequenceInputs, run_cells
from converters.layers.registry import Arity, converts, find_layer
from converters.layers.sequences import flipped, time_first
from converters.layers.tensor import Layout, Tensor

__all__ = ["BidirectionalConfig", "MergeMode", "bidirectional"]


class MergeMode(Enum):
    """What becomes of the outputs of both directions."""

    CONCAT = "concat"
    SUM = "sum"
    MUL = "mul"
    AVE = "ave"


MERGE_OPERATORS = {MergeMode.SUM: "Add", MergeMode.MUL: "Mul", MergeMode.AVE: "Mean"}


@dataclass(frozen=True)
class BidirectionalConfig:
    """Keras `Bidirectional`, checked; without a merge mode both outputs are given."""

    forward: RecurrentConfig
    backward: RecurrentConfig
    merge_mode: MergeMode | None

    @classmethod
    def read(cls, keys: Keys) -> "BidirectionalConfig":
        forward = _read_layer(keys, "layer")
        backward = replace(forward, go_backwards=not forward.go_backwards)
        if keys.has("backward_layer"):
            backward = _read_layer(keys, "backward_layer")
        merge_mode = None
        if not keys.is_null("merge_mode"):
            merge_mode = keys.choice("merge_mode", MergeMode, default=MergeMode.CONCAT)
        config = cls(_zeroing(forward), _zeroing(backward), merge_mode)
        config._check(keys)
        return config

    def _check(self, keys: Keys) -> None:
        both = self.forward, self.backward
        if len({config.go_backwards for config in both}) == 1:
            raise keys.error("backward_layer", "goes the same way as the other", 'Change one "go_backwards".')
        for option in ("return_sequences", "return_state"):
            if len({getattr(config, option) for config in both}) > 1:
                raise keys.error("backward_layer", f'has another "{option}" than the other', "Write the same in both.")
        if self.merge_mode in MERGE_OPERATORS and self.forward.units != self.backward.units:
            raise keys.error(
                "merge_mode",
                f"joins outputs of {self.forward.units} and {self.backward.units} units",
                'Give both layers as many units, or write "concat".',
            )


def _zeroing(config: RecurrentConfig) -> RecurrentConfig:
    """The config as Keras changes it: in sequences, masked steps give zeros."""
    return replace(config, zero_output_for_mask=config.return_sequences)


def _read_layer(keys: Keys, key: str) -> RecurrentConfig:
    value = keys.raw(key)
    class_name, config = (value.get("class_name"), value.get("config")) if isinstance(value, JsonObject) else (0, 0)
    entry = find_layer(class_name) if isinstance(class_name, str) else None
    if entry is None or entry.class_name not in RECURRENT_CLASSES or not isinstance(config, JsonObject):
        shown = f'is a "{class_name}"' if isinstance(class_name, str) else "is no layer"
        raise keys.error(key, f"{shown}: only recurrent layers go both ways", f"Use {', '.join(RECURRENT_CLASSES)}.")
    inner = keys.inner(config)
    checked = entry.read_config(inner)
    inner.report_unread()
    assert isinstance(checked, RecurrentConfig)
    return checked


RECURRENT_CLASSES = ("LSTM", "GRU", "SimpleRNN", "RNN")


@converts("Bidirectional", config=BidirectionalConfig.read, arity=Arity.NAMED)
def bidirectional(config: BidirectionalConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> tuple[Tensor, ...]:
    """What two recurrent layers make of a sequence (N, T, features), joined; then the states of both.

    Declares the parameters of the layers, as `forward.weight_ih` and `backward.weight_ih`.
    Raises ConversionError if x is no sequence, or the states or the mask do not fit.
    Source: keras.io/api/layers/recurrent_layers/bidirectional; ONNX LSTM, GRU, RNN, opset 7.
    """
    sizes = config.forward.state_sizes
    given = SequenceInputs.of(inputs, [*sizes, *config.backward.state_sizes], layer)
    forward = run_cells(config.forward, replace(given, states=given.states[: len(sizes)]), layer.part("forward"))
    backward = run_cells(config.backward, replace(given, states=given.states[len(sizes) :]), layer.part("backward"))
    outputs = _merged(config, forward, backward, layer)
    mask = None
    if config.forward.return_sequences:
        outputs, mask = [time_first(y, layer) for y in outputs], given.passed_mask
    states = (*forward.states, *backward.states) if config.forward.return_state else ()
    return *(Tensor(y, Layout.KERAS, mask) for y in outputs), *(Tensor(state, Layout.KERAS) for state in states)


def _merged(config: BidirectionalConfig, forward: Run, backward: Run, layer: LayerBuilder) -> list[ir.Value]:
    """The outputs of both, of sequences (T, N, units) those of one step side by side, joined if they are to be."""
    both = [forward.last, backward.last]
    if config.forward.return_sequences:
        in_time = partial(_in_order, layer=layer)
        both = [in_time(forward, against=False), in_time(backward, against=True)]
    if config.merge_mode is None:
        return both
    if config.merge_mode is MergeMode.CONCAT:
        return [layer.op("Concat", both, axis=-1)]
    return [layer.op(MERGE_OPERATORS[config.merge_mode], both)]


def _in_order(run: Run, *, against: bool, layer: LayerBuilder) -> ir.Value:
    """The sequence in the order in which its steps were carried out, or against it."""
    return run.sequence if run.backwards is against else flipped(run.sequence, 0, layer)
