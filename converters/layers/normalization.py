"""Normalisations."""

from collections.abc import Sequence
from dataclasses import dataclass

from converters.axes import VECTOR
from converters.initializers import ONES, ZEROS, Initializer, read_initializer
from converters.keys import Keys
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import converts
from converters.layers.tensor import Tensor, shown

__all__ = ["BatchNormalizationConfig", "batch_normalization"]

SUSPICIOUS_MOMENTUM = 0.5
"""A momentum below this looks like torch's convention, the complement of Keras', slipped into a Keras file."""


@dataclass(frozen=True, kw_only=True)
class BatchNormalizationConfig:
    """Keras `BatchNormalization`, checked: `momentum` is the share that running statistics keep at each step."""

    axis: int
    momentum: float
    epsilon: float
    center: bool
    scale: bool
    gamma_initializer: Initializer
    beta_initializer: Initializer
    moving_mean_initializer: Initializer
    moving_variance_initializer: Initializer

    @classmethod
    def read(cls, keys: Keys) -> "BatchNormalizationConfig":
        momentum = keys.number("momentum", default=0.99, minimum=0.0, maximum=1.0)
        if momentum < SUSPICIOUS_MOMENTUM:
            keys.notice(
                "momentum",
                f"is {momentum:g}, and kept as Keras means it; torch would write {1 - momentum:g} for the same",
            )
        return cls(
            axis=keys.axis("axis", default=-1),
            momentum=momentum,
            epsilon=keys.number("epsilon", default=1e-3, minimum=0.0),
            center=keys.flag("center", default=True),
            scale=keys.flag("scale", default=True),
            gamma_initializer=read_initializer(keys, "gamma_initializer", ONES),
            beta_initializer=read_initializer(keys, "beta_initializer", ZEROS),
            moving_mean_initializer=read_initializer(keys, "moving_mean_initializer", ZEROS),
            moving_variance_initializer=read_initializer(keys, "moving_variance_initializer", ONES),
        )


@converts("BatchNormalization", "BatchNormalizationV1", "SyncBatchNormalization", config=BatchNormalizationConfig.read)
def batch_normalization(config: BatchNormalizationConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """weight * (x - running_mean) / sqrt(running_var + epsilon) + bias, for x (N, C) or (N, C, s1...sk).

    Declares weight, bias, running_mean and running_var, all (C,); where scale or center is false, weight or bias is
    there all the same, fixed at 1 or 0.
    Raises ConversionError if C is unknown, or the axis is not the channels'.
    Source: keras.io/api/layers/normalization_layers/batch_normalization; ONNX BatchNormalization, opset 15.
    """
    x = layer.channels_first(inputs[0])
    if layer.keras_axis(x, config.axis) != x.rank - 1:
        raise layer.error(
            f'"axis" is {config.axis}, which is not the channels of its input {shown(x.shape)}',
            "Write -1: only the channels can be normalised.",
        )
    channels = layer.known_channels(x)
    gamma, beta = (
        (config.gamma_initializer if config.scale else ONES),
        (config.beta_initializer if config.center else ZEROS),
    )
    operands = [
        x.value,
        layer.parameter("weight", (channels,), VECTOR, gamma, fixed=not config.scale),
        layer.parameter("bias", (channels,), VECTOR, beta, fixed=not config.center),
        layer.statistic("running_mean", channels, config.moving_mean_initializer),
        layer.statistic("running_var", channels, config.moving_variance_initializer),
    ]
    y = layer.op("BatchNormalization", operands, epsilon=config.epsilon, momentum=config.momentum)
    return Tensor(y, x.layout)
