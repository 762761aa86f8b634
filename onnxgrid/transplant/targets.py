"""What weights are carried into: a model, or a file of weights; each knows its parameters and how to write itself anew.

A target becomes a file of its own kind, in which all else stays, or one of another kind that holds its weights alone.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy.typing as npt
import onnx_ir as ir

from converters.roles import layer_of
from converters.weights import (
    NetworkLayer,
    Weight,
    Weights,
    is_rewritten_as,
    is_written_by_network,
    network_layers,
    read_weights,
    rewrite_weights,
    without_counters,
    write_weights,
)
from converters.weights.keras_arrays import KerasArray
from converters.weights.onnx import open_onnx
from converters.weights.onnx_file import OnnxFile
from onnxgrid.errors import TransplantError
from onnxgrid.transplant.plan import TargetParameter, describe_targets
from onnxgrid.transplant.sides import keras_network
from onnxgrid.transplant.untold_axes import untold_axes

if TYPE_CHECKING:
    from converters.head_start import HeadStart
    from converters.to_keras import KerasNetwork

__all__ = ["MODEL_SUFFIX", "ModelTarget", "Output", "Target", "open_target"]

logger = logging.getLogger(__name__)

MODEL_SUFFIX = ".onnx"


@dataclass(frozen=True, kw_only=True)
class Output:
    """How a target is written.

    Args:
        dtype: of all weights that are floats; None for that which each has in the target.
        max_shard_bytes: how large each file may be, where several are written.
        durable: whether to wait for the disk.
        spared: files that are not to be removed, though they belong to what stands at the output.
        head_start: of data that were begun in the background.
    """

    dtype: npt.DTypeLike | None = None
    max_shard_bytes: int | None = None
    durable: bool = False
    spared: Iterable[Path] = ()
    head_start: "HeadStart | None" = None


class Target(ABC):
    """A file whose weights are to be filled."""

    path: Path

    @property
    @abstractmethod
    def parameters(self) -> tuple[TargetParameter, ...]:
        """What can be filled, in the target's order."""

    @property
    @abstractmethod
    def weights(self) -> Weights:
        """The same, with the values that they have."""

    @property
    def graph(self) -> ir.Model | None:
        """Its graph, to be asked how it uses its weights; None if it has none. Initializers may lack their values."""
        return None

    def write(self, path: Path, carried: Mapping[str, Weight], how: Output) -> None:
        """Write the target to a file, with other values of those weights.

        Raises:
            TransplantError: if no such file can be made of this target.
            WeightFileError: if values cannot be read or cast, or the file cannot be written.
        """
        self.require_writable(path)
        if is_rewritten_as(self.path, path):
            rewrite_weights(
                path,
                self.path,
                self.weights,
                carried,
                dtype=how.dtype,
                max_shard_bytes=how.max_shard_bytes,
                durable=how.durable,
                spared=how.spared,
                head_start=how.head_start,
            )
            return
        written = {name: carried.get(name, weight) for name, weight in self.weights.items()}
        if how.dtype is None:
            written = {name: weight.cast(self.weights[name].dtype) for name, weight in written.items()}
        keras = self.keras_network() if is_written_by_network(path) else None
        if keras is None and (untold := untold_axes(self.weights)):
            logger.warning(
                "%s: %s of normalizations over several axes are written as Keras has them, as (H, W, C), and nothing "
                "tells how a model has them: give --target-graph MODEL.onnx",
                self.path,
                ", ".join(f"'{name}'" for name in untold),
            )
        write_weights(
            path,
            written,
            () if keras is None else keras.layers,
            config="" if keras is None else keras.json,
            dtype=how.dtype,
            max_shard_bytes=how.max_shard_bytes,
            durable=how.durable,
            spared=how.spared,
        )

    def require_writable(self, path: Path) -> None:
        """Nothing, if a file of this name can be made of the target. Raises as `write`; nothing is read or written."""
        if is_rewritten_as(self.path, path):
            return
        if path.suffix.lower() == MODEL_SUFFIX:
            raise TransplantError(
                f"a model cannot be made of the target {self.path}, which holds weights alone",
                place=str(path),
                fix=f"Give a target that is a model ({MODEL_SUFFIX}), or an output that is a weight file.",
            )
        is_written_by_network(path)  # refuses a kind that is unknown

    @abstractmethod
    def keras_network(self) -> "KerasNetwork":
        """Its network as Keras has it, for files in which weights stand by layers.

        Raises:
            TransplantError: if the target does not tell them.
            ConversionError: if Keras lacks some.
        """


class ModelTarget(Target):
    """An ONNX model."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = OnnxFile.open(path)

    @property
    def parameters(self) -> tuple[TargetParameter, ...]:
        return describe_targets(self._file.model)

    @property
    def weights(self) -> Weights:
        return self._file.weights()

    @property
    def graph(self) -> ir.Model | None:
        return self._file.model

    def require_same_data(self) -> None:
        """Nothing, if its external data files are what they were when it was opened.

        Raises:
            WeightFileError: if one is not.
        """
        self._file.data.require_unchanged()

    def keras_network(self) -> "KerasNetwork":
        from converters.to_keras import to_keras  # all layers, which nothing else here needs

        return to_keras(open_onnx(self.path), str(self.path))  # with constants, which belong to what it compares


class WeightsTarget(Target):
    """A file of weights.

    Args:
        network: the layers of the network that they are of, for files that do not say them; may be empty.
    """

    def __init__(self, path: Path, network: Sequence[NetworkLayer]) -> None:
        self.path = path
        self._weights = read_weights(path, network)

    @property
    def parameters(self) -> tuple[TargetParameter, ...]:
        weights = without_counters(self._weights).items()  # counters stay, but are none to be filled
        return tuple(TargetParameter(name, layer_of(name), weight.shape) for name, weight in weights)

    @property
    def weights(self) -> Weights:
        return self._weights

    def keras_network(self) -> "KerasNetwork":
        from converters.build import build_model  # all layers, which nothing else here needs
        from converters.to_keras import to_keras

        network = keras_network(self.path)
        if network is None:
            raise TransplantError(
                "does not say which layers its weights are of, and in which order Keras has them, so that no such file "
                "can be made of it",
                place=str(self.path),
                fix="Give a target that is a file of the output's kind, or a model that onnxgrid convert wrote.",
            )
        model = build_model(network)
        self._require_axes(network_layers(model))
        return to_keras(model, str(self.path))

    def _require_axes(self, network: Sequence[NetworkLayer]) -> None:
        """Nothing, if the weights were read in the order of axes that the network wants.

        Raises:
            TransplantError: if the file alone did not tell the order of some.
        """
        for name, weight in read_weights(self.path, network).items():
            read = self._weights[name].read if name in self._weights else None
            if isinstance(weight.read, KerasArray) and isinstance(read, KerasArray) and read.axes != weight.read.axes:
                raise TransplantError(
                    "lies in Keras in an order of axes that only a model tells",
                    place=f"{self.path}, tensor '{name}'",
                    fix="Give a target that is a model which onnxgrid convert wrote.",
                )


def open_target(path: Path, network: Callable[[], Sequence[NetworkLayer]]) -> Target:
    """The target in a file.

    Args:
        network: gives the layers of the source's network, if it knows them: a file of weights asks, a model does not.

    Raises:
        WeightFileError: if the file cannot be read.
    """
    return ModelTarget(path) if path.suffix.lower() == MODEL_SUFFIX else WeightsTarget(path, network())
