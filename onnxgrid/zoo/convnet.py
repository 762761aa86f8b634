"""Image classifiers: one whose weights fit every resolution, and one that ends in a layer of fixed size."""

from collections.abc import Sequence
from typing import Any

from onnxgrid.zoo.keras_network import KerasNetwork

__all__ = ["convnet2d", "dense_classifier2d"]

CHANNELS = (16, 32, 64, 64)
"""Channels of each block; height and width are halved between two blocks."""


def convnet2d(
    input_shape: tuple[int, int, int] = (16, 16, 1),
    classes: int = 10,
    *,
    channels: Sequence[int] = CHANNELS,
    batch_normalization: bool = True,
) -> dict[str, Any]:
    """A classifier whose every weight fits any resolution, since it averages over the whole image before it decides.

    Output: log-probabilities (N, classes). For another height and width, only the input layer's shape differs.

    Args:
        input_shape: (height, width, channels).
    """
    network = KerasNetwork("convnet2d", input_shape)
    x = _body(network, channels, batch_normalization=batch_normalization, trainable=True)
    x = network.global_average_pooling2d(x, "average")
    x = network.dense(x, "classes", classes)
    return network.to_json(network.activation(x, "log_probabilities", "log_softmax"))


def dense_classifier2d(
    input_shape: tuple[int, int, int] = (16, 16, 1),
    classes: int = 10,
    *,
    dense_name: str = "dense_16",
    channels: Sequence[int] = CHANNELS,
    dropout: float = 0.25,
    trainable_body: bool = True,
) -> dict[str, Any]:
    """A classifier whose last layer, a Dense after Flatten, fits one resolution only.

    Output: log-probabilities (N, classes). At another resolution give that layer another `dense_name`, so that a
    transplant carries all layers but this one.

    Args:
        input_shape: (height, width, channels).
        dropout: the fraction of features dropped before the Dense.
        trainable_body: false freezes all layers but the Dense.
    """
    network = KerasNetwork("dense_classifier2d", input_shape)
    x = _body(network, channels, batch_normalization=True, trainable=trainable_body)
    x = network.flatten(x, "flatten")
    x = network.dropout(x, "dropout", dropout)
    x = network.dense(x, dense_name, classes)
    return network.to_json(network.activation(x, "log_probabilities", "log_softmax"))


def _body(network: KerasNetwork, channels: Sequence[int], *, batch_normalization: bool, trainable: bool) -> str:
    """Add the blocks convolution, normalization, ReLU, with a pooling between two blocks; return the last layer."""
    x = network.input
    for block, filters in enumerate(channels, start=1):
        if block > 1:
            x = network.max_pooling2d(x, f"pool_{block - 1}", 2)
        # A bias before a normalization has no effect: the mean takes it away.
        x = network.conv2d(x, f"conv_{block}", filters, 3, use_bias=not batch_normalization, trainable=trainable)
        if batch_normalization:
            x = network.batch_normalization(x, f"norm_{block}", trainable=trainable)
        x = network.relu(x, f"relu_{block}")
    return x
