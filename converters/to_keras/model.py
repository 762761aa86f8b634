"""A converted model back to Keras: the JSON of its network, and its layers as Keras' files of weights want them."""

from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from converters.build import Outline, outline
from converters.errors import ConversionError, UserError
from converters.layers import find_layer
from converters.layers.operations import OPERATIONS
from converters.network import Call, Layer, Network, Ref
from converters.notices import Notices
from converters.record import CONVERT_AGAIN, read_record, require_unchanged
from converters.roles import Role, initializer_roles
from converters.to_keras.given_back import GivenBack, KerasLayer, Source
from converters.to_keras.graph import KerasGraph, WrittenLayer, written_graph
from converters.to_keras.layers import layer_given_back
from converters.to_keras.operations import operation_given_back
from converters.to_keras.sequences import require_same_masks
from converters.to_keras.time_distributed import innermost, time_distributed
from converters.weights.keras_names import NetworkLayer, network_layers
from converters.weights.keras_variables import keras_variables
from converters.weights.onnx import open_onnx

__all__ = ["KerasNetwork", "to_keras", "to_keras_json"]


@dataclass(frozen=True)
class KerasNetwork:
    """A network as Keras 3 has it.

    Args:
        json: what `keras.models.model_from_json` takes.
        count: of its layers and operations.
        layers: those with variables, in the order in which its files of weights have them.
    """

    json: str
    count: int
    layers: tuple[NetworkLayer, ...]


def to_keras_json(model: ir.Model | Path | str) -> str:
    """The Keras 3 JSON of the network that a model was converted from, for `keras.models.model_from_json`.

    It is a flat Functional model. Layers keep their names but for what Keras refuses in them, which becomes `_`.

    Args:
        model: one that `convert` or the commands made, or its file.

    Raises:
        WeightFileError: if the file cannot be read.
        ConversionError: if the model was not converted, was changed since by more than new weights, or has layers that
            Keras 3 lacks.
    """
    if isinstance(model, ir.Model):
        return to_keras(model, f"model '{model.graph.name}'").json
    return to_keras(open_onnx(Path(model)), str(model)).json


def to_keras(model: ir.Model, file: str) -> KerasNetwork:
    """As `to_keras_json`, with what files of weights need; `file` is named in errors."""
    network = read_record(model, file)
    try:
        shapes = outline(network)
    except UserError as error:
        raise ConversionError(
            f"its metadata hold a network that cannot be converted ({error.problem})", place=file, fix=CONVERT_AGAIN
        ) from error
    _require_parameters(model, shapes, file)
    require_unchanged(model, file)
    require_same_masks(network, shapes, file)
    notices = Notices()
    graph = written_graph(network, _given_back(network, shapes, notices, file), shapes)
    notices.log()
    return KerasNetwork(graph.json, len(graph.layers), _with_variables(graph, model))


def _require_parameters(model: ir.Model, shapes: Outline, file: str) -> None:
    roles = initializer_roles(model)
    found = {
        name: tuple(value.const_value.shape.numpy())
        for name, value in model.graph.initializers.items()
        if value.const_value is not None
    }
    lines = [
        f"  parameter {name}: " + (f"shape {found[name]}, and {shape} in its network" if name in found else "not found")
        for name, shape in shapes.parameters.items()
        if found.get(name) != shape
    ]
    lines += [
        f"  parameter {name}: not one of its network"
        for name, role in roles.items()
        if role.kind is not Role.CONSTANT and name not in shapes.parameters
    ]
    if lines:
        raise ConversionError(
            "\n".join(["its parameters are no longer those of the network that it was converted from", *lines]),
            place=file,
            fix=CONVERT_AGAIN,
        )


def _given_back(network: Network, shapes: Outline, notices: Notices, file: str) -> dict[str, GivenBack]:
    """By layer, what stands for it; raises all errors in one."""
    given = {ref.layer: _input(ref, shapes) for ref in network.inputs}
    errors: list[ConversionError] = []
    for layer in network.layers:
        try:
            if layer.name not in given:
                given[layer.name] = _one_given_back(layer, network, shapes, notices, file)
        except ConversionError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        lines = [line for error in errors for line in (f"  {error.problem}", f"    {error.fix}")]
        raise ConversionError(
            "\n".join([f"{len(errors)} layers cannot be given back", *lines]),
            place=file,
            fix="Nothing was written.",
        )
    return given


def _input(ref: Ref, shapes: Outline) -> GivenBack:
    (shape,) = shapes.shapes[ref.layer, ref.call]
    layer = KerasLayer("InputLayer", {"batch_shape": list(shape), "dtype": "float32", "sparse": False})
    return GivenBack(layer, (Call(()),))


def _one_given_back(layer: Layer, network: Network, shapes: Outline, notices: Notices, file: str) -> GivenBack:
    entry = find_layer(layer.class_name)
    if layer.class_name in OPERATIONS:
        source = Source(layer, layer.class_name, network.keras_version, notices, file)
        given = operation_given_back(source)
    else:
        assert entry is not None, "the network was carried out"
        source = Source(layer, entry.class_name, network.keras_version, notices, file)
        given = layer_given_back(source)
    return time_distributed(given, source, shapes) if layer.time_distributed else given


def _with_variables(graph: KerasGraph, model: ir.Model) -> tuple[NetworkLayer, ...]:
    # One without variables counts too, if others of its class have some.
    by_name = {layer.name: layer for layer in network_layers(model)}
    layers = [_as_written(by_name.get(written.source), written) for written in graph.layers]
    return tuple(
        layer for layer in layers if layer.variables or layer.time_distributed or keras_variables(layer.class_name)
    )


def _as_written(layer: NetworkLayer | None, written: WrittenLayer) -> NetworkLayer:
    """A layer under the name and class with which it is written; one that holds others keeps those.

    Args:
        layer: the one of the network, if it has nodes.
    """
    inner, wrappers = innermost(written.layer)
    if layer is None:
        return NetworkLayer(written.name, inner.class_name, (), time_distributed=wrappers)
    holds = inner.class_name == layer.class_name.partition("(")[0]
    class_name = layer.class_name if holds else inner.class_name
    return replace(layer, class_name=class_name, keras_name=written.name, time_distributed=wrappers)
