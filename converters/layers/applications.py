"""Layers that the networks of `keras.applications` bring along: they are classes of Keras, but not of its layers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from converters.axes import VECTOR
from converters.initializers import Constant
from converters.keys import Keys
from converters.layers.broadcasting import along
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import Arity, converts
from converters.layers.tensor import Tensor, shown

__all__ = [
    "CustomScaleConfig",
    "LayerScaleConfig",
    "StochasticDepthConfig",
    "custom_scale",
    "layer_scale",
    "stochastic_depth",
]


@dataclass(frozen=True)
class LayerScaleConfig:
    """`LayerScale` of ConvNeXt, checked."""

    init_values: float
    projection_dim: int

    @classmethod
    def read(cls, keys: Keys) -> "LayerScaleConfig":
        return cls(keys.number("init_values"), keys.integer("projection_dim"))


@converts("LayerScale", config=LayerScaleConfig.read)
def layer_scale(config: LayerScaleConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x with each channel multiplied by a number of its own.

    Declares weight (C,). Raises ConversionError if x has not as many channels as the config says.
    Source: keras/src/applications/convnext.py.
    """
    (x,) = inputs
    if x.shape[-1] != config.projection_dim:
        raise layer.error(
            f'"projection_dim" is {config.projection_dim}, and its input is {shown(x.shape)}',
            "Write the number of its channels.",
        )
    weight = layer.parameter("weight", (config.projection_dim,), VECTOR, Constant(config.init_values))
    factor = along(weight, [x.stored_axis(x.rank - 1)], x, layer)
    return Tensor(layer.op("Mul", [x.value, factor]), x.layout)


@dataclass(frozen=True)
class StochasticDepthConfig:
    """`StochasticDepth` of ConvNeXt, checked: the rate at which training leaves out the whole of a sample's branch."""

    drop_path_rate: float

    @classmethod
    def read(cls, keys: Keys) -> "StochasticDepthConfig":
        return cls(keys.number("drop_path_rate", minimum=0.0, maximum=1.0))


@converts("StochasticDepth", config=StochasticDepthConfig.read)
def stochastic_depth(config: StochasticDepthConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x itself: only Keras' training drops anything, and ONNX has no operator that drops whole samples.

    Source: keras/src/applications/convnext.py.
    """
    return inputs[0]


@dataclass(frozen=True)
class CustomScaleConfig:
    """`CustomScaleLayer` of InceptionResNetV2, checked."""

    scale: float

    @classmethod
    def read(cls, keys: Keys) -> "CustomScaleConfig":
        return cls(keys.number("scale"))


@converts("CustomScaleLayer", config=CustomScaleConfig.read, arity=Arity.MANY)
def custom_scale(config: CustomScaleConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The first input, plus the second multiplied by a constant.

    Raises ConversionError if there are not two inputs of one shape.
    Source: keras/src/applications/inception_resnet_v2.py.
    """
    if len(inputs) != 2 or inputs[0].shape != inputs[1].shape:
        raise layer.error(
            f"takes two inputs of one shape, and is given {', '.join(shown(x.shape) for x in inputs)}",
            "Make them equal.",
        )
    shortcut, branch = (layer.channels_first(x) for x in inputs)
    scale = layer.constant("scale", np.array(config.scale, np.float32))
    y = layer.op("Add", [shortcut.value, layer.op("Mul", [branch.value, scale])])
    return Tensor(y, shortcut.layout)
