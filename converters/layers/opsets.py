"""Operators that some opsets write otherwise. Converter functions speak opset 17, and a newer one where that has one
operator for what took several; this is where they are translated.

What is not here is written alike from `MIN_OPSET` to the newest that onnx knows.
"""

import math
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
    """What writes the operator in this opset; None if it is written as it was asked for."""
    translation = TRANSLATIONS.get(op_type)
    return translation.emit if translation is not None and opset in translation.opsets else None


@translates(
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    opsets=range(18, MAX_OPSET + 1),
)
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


@translates("GreaterOrEqual", "LessOrEqual", opsets=range(MIN_OPSET, 16))
def or_equal(
    layer: "LayerBuilder", op_type: str, inputs: Sequence[ir.Value | None], attributes: Attributes
) -> ir.Value:
    """Either of two comparisons: before opset 16 shape inference does not know the operator."""
    either = [layer.node(op_type.removesuffix("OrEqual"), inputs, {}), layer.node("Equal", inputs, {})]
    return layer.node("Or", either, {})


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


@translates("Gelu", opsets=range(MIN_OPSET, 20))
def gelu(layer: "LayerBuilder", op_type: str, inputs: Sequence[ir.Value | None], attributes: Attributes) -> ir.Value:
    """x * (1 + erf(x / sqrt(2))) / 2, or as the approximation x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2.

    Source: ONNX Gelu, opset 20.
    """
    (x,) = inputs
    if attributes.get("approximate", "none") == "tanh":
        cube = layer.node("Mul", [layer.node("Mul", [x, x], {}), x], {})
        bent = layer.node("Add", [x, layer.node("Mul", [cube, layer.scalar("bend", 0.044715)], {})], {})
        slope = layer.scalar("slope", math.sqrt(2 / math.pi))
        curve = layer.node("Tanh", [layer.node("Mul", [bent, slope], {})], {})
    else:
        curve = layer.node("Erf", [layer.node("Div", [x, layer.scalar("sqrt_2", math.sqrt(2))], {})], {})
    product = layer.node("Mul", [x, layer.node("Add", [curve, layer.scalar("one", 1.0)], {})], {})
    return layer.node("Mul", [product, layer.scalar("half", 0.5)], {})


@translates("Mish", opsets=range(MIN_OPSET, 18))
def mish(layer: "LayerBuilder", op_type: str, inputs: Sequence[ir.Value | None], attributes: Attributes) -> ir.Value:
    """x * tanh(softplus(x)). Source: ONNX Mish, opset 18."""
    return layer.node("Mul", [*inputs, layer.node("Tanh", [layer.node("Softplus", inputs, {})], {})], {})


@translates("Swish", opsets=range(MIN_OPSET, 24))
def swish(layer: "LayerBuilder", op_type: str, inputs: Sequence[ir.Value | None], attributes: Attributes) -> ir.Value:
    """x * sigmoid(x). Source: ONNX Swish, opset 24."""
    return layer.node("Mul", [*inputs, layer.node("Sigmoid", inputs, {})], {})
