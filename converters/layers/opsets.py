"""Operators that other opsets write otherwise. Converter functions speak opset 17; this is where they are translated.

What is not here is written alike from `MIN_OPSET` to the newest that onnx knows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx.defs
import onnx_ir as ir

if TYPE_CHECKING:
    from converters.layers.layer_builder import LayerBuilder

__all__ = ["MAX_OPSET", "MIN_OPSET", "TRANSLATIONS", "Translation", "find_translation"]

MIN_OPSET = 13
MAX_OPSET = onnx.defs.onnx_opset_version()

Attributes = Mapping[str, Any]
Emit = Callable[["LayerBuilder", str, Sequence[ir.Value | None], Attributes], ir.Value]


@dataclass(frozen=True)
class Translation:
    """How an operator is written in some opsets, which `opsets` holds."""

    opsets: range
    emit: Emit


TRANSLATIONS: dict[str, Translation] = {}
"""Operator -> translation. Filled by `@translates`."""


def translates(*op_types: str, opsets: range) -> Callable[[Emit], Emit]:
    """A decorator that makes a function write operators in some opsets."""

    def register(function: Emit) -> Emit:
        for op_type in op_types:
            assert op_type not in TRANSLATIONS, op_type
            TRANSLATIONS[op_type] = Translation(opsets, function)
        return function

    return register


def find_translation(op_type: str, opset: int) -> Emit | None:
    """What writes the operator in this opset; None if it is written as in opset 17."""
    translation = TRANSLATIONS.get(op_type)
    return translation.emit if translation is not None and opset in translation.opsets else None


@translates("ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", opsets=range(18, MAX_OPSET + 1))
@translates("ReduceSum", opsets=range(MIN_OPSET, MAX_OPSET + 1))
def reduction(
    layer: "LayerBuilder", op_type: str, inputs: Sequence[ir.Value | None], attributes: Attributes
) -> ir.Value:
    """A reduction whose axes are an input, not an attribute: ReduceSum from opset 13 on, the others from 18 on."""
    others = dict(attributes)
    axes = others.pop("axes", None)
    if axes is not None:
        inputs = [*inputs, layer.constant("axes", np.array(axes, np.int64))]
    return layer.node(op_type, inputs, others)


@translates("HardSwish", opsets=range(MIN_OPSET, 14))
def hard_swish(
    layer: "LayerBuilder", op_type: str, inputs: Sequence[ir.Value | None], attributes: Attributes
) -> ir.Value:
    """x * max(0, min(1, x / 6 + 0.5)). Source: ONNX HardSwish, opset 14."""
    return layer.node("Mul", [*inputs, layer.node("HardSigmoid", inputs, {"alpha": 1 / 6, "beta": 0.5})], {})


@translates("LayerNormalization", opsets=range(MIN_OPSET, 17))
def layer_normalization(
    layer: "LayerBuilder", op_type: str, inputs: Sequence[ir.Value | None], attributes: Attributes
) -> ir.Value:
    """x less its mean, divided by its standard deviation, over the axes from `axis` on; then scaled and shifted.

    Source: ONNX LayerNormalization, opset 17.
    """
    x, *scale_and_bias = inputs
    assert x is not None
    assert x.shape is not None
    rank = x.shape.rank()
    axes = {"axes": list(range(attributes.get("axis", -1) % rank, rank)), "keepdims": 1}
    centred = layer.node("Sub", [x, layer.op("ReduceMean", [x], **axes)], {})
    variance = layer.op("ReduceMean", [layer.node("Mul", [centred, centred], {})], **axes)
    epsilon = layer.constant("epsilon", np.array(attributes.get("epsilon", 1e-5), np.float32))
    y = layer.node("Div", [centred, layer.node("Sqrt", [layer.node("Add", [variance, epsilon], {})], {})], {})
    for op_type, value in zip(("Mul", "Add"), scale_and_bias, strict=False):
        y = layer.node(op_type, [y, value], {})
    return y
