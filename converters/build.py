"""A `Network` to a checked ONNX model.

All problems that the layers' configs have are told at once; one that shows only when a layer meets its input, alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from converters.errors import ConversionError
from converters.keras_json import CONTAINERS, read_network
from converters.keys import Keys
from converters.layers import LAYERS, LayerEntry, find_layer
from converters.layers.layer_builder import GraphBuilder, LayerBuilder
from converters.layers.tensor import Tensor
from converters.network import Layer, Network, Step, execution_order
from converters.notices import Notices
from converters.roles import NETWORK_KEY

__all__ = ["DEFAULT_IR_VERSION", "DEFAULT_OPSET", "PRODUCER", "build_model", "convert"]

DEFAULT_OPSET = 17
DEFAULT_IR_VERSION = 9
"""With opset 17, what ONNX Runtime 1.19 can train (it reads IR versions up to 10)."""

PRODUCER = "onnxgrid"


@dataclass(frozen=True)
class _Recipe:
    entry: LayerEntry
    config: Any


def convert(path: Path | str, *, seed: int = 0, input_shape: tuple[int, ...] | None = None) -> ir.Model:
    """The checked ONNX model of a Keras JSON file, its parameters at their first values.

    Args:
        seed: of those values, not negative; the same seed gives the same bytes.
        input_shape: takes the place of the file's: channels first, without batch.

    Raises:
        JsonError: if the file is not JSON.
        ConversionError: if the network cannot be converted.
    """
    return build_model(read_network(Path(path)), seed=seed, input_shape=input_shape)


def build_model(network: Network, *, seed: int = 0, input_shape: tuple[int, ...] | None = None) -> ir.Model:
    """The checked ONNX model of a network. Arguments as of `convert`.

    Raises:
        ConversionError: if the network cannot be converted.
    """
    notices = Notices()
    recipes = _read_configs(network, notices)
    steps = execution_order(network)
    names = _call_names(network)
    if input_shape is not None and len(network.inputs) != 1:
        raise ConversionError(
            f"the network has {len(network.inputs)} inputs, and one input shape is given",
            place=network.place,
            fix="Write the shapes in the network's file.",
        )
    graph = GraphBuilder(
        opset=DEFAULT_OPSET,
        ir_version=DEFAULT_IR_VERSION,
        seed=seed,
        names=list(names.values()),
        input_shape=input_shape,
    )
    tensors: dict[tuple[str, int], Tensor] = {}
    builders: dict[tuple[str, int], LayerBuilder] = {}
    for step in steps:
        key = step.layer.name, step.call
        builders[key] = LayerBuilder(graph, step.layer, order=step.order, call_name=names[key])
        tensors[key] = _build_call(step, recipes[step.layer.name], tensors, builders[key], graph)
    for ref in network.outputs:
        _add_output(tensors[ref.layer, ref.call], builders[ref.layer, ref.call], graph)
    model = _model(network, graph)
    _check(model)
    notices.log()
    return model


def _read_configs(network: Network, notices: Notices) -> dict[str, _Recipe]:
    """The converter and the checked config of every layer, by name; raises all errors in one."""
    recipes: dict[str, _Recipe] = {}
    errors: list[ConversionError] = []
    for layer in network.layers:
        try:
            recipes[layer.name] = _read_config(layer, notices)
        except ConversionError as error:
            errors.append(error)
    if errors:
        raise errors[0] if len(errors) == 1 else _joined(errors, network.place)
    return recipes


def _read_config(layer: Layer, notices: Notices) -> _Recipe:
    entry = find_layer(layer.class_name)
    if entry is None:
        raise _unsupported(layer)
    for call in layer.calls:
        if not entry.arity.accepts(len(call.inputs)):
            raise ConversionError(
                f"takes {entry.arity.value}, and is given {len(call.inputs)}",
                place=layer.place,
                fix='Change its "inbound_nodes".',
                layer=layer.name,
                class_name=layer.class_name,
            )
    keys = Keys(layer.config, layer=layer.name, class_name=layer.class_name, notices=notices)
    config = entry.read_config(keys)
    keys.report_unread()
    return _Recipe(entry, config)


def _unsupported(layer: Layer) -> ConversionError:
    known = sorted({entry.class_name for entry in LAYERS.values()})
    problem = "this class cannot be converted"
    close = get_close_matches(layer.class_name, known)
    if layer.class_name in CONTAINERS:
        problem = "a model within the model cannot be converted"
    elif close:
        problem += f"; the nearest that can: {', '.join(close)}"
    return ConversionError(
        problem,
        place=layer.place,
        fix=f"Use layers of these classes: {', '.join(known)}.",
        layer=layer.name,
        class_name=layer.class_name,
    )


def _joined(errors: Sequence[ConversionError], file: str) -> ConversionError:
    """One error that tells several; advice that they share is given once."""
    lines: list[str] = []
    for index, error in enumerate(errors):
        lines.append(f"  {error.place}: {error.problem}")
        if index + 1 == len(errors) or errors[index + 1].fix != error.fix:
            lines.append(f"    {error.fix}")
    return ConversionError(
        "\n".join([f"{len(errors)} layers cannot be converted", *lines]),
        place=file,
        fix="Mend them all; nothing was converted.",
    )


def _call_names(network: Network) -> dict[tuple[str, int], str]:
    """What the value that a call gives is named: after the layer, with the number of the call from the second on."""
    names: dict[tuple[str, int], str] = {}
    taken: set[str] = set()
    for layer in network.layers:
        for call in range(len(layer.calls)):
            name = f"{layer.name}/{call}" if call else layer.name
            if name in taken:
                raise ConversionError(
                    f"the name '{name}' is also that of another call of a shared layer",
                    place=layer.place,
                    fix="Rename the layer.",
                    layer=layer.name,
                    class_name=layer.class_name,
                )
            taken.add(name)
            names[layer.name, call] = name
    return names


def _build_call(
    step: Step, recipe: _Recipe, tensors: dict[tuple[str, int], Tensor], builder: LayerBuilder, graph: GraphBuilder
) -> Tensor:
    inputs = [tensors[ref.layer, ref.call] for ref in step.inputs]
    nodes_before = len(graph.nodes)
    result = recipe.entry.convert(recipe.config, inputs, builder)
    if len(graph.nodes) > nodes_before:
        graph.rename(result.value, builder.call_name)
    return result


def _add_output(tensor: Tensor, builder: LayerBuilder, graph: GraphBuilder) -> None:
    """Make a value a graph output named after its layer: through a node if it has another name, or is one already."""
    value, name = tensor.value, builder.call_name
    taken = {other.name for other in (*graph.inputs.values(), *graph.outputs)}
    if value.name != name or name in taken:
        value = builder.op("Identity", [value])
        if name not in taken:
            graph.rename(value, name)
    graph.outputs.append(value)


def _model(network: Network, graph: GraphBuilder) -> ir.Model:
    main = ir.Graph(
        [graph.inputs[ref.layer] for ref in network.inputs],
        graph.outputs,
        nodes=graph.nodes,
        initializers=list(graph.initializers.values()),
        opset_imports={"": graph.opset},
        name=network.name,
    )
    return ir.Model(
        main, ir_version=graph.ir_version, producer_name=PRODUCER, metadata_props={NETWORK_KEY: network.name}
    )


def _check(model: ir.Model) -> None:
    """Nothing, if the ONNX checker accepts the model; what it raises is a bug of ours.

    Parameters stand among the inputs for the check, so that their values need not be drawn and 2 GB are no limit.
    """
    skeleton = model.clone()
    for name, value in list(skeleton.graph.initializers.items()):
        if isinstance(value.const_value, ir.LazyTensor):
            del skeleton.graph.initializers[name]
            skeleton.graph.inputs.append(value)
    onnx.checker.check_model(ir.to_proto(skeleton), full_check=True)
