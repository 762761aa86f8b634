"""The network of a run: from its JSON or ONNX file, with the weights that `checkpoints.load` names."""

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from converters import build_model, read_network
from converters.keras_json import network_from_json
from converters.weights.onnx import embed_external_data, open_onnx
from onnxgrid.config import InlineNetwork, InputPath
from onnxgrid.errors import TransplantError
from onnxgrid.training.foreign import ready_for_training
from onnxgrid.transplant.apply import apply_plan
from onnxgrid.transplant.files import plan_from_file
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
    if layers.path.suffix.lower() == ".onnx":
        model = open_onnx(layers.path)
        embed_external_data(model, layers.given)  # engines and checkpoints hold the model without its folder
        ready_for_training(model)
        return OpenedNetwork(model, layers.given)
    return OpenedNetwork(build_model(read_network(layers.path), seed=seed), layers.given)


def load_weights(model: ir.Model, source: InputPath, *, strict: bool, write: Callable[[str], None]) -> ir.Model:
    """A copy of the model with every weight that the file has by the same name and shape; the log names the others.

    Raises:
        TransplantError: with `strict`, if anything was not carried.
        WeightFileError: if the file cannot be read.
    """
    weights, plan = plan_from_file(source.path, model)
    write(loading_line(source.given))
    for line in plan.lines():
        write(line)
    if strict and plan.lines():
        raise TransplantError(
            f"{len(plan.lines())} differences between the checkpoint and the network, listed above",
            place=source.given,
            fix="Rename layers so that they match, or leave --strict out.",
        )
    return apply_plan(plan, weights, model)
