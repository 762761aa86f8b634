"""`onnxgrid.convert` and `onnxgrid.to_keras`: a network with its weights to a model, and back.

`converters` does each step; here they are put together. No file is written before all that is asked for is computed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

import converters
from converters.atomic_file import replacing_or_refused
from converters.batchnorm_folding import fold_batch_normalization
from converters.build import DEFAULT_OPSET
from converters.errors import ConversionError
from converters.keras_archive import ARCHIVE_SUFFIX
from converters.layers.graph_builder import IoLayout
from converters.roles import Role, initializer_roles
from converters.to_keras import KerasNetwork
from converters.to_keras import to_keras as network_of_keras
from converters.weights import Writing, is_written_by_network, write_weights
from converters.weights.onnx import initializer_weights, open_onnx
from onnxgrid.transplant.files import fill_from_file
from onnxgrid.transplant.report import TransplantReport

if TYPE_CHECKING:
    from onnxgrid.check import CheckReport

__all__ = ["Conversion", "KerasConversion", "WrittenWeights", "convert", "to_keras"]

Located = Path | str


@dataclass(frozen=True)
class WrittenWeights:
    """A file of weights that was written, and how many it holds."""

    path: Path
    count: int

    def line(self) -> str:
        """What a person reads."""
        return f"{self.path}: {self.count:,} weights"

    def to_json(self) -> dict[str, Any]:
        """The same for a machine."""
        return {"path": str(self.path), "weights": self.count}


@dataclass(frozen=True)
class Conversion:
    """A converted network.

    Args:
        model: as it was written, or would be.
        filled: what was loaded into it; None if nothing was.
        checked: what the check found; None if none was asked for.
        weights_out: the weights that were written, None if none were.
    """

    model: ir.Model
    filled: TransplantReport | None
    checked: "CheckReport | None"
    weights_out: WrittenWeights | None

    def lines(self) -> list[str]:
        """What the check found, one line for each weight that was not loaded, and the weights that were written."""
        checked = [] if self.checked is None else self.checked.lines()
        filled = [] if self.filled is None else self.filled.lines()
        return [*checked, *filled, *_line(self.weights_out)]

    def counts(self) -> dict[str, int]:
        """Of nodes, initializers, and elements of the parameters."""
        return {
            "nodes": len(self.model.graph),
            "initializers": len(self.model.graph.initializers),
            "parameters": _parameters(self.model),
        }

    def to_json(self) -> dict[str, Any]:
        """All of it but the model, for a machine."""
        return {
            **self.counts(),
            **({} if self.filled is None else {"weights": self.filled.to_json()}),
            **({} if self.checked is None else {"check": self.checked.to_json()}),
            **_written(self.weights_out),
        }


@dataclass(frozen=True)
class KerasConversion:
    """A network that was given back to Keras.

    Args:
        json: what `keras.models.model_from_json` takes.
        layers: how many it has, operations included.
        parameters: how many elements its parameters have.
        weights_out: as of `Conversion`.
    """

    json: str
    layers: int
    parameters: int
    weights_out: WrittenWeights | None

    def lines(self) -> list[str]:
        """The weights that were written, if any were."""
        return _line(self.weights_out)

    def counts(self) -> dict[str, int]:
        """Of layers, and elements of the parameters."""
        return {"layers": self.layers, "parameters": self.parameters}

    def to_json(self) -> dict[str, Any]:
        """All of it but the network, for a machine."""
        return {**self.counts(), **_written(self.weights_out)}


def convert(
    network: Located,
    output: Located | None = None,
    *,
    weights: Located | None = None,
    strict: bool = False,
    weights_out: Located | None = None,
    seed: int = 0,
    input_shape: tuple[int, ...] | None = None,
    opset: int = DEFAULT_OPSET,
    io_layout: IoLayout = IoLayout.CHANNELS_FIRST,
    dynamic_spatial: bool = False,
    fold_batchnorm: bool = False,
    check: bool = False,
) -> Conversion:
    """The ONNX model of a Keras JSON or `.keras` archive, with its weights; written to `output`, if that is given.

    Args:
        weights: a file of weights; those of an archive are the default, initial values that of a JSON.
        strict: whatever in the weights does not match is an error.
        weights_out: where the weights go besides, in the format that its suffix says; with `fold_batchnorm` as they
            are before.
        seed: of the initial values, not negative.
        input_shape: takes the place of the file's: channels first, without batch.
        opset: from `converters.layers.opsets.MIN_OPSET` to `MAX_OPSET`.
        io_layout: of inputs and outputs with spatial axes.
        dynamic_spatial: whether spatial sizes are left open.
        fold_batchnorm: whether normalizations are folded into the layers before them: for use only.
        check: whether the model is run on random input, and compared with Keras where that is installed.

    Raises:
        UserError: if a file cannot be read or written, the network cannot be converted, or `strict` finds a difference.
        WorkFailed: if the check fails.
    """
    source, given = Path(network), None if weights is None else Path(weights)
    written = {"output": output, "weights": weights_out}
    _require_apart(written, {"network": source, "file of weights that is loaded": given})
    by_network = weights_out is not None and is_written_by_network(Path(weights_out))
    model = converters.convert(
        source, seed=seed, input_shape=input_shape, opset=opset, io_layout=io_layout, dynamic_spatial=dynamic_spatial
    )
    if given is None and source.suffix.lower() == ARCHIVE_SUFFIX:
        given = source
    filled = None
    if given is not None:
        filled = fill_from_file(given, model, str(network), strict=strict)
    unfolded = model
    if fold_batchnorm:
        model = unfolded.clone()
        fold_batch_normalization(model)
    checked = _checked(model, source, seed, unfolded) if check else None
    keras = network_of_keras(unfolded, str(network)) if by_network else None
    saved = _save_weights(weights_out, unfolded, str(network), keras)
    if output is not None:
        converters.save_model(model, Path(output), durable=False)
    return Conversion(model, filled, checked, saved)


def _checked(model: ir.Model, network: Path, seed: int, unfolded: ir.Model) -> "CheckReport":
    from onnxgrid.check import check_model  # loads what runs models

    again = network if network.is_file() else None  # what came through a pipe is gone
    return check_model(model, again, seed=seed, unfolded=unfolded)


def to_keras(model: Located, output: Located | None = None, *, weights_out: Located | None = None) -> KerasConversion:
    """The Keras 3 JSON of the network that a model was converted from; written to `output`, if that is given.

    Args:
        model: an ONNX model that was converted, and trained or transplanted since.
        weights_out: where its weights go, in the format that the suffix says: `keras.Model.load_weights` takes
            `.weights.h5`.

    Raises:
        UserError: if a file cannot be read or written, or the network not given back (`converters.to_keras_json`).
    """
    source = Path(model)
    _require_apart({"output": output, "weights": weights_out}, {"model": source})
    if weights_out is not None:
        is_written_by_network(Path(weights_out))  # refuses a kind that is unknown
    opened = open_onnx(source)
    network = network_of_keras(opened, str(model))
    saved = _save_weights(weights_out, opened, str(model), network)
    if output is not None:
        _save_json(network.json, Path(output))
    return KerasConversion(network.json, network.count, _parameters(opened), saved)


def _save_weights(
    path: Located | None, model: ir.Model, place: str, keras: KerasNetwork | None
) -> WrittenWeights | None:
    if path is None:
        return None
    weights = initializer_weights(model, place)
    if keras is None:
        write_weights(Path(path), weights)
    else:
        write_weights(Path(path), weights, Writing(network=keras.layers, config=keras.json))
    return WrittenWeights(Path(path), len(weights))


def _save_json(text: str, path: Path) -> None:
    with replacing_or_refused(path, ConversionError) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _require_apart(written: Mapping[str, Located | None], read: Mapping[str, Path | None]) -> None:
    """Nothing, if no file that is to be written is one that is read, or written twice.

    Raises:
        ConversionError: if one is.
    """
    taken = {name: path for name, path in read.items() if path is not None}
    for name, located in written.items():
        if located is None:
            continue
        path = Path(located)
        for other_name, other in taken.items():
            if path.resolve() == other.resolve() or (path.exists() and other.exists() and path.samefile(other)):
                raise ConversionError(f"is the {other_name} too", place=str(path), fix=f"Give the {name} another file.")
        taken[name] = path


def _parameters(model: ir.Model) -> int:
    """How many elements the parameters have."""
    return sum(
        tensor.size
        for name, role in initializer_roles(model).items()
        if role.kind is Role.PARAMETER and (tensor := model.graph.initializers[name].const_value) is not None
    )


def _line(weights_out: WrittenWeights | None) -> list[str]:
    return [] if weights_out is None else [weights_out.line()]


def _written(weights_out: WrittenWeights | None) -> dict[str, Any]:
    return {} if weights_out is None else {"weights_out": weights_out.to_json()}
