"""What an architecture is to the tests."""

from collections.abc import Callable
from dataclasses import dataclass

import keras

__all__ = ["Architecture"]


@dataclass(frozen=True)
class Architecture:
    """A network.

    Args:
        sizes: shapes of its inputs, without batch, at which to compare it.
        raw_outputs: the graph's outputs have their axes in Keras' order.
    """

    build: Callable[[], keras.Model]
    sizes: tuple[tuple[int, ...], ...]
    raw_outputs: bool = False
