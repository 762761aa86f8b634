"""A model in memory that is filled: never changed itself, a copy gets the values."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import onnx
import onnx_ir as ir

from converters import save_model
from converters.model_suffix import is_model_file
from converters.weights import Weight, Weights, Writing, is_written_by_network, write_weights
from converters.weights.onnx import initializer_weights
from onnxgrid.errors import TransplantError
from onnxgrid.transplant.apply import filled
from onnxgrid.transplant.plan import TargetParameter
from onnxgrid.transplant.targets import Model, Target, describe_targets

__all__ = ["MemoryTarget", "in_memory"]


def in_memory(given: Model, place: str) -> ir.Model:
    """The model as onnx_ir has it.

    Raises:
        TransplantError: if its values lie in files.
    """
    if isinstance(given, ir.Model):
        return given
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in given.graph.initializer):
        raise TransplantError(
            "has initializers in external files, and does not say in which folder",
            place=place,
            fix="Load it with its external data, or give the path of the model.",
        )
    return ir.from_proto(given)


class MemoryTarget(Target):
    """A model in memory."""

    path = None

    def __init__(self, given: Model, place: str) -> None:
        self._given = given
        self.place = place
        self._graph = in_memory(given, place)

    @property
    def graph(self) -> ir.Model:
        return self._graph

    @cached_property
    def parameters(self) -> tuple[TargetParameter, ...]:
        return describe_targets(self._graph)

    @cached_property
    def weights(self) -> Weights:
        return initializer_weights(self._graph, self.place)

    def require_unchanged(self) -> None:
        """Nothing: it opens no files later."""

    def require_writable(self, out: Path | None, how: Writing) -> None:
        if how.dtype is not None or how.max_shard_bytes is not None:
            raise TransplantError(
                "a model in memory keeps its types, and is no file",
                place=self.place,
                fix="Leave dtype and max_shard_bytes out.",
            )
        if out is not None and not is_model_file(out):
            is_written_by_network(out)  # refuses a kind that is unknown

    def carry(self, carried: Mapping[str, Weight], out: Path | None, how: Writing) -> Model:
        """A copy, of the type that was given, with other values of these weights; that of an `onnx_ir.Model` reads them
        when they are asked for. Writes it, too, if there is an output.

        Raises:
            ConversionError: if the file cannot be written, or Keras lacks a layer that it would hold.
            WeightFileError: if values cannot be read or cast, or the file of weights cannot be written.
        """
        model = filled(self._graph, self.weights, carried)
        copy = ir.to_proto(model) if isinstance(self._given, onnx.ModelProto) else model
        if out is not None:
            self._write(copy if isinstance(copy, ir.Model) else ir.from_proto(copy), out, how)
        return copy

    def _write(self, model: ir.Model, out: Path, how: Writing) -> None:
        if is_model_file(out):
            save_model(model, out, durable=how.durable)
            return
        if is_written_by_network(out):
            from converters.to_keras import to_keras  # all layers, which nothing else here needs

            keras = to_keras(model, self.place)
            how = replace(how, network=keras.layers, config=keras.json)
        write_weights(out, initializer_weights(model, self.place), how)
