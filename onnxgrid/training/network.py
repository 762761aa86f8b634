"""The network of a run: from its JSON or ONNX file, with the weights that `checkpoints.load` names."""

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from converters import build_model, read_network
from converters.keras_json import network_from_json
from converters.model_suffix import is_model_file
from converters.weights.onnx import embed_external_data, open_onnx
from onnxgrid.config import InlineNetwork, InputPath
from onnxgrid.errors import TransplantError
from onnxgrid.training.foreign import ready_for_training
from onnxgrid.transplant.files import fill_from_file
from onnxgrid.transplant.report import loading_line

__all__ = ["OpenedNetwork", "load_weights", "open_network"]


@dataclass(frozen=True)
class OpenedNetwork:
    """A model and its file, for errors."""

    model: ir.Model
    place: str


def open_network(layers: InputPath | InlineNetwork, *, seed: int) -> OpenedNetwork:
    """The model that the key `layers` names: a network JSON, converted with initial weights by `seed`, or an `.onnx`
    model.

    Raises:
        UserError: if it cannot be converted or opened.
    """
    if isinstance(layers, InlineNetwork):
        place = layers.content.place()
        return OpenedNetwork(build_model(network_from_json(layers.content, place), seed=seed), place)
    if is_model_file(layers.path):
        model = open_onnx(layers.path)
        embed_external_data(model, layers.given)  # engines and checkpoints hold the model without its folder
        ready_for_training(model)
        return OpenedNetwork(model, layers.given)
    return OpenedNetwork(build_model(read_network(layers.path), seed=seed), layers.given)


def load_weights(network: OpenedNetwork, source: InputPath, *, strict: bool, write: Callable[[str], None]) -> None:
    """Change the model: it gets every weight that the file has by the same name and shape; the log names the others.

    Raises:
        TransplantError: with `strict`, if anything was not carried.
        WeightFileError: if the file cannot be read.
    """
    lines = fill_from_file(source.path, network.model, network.place, strict=False).plan.lines()
    for line in (loading_line(source.given), *lines):
        write(line)
    if strict and lines:
        raise TransplantError(
            f"{len(lines)} differences between the checkpoint and the network, listed above",
            place=source.given,
            fix="Rename layers so that they match, or leave --strict out.",
        )
