"""What weights are carried into: a model, or a file of weights; each knows its parameters and how to write itself anew.

A target becomes a file of its own kind, in which all else stays, or one of another kind that holds its weights alone.
Models in memory are in `memory_target`.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir

from converters.model_suffix import MODEL_SUFFIX, is_model_file
from converters.roles import Role, initializer_roles, layer_of
from converters.weights import (
    NetworkLayer,
    Weight,
    Weights,
    Writing,
    is_rewritten_as,
    is_written_by_network,
    network_layers,
    read_weights,
    rewrite_weights,
    without_counters,
    write_weights,
)
from converters.weights.keras_arrays import KerasArray
from converters.weights.onnx import initializer_tensor, open_onnx
from converters.weights.onnx_file import OnnxFile
from onnxgrid.errors import TransplantError
from onnxgrid.transplant.plan import TargetParameter
from onnxgrid.transplant.sides import keras_network
from onnxgrid.transplant.untold_axes import untold_axes

if TYPE_CHECKING:
    from converters.to_keras import KerasNetwork

__all__ = ["FileTarget", "Model", "Target", "describe_targets", "open_target"]

logger = logging.getLogger(__name__)

Model = onnx.ModelProto | ir.Model


def describe_targets(model: ir.Model) -> tuple[TargetParameter, ...]:
    """The parameters and statistics of a model, in the order in which its nodes use them."""
    roles = initializer_roles(model)
    used = [value.name for node in model.graph for value in node.inputs if value is not None]
    names = dict.fromkeys([*(name for name in used if name in roles), *roles])
    return tuple(
        TargetParameter(name, roles[name].layer, tuple(initializer_tensor(model, name).shape.numpy()))
        for name in names
        if roles[name].kind is not Role.CONSTANT
    )


class Target(ABC):
    """What is filled: a file, or a model in memory.

    Args:
        place: the file, or what stands for it in errors.
        path: None of a model in memory.
    """

    place: str
    path: Path | None

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

    @property
    def untold_axes(self) -> tuple[str, ...]:
        """Weights whose axes stand in Keras' order, as nothing told the model's."""
        return ()

    @abstractmethod
    def require_unchanged(self) -> None:
        """Nothing, if the files that it opens later are what they were when it was opened.

        Raises:
            WeightFileError: if one is not.
        """

    @abstractmethod
    def require_writable(self, out: Path | None, how: Writing) -> None:
        """Nothing, if it can be written so: to a file of this name, or to none. Nothing is read or written.

        Raises:
            TransplantError: if no such file can be made of this target.
            WeightFileError: if the kind of file is unknown.
        """

    @abstractmethod
    def carry(self, carried: Mapping[str, Weight], out: Path | None, how: Writing) -> Model | None:
        """Write the target to a file, with other values of those weights; a copy that has them, of a model in memory.

        Args:
            out: one that `require_writable` lets pass; None to write nothing.

        Raises:
            WeightFileError: if values cannot be read or cast, or the file cannot be written.
        """


class FileTarget(Target):
    """A file whose weights are filled."""

    path: Path

    def __init__(self, path: Path) -> None:
        self.path, self.place = path, str(path)

    def carry(self, carried: Mapping[str, Weight], out: Path | None, how: Writing) -> Model | None:
        if out is None:
            return None
        if is_rewritten_as(self.path, out):
            rewrite_weights(out, self.path, self.weights, carried, how)
            return None
        written = {name: carried.get(name, weight) for name, weight in self.weights.items()}
        if how.dtype is None:
            written = {name: weight.cast(self.weights[name].dtype) for name, weight in written.items()}
        if is_written_by_network(out):
            keras = self.keras_network()
            how = replace(how, network=keras.layers, config=keras.json)
        elif self.untold_axes:
            logger.warning(
                "%s: %s of normalizations over several axes are written as Keras has them, as (H, W, C), and nothing "
                "tells how a model has them: give --target-graph MODEL.onnx",
                self.path,
                ", ".join(f"'{name}'" for name in self.untold_axes),
            )
        write_weights(out, written, how)
        return None

    def require_writable(self, out: Path | None, how: Writing) -> None:
        if out is None or is_rewritten_as(self.path, out):
            return
        if is_model_file(out):
            raise TransplantError(
                f"a model cannot be made of the target {self.path}, which holds weights alone",
                place=str(out),
                fix=f"Give a target that is a model ({MODEL_SUFFIX}), or an output that is a weight file.",
            )
        is_written_by_network(out)  # refuses a kind that is unknown

    @abstractmethod
    def keras_network(self) -> "KerasNetwork":
        """Its network as Keras has it, for files in which weights stand by layers.

        Raises:
            TransplantError: if the target does not tell them.
            ConversionError: if Keras lacks some.
        """


class ModelTarget(FileTarget):
    """An ONNX model."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = OnnxFile.open(path)

    @cached_property
    def parameters(self) -> tuple[TargetParameter, ...]:
        return describe_targets(self._file.model)

    @cached_property
    def weights(self) -> Weights:
        return self._file.weights()

    @property
    def graph(self) -> ir.Model | None:
        return self._file.model

    def require_unchanged(self) -> None:
        self._file.data.require_unchanged()

    def keras_network(self) -> "KerasNetwork":
        from converters.to_keras import to_keras  # all layers, which nothing else here needs

        return to_keras(open_onnx(self.path), str(self.path))  # with constants, which belong to what it compares


class WeightsTarget(FileTarget):
    """A file of weights.

    Args:
        network: the layers of the network that they are of, for files that do not say them; may be empty.
    """

    def __init__(self, path: Path, network: Sequence[NetworkLayer]) -> None:
        super().__init__(path)
        self._weights = read_weights(path, network)

    @property
    def parameters(self) -> tuple[TargetParameter, ...]:
        weights = without_counters(self._weights).items()  # counters stay, but are none to be filled
        return tuple(TargetParameter(name, layer_of(name), weight.shape) for name, weight in weights)

    @property
    def weights(self) -> Weights:
        return self._weights

    @property
    def untold_axes(self) -> tuple[str, ...]:
        return untold_axes(self._weights)

    def require_unchanged(self) -> None:
        """Nothing: it opens no files later."""

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


def open_target(path: Path, network: Callable[[], Sequence[NetworkLayer]]) -> FileTarget:
    """The target in a file.

    Args:
        network: gives the layers of the source's network, if it knows them: a file of weights asks, a model does not.

    Raises:
        WeightFileError: if the file cannot be read.
    """
    return ModelTarget(path) if is_model_file(path) else WeightsTarget(path, network())
