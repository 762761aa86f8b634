"""Keras' masks: which steps of a sequence count. A tensor carries its mask, and a layer passes it on or does not.

Keras 3 writes some masks into a network's JSON, as an argument of calls, and makes others as it runs; both are the
same here. A layer that is not named here, and makes no mask itself, gives tensors without one.
"""

from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from converters.layers.attention_masks import as_booleans
from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.registry import OPERATIONS
from converters.layers.tensor import Tensor
from converters.network import Call, Operand

__all__ = [
    "FORGETTING",
    "MASK",
    "MASKING",
    "joined",
    "mask_operands",
    "masked_inputs",
    "number_of_masks",
    "passed_on",
    "same_in_keras",
]

MASK = "mask"
"""The argument of a call that holds the mask of its input, or a list of those of its inputs."""

PASSING = frozenset(
    {
        "Activation",
        "ActivityRegularization",
        "AlphaDropout",
        "BatchNormalization",
        "Dense",
        "Dropout",
        "ELU",
        "GaussianDropout",
        "GaussianNoise",
        "GroupNormalization",
        "Identity",
        "LayerNormalization",
        "LeakyReLU",
        "Normalization",
        "PReLU",
        "ReLU",
        "Rescaling",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
        "ThresholdedReLU",
        "UnitNormalization",
    }
)
"""Classes that give the mask of their input to their output. Source: `supports_masking` in keras/src/layers."""

FORGETTING = frozenset({"MultiHeadAttention"})
"""Classes that take the masks off their inputs, so that layers that come later do not see them; in Keras 3 only.

Source: keras/src/layers/attention/multi_head_attention.py, `call`.
"""

MASKING = frozenset({"Embedding", "Masking"})
"""Classes that give masks, the first of them if it is asked for one."""

MERGING = frozenset({"Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"})
"""Classes that give their output the masks of their inputs, joined."""

GIVING_THE_SAME = frozenset(
    {
        "keras.ops.Cast",
        "keras.ops.Conj",
        "keras.ops.Conjugate",
        "keras.ops.ConvertToTensor",
        "keras.ops.Real",
        "tf.cast",
    }
)
"""Operations that give the very tensor they are given if there is nothing to do, and its mask with it.

All others make a new tensor, which has no mask, even where that holds the same numbers.
"""


def mask_operands(call: Call) -> list[Operand | None]:
    """The masks that a call is given, each at the place of the input that it belongs to."""
    value = call.keywords.get(MASK)
    items = value if isinstance(value, tuple) else (value,)
    return [item if isinstance(item, Operand) else None for item in items]


def number_of_masks(call: Call) -> int:
    """How many of a call's inputs are masks of others."""
    return sum(operand is not None for operand in mask_operands(call))


def masked_inputs(inputs: Sequence[Tensor], layer: LayerBuilder) -> list[Tensor]:
    """The inputs of a call without those that are masks of others, which have them now."""
    masks = mask_operands(layer.call)
    indices = {operand.index for operand in masks if operand is not None}
    rest = [x for index, x in enumerate(inputs) if index not in indices]
    for position, operand in enumerate(masks[: len(rest)]):
        if operand is not None:
            rest[position] = replace(rest[position], mask=as_booleans(inputs[operand.index], layer))
    return rest


def passed_on(
    class_name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], layer: LayerBuilder
) -> tuple[Tensor, ...]:
    """The outputs of a layer, with the mask that its class passes on.

    Raises:
        ConversionError: if Keras would use the mask otherwise, and we do not.
    """
    if class_name in OPERATIONS:
        same = [x.value for x in inputs] if class_name in GIVING_THE_SAME else []
        return tuple(y if y.value in same else replace(y, mask=None) for y in outputs)
    masks = [x.mask for x in inputs]
    if class_name == "Softmax" and masks[0] is not None:
        raise layer.error(
            "its input is masked, and a softmax of what a mask lets pass cannot be converted",
            "Take the mask away, or use an attention layer.",
        )
    mask = None
    if class_name in PASSING:
        mask = masks[0]
    elif class_name in MERGING:
        mask = joined(masks, layer)
    return tuple(replace(y, mask=mask) for y in outputs) if mask is not None else tuple(outputs)


def joined(masks: Sequence[ir.Value | None], layer: LayerBuilder) -> ir.Value | None:
    """The mask of a sum: Keras 3 lets a step count that counts in any term; Keras 2 one that counts in all.

    In a term without a mask, all steps count.
    """
    known = list(dict.fromkeys(mask for mask in masks if mask is not None))
    if not known or (None in masks and not layer.written_by_keras_2):
        return None
    result, *others = known
    for mask in others:
        result = layer.op("And" if layer.written_by_keras_2 else "Or", [result, mask])
    return result


def same_in_keras(value: ir.Value) -> ir.Value:
    """The value that Keras has in the place of this one when it predicts: what Dropout is given is what it gives."""
    node = value.producer()
    while node is not None and node.op_type == "Dropout" and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value
