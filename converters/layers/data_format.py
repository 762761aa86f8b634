"""Where Keras keeps the channels of an image: last, or behind the batch."""

from enum import Enum

from converters.keys import Keys
from converters.layers.tensor import Layout
from converters.network import Network

__all__ = ["DataFormat", "input_layout", "read_data_format"]


class DataFormat(Enum):
    """The order of the axes that a layer's config speaks of."""

    CHANNELS_LAST = "channels_last"
    """(N, s1...sn, C)"""
    CHANNELS_FIRST = "channels_first"
    """(N, C, s1...sn)"""


def read_data_format(keys: Keys) -> DataFormat:
    """The layer's `data_format`; channels last if absent or null, as Keras' own setting is unless changed.

    Raises:
        ConversionError: if it is neither of the two.
    """
    if not keys.has("data_format"):
        keys.raw("data_format")
        return DataFormat.CHANNELS_LAST
    return keys.choice("data_format", DataFormat, default=DataFormat.CHANNELS_LAST)


def input_layout(network: Network) -> Layout:
    """How the network's images are stored so that their channels stand first.

    As Keras sees them if a layer asks for channels first, since then they stand there already.
    """
    asks = any(layer.config.get("data_format") == DataFormat.CHANNELS_FIRST.value for layer in network.layers)
    return Layout.KERAS if asks else Layout.CHANNELS_FIRST
