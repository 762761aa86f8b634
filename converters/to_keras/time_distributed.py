"""Layers in TimeDistributed, given back: each of those that stand for one is in it again."""

from dataclasses import replace

import numpy as np

from converters.build import Outline
from converters.layers.masks import MERGING, number_of_masks
from converters.to_keras.given_back import LAYERS_MODULE, GivenBack, KerasLayer, Source
from converters.to_keras.objects import as_object

__all__ = ["innermost", "time_distributed"]

TIME_DISTRIBUTED = "TimeDistributed"


def time_distributed(given: GivenBack, source: Source, outline: Outline) -> GivenBack:
    """What stands for a layer that acts on each step by itself, of what stands for it on one step.

    Raises:
        ConversionError: if one of them is an operation or a layer of several inputs, which Keras does not take there,
            or makes a mask: of a model in TimeDistributed the masks of a step act within it, of a layer they do not.
    """
    makes_mask = source.class_name == "Masking" or source.config.get("mask_zero") is True
    if source.layer.in_distributed_model and makes_mask:
        raise source.refusal(
            "it masks steps within a model in TimeDistributed, whose layers are given back each in one of its own",
            "Use the weights alone: --weights-out with a .safetensors, .npz or .pt file.",
        )
    if any(len(call.inputs) > 1 + number_of_masks(call) for call in given.calls):
        return _joining(given, source, outline)
    return replace(
        given,
        main=_wrapped(given.main, source),
        before=None if given.before is None else _wrapped(given.before, source),
        after=tuple(_wrapped(layer, source) for layer in given.after),
    )


def _joining(given: GivenBack, source: Source, outline: Outline) -> GivenBack:
    """A layer of several inputs that does the same to all steps at once."""
    ranks = {len(outline.shapes[ref.layer, ref.call][ref.tensor]) for call in given.calls for ref in call.inputs}
    if source.class_name in MERGING and len(ranks) == 1:
        return given
    if source.class_name == "Concatenate":
        (axis,) = np.atleast_1d(given.main.config.get("axis", -1)).tolist()
        moved = axis if axis < 0 else axis + source.layer.time_distributed
        return replace(given, main=replace(given.main, config={**given.main.config, "axis": moved}))
    raise source.refusal(
        "it takes several inputs, and stands in TimeDistributed, which takes layers of one",
        "Use the weights alone: --weights-out with a .safetensors, .npz or .pt file.",
    )


def _wrapped(layer: KerasLayer, source: Source) -> KerasLayer:
    if layer.module.startswith("keras.src.ops"):
        raise source.refusal(
            f"the operation {layer.class_name} stands in TimeDistributed, which takes layers alone",
            "Write the network without it, and convert again.",
        )
    for _wrapper in range(source.layer.time_distributed):
        layer = KerasLayer(TIME_DISTRIBUTED, {"layer": as_object(layer)}, LAYERS_MODULE)
    return layer


def innermost(layer: KerasLayer) -> tuple[KerasLayer, int]:
    """The layer within TimeDistributed, the layer itself if it is in none; and how many are around it."""
    wrappers = 0
    while layer.class_name == TIME_DISTRIBUTED:
        inner = layer.config["layer"]
        layer = KerasLayer(inner["class_name"], inner["config"], inner["module"])
        wrappers += 1
    return layer, wrappers
