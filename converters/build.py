"""A `Network` to a checked ONNX model.

The problems of all layers are told at once: those of their configs, and those that show only when a layer meets its
input. What depends on a layer that has one cannot be judged, and is passed over.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import onnx.helper
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from converters.errors import ConversionError, joined
from converters.keras_json import read_network
from converters.layers.data_format import input_layout
from converters.layers.first_axis import has_no_batch, with_first_axis
from converters.layers.graph_builder import GraphBuilder, IoLayout, SpatialSizes
from converters.layers.layer_builder import LayerBuilder
from converters.layers.masks import FORGETTING, masked_inputs, passed_on, same_in_keras
from converters.layers.opsets import MAX_OPSET, MIN_OPSET
from converters.layers.registry import Arity
from converters.layers.tensor import Layout, Numbers, Shared, Tensor, Turned, shown
from converters.layers.time_distributed import Steps, time_distributed
from converters.model_bytes import message_without_values
from converters.model_file import MAX_MODEL_BYTES
from converters.network import Layer, Network, Ref, Step
from converters.network_json import network_json
from converters.notices import Notices
from converters.plan import Plan, Recipe, planned
from converters.port_layout import PortLayout, state_layout
from converters.record import record
from converters.roles import NETWORK_KEY
from converters.stated_shapes import require_stated_shapes

__all__ = ["DEFAULT_IR_VERSION", "DEFAULT_OPSET", "PRODUCER", "Outline", "build_model", "convert", "outline"]

logger = logging.getLogger(__name__)

DEFAULT_OPSET = 17
DEFAULT_IR_VERSION = 9
"""With opset 17, what ONNX Runtime 1.19 can train (it reads IR versions up to 10)."""

PRODUCER = "onnxgrid"

SHOWN_LARGEST = 3
"""Parameters that are named where all are too large together."""


def convert(
    path: Path | str,
    *,
    seed: int = 0,
    input_shape: tuple[int, ...] | None = None,
    opset: int = DEFAULT_OPSET,
    io_layout: IoLayout = IoLayout.CHANNELS_FIRST,
    dynamic_spatial: bool = False,
) -> ir.Model:
    """The checked ONNX model of a Keras JSON file or `.keras` archive, its parameters at their first values.

    Args:
        seed: of those values, not negative; the same seed gives the same bytes.
        input_shape: takes the place of the file's: channels first, without batch.
        opset: from `MIN_OPSET` to `MAX_OPSET`.
        io_layout: of the graph's inputs and outputs, of those that have spatial axes.
        dynamic_spatial: whether spatial sizes become symbolic, so that the graph runs at any.

    Raises:
        JsonError: if the file is not JSON.
        WeightFileError: if it is an archive that cannot be read.
        ConversionError: if the network cannot be converted, or not with these options.
    """
    return build_model(
        read_network(Path(path)),
        seed=seed,
        input_shape=input_shape,
        opset=opset,
        io_layout=io_layout,
        dynamic_spatial=dynamic_spatial,
    )


def build_model(
    network: Network,
    *,
    seed: int = 0,
    input_shape: tuple[int, ...] | None = None,
    opset: int = DEFAULT_OPSET,
    io_layout: IoLayout = IoLayout.CHANNELS_FIRST,
    dynamic_spatial: bool = False,
) -> ir.Model:
    """The checked ONNX model of a network. Arguments as of `convert`.

    Raises:
        ConversionError: if the network cannot be converted, or not with these options.
        ValueError: if the opset is not one that we write.
    """
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise ValueError(f"opset {opset} is not from {MIN_OPSET} to {MAX_OPSET}")
    notices = Notices()
    plan = planned(network, notices)
    _require_fit(network, input_shape, io_layout)
    least_ir_version = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)])

    def empty_graph(sizes: SpatialSizes) -> GraphBuilder:
        return GraphBuilder(
            opset=opset,
            ir_version=max(DEFAULT_IR_VERSION, least_ir_version),
            seed=seed,
            names=list(plan.names.values()),
            input_shape=input_shape,
            input_layout=input_layout(network),
            io_layout=io_layout,
            spatial_sizes=sizes,
            keras_version=network.keras_version,
        )

    if dynamic_spatial:
        _require_every_size(plan, empty_graph)
    graph = empty_graph(SpatialSizes.OPEN if dynamic_spatial else SpatialSizes.DECLARED)
    build = _whole(plan, graph)
    if input_shape is None and not dynamic_spatial:  # the file's own sizes
        require_stated_shapes(network, build.tensors, notices, partial(_parameters_at, plan, empty_graph))
    _require_one_file(graph, network.place)
    for ref in network.outputs:
        call_name = plan.names[ref.layer, ref.call]
        name = _output_name(call_name, ref.tensor)
        builder = build.builders[ref.layer, ref.call]
        _add_output(_in_place(_output(build.tensors, ref), builder), name, builder, graph)
    model = _model(network, graph)
    RemoveUnusedNodesPass()(model)  # a Transpose that the next layer took back
    _check(model)
    record(model, _recorded(plan, build))
    if network.left_out:
        logger.warning("%s", network.left_out)
    notices.log()
    return model


@dataclass(frozen=True)
class Outline:
    """What carrying out a network shows without the values of its parameters.

    Args:
        shapes: of what each call gives, by the name of the layer and the number of the call: of each output its sizes
            in Keras' order, the batch first, None where they are open.
        parameters: name -> shape in ONNX' order.
    """

    shapes: Mapping[tuple[str, int], tuple[tuple[int | None, ...], ...]]
    parameters: Mapping[str, tuple[int, ...]]


def outline(network: Network) -> Outline:
    """The shapes in a network, every notice left out.

    Raises:
        ConversionError: if the network cannot be converted.
    """
    plan = planned(network, Notices())
    graph = GraphBuilder(
        opset=DEFAULT_OPSET,
        ir_version=DEFAULT_IR_VERSION,
        seed=0,
        names=list(plan.names.values()),
        input_shape=None,
        input_layout=input_layout(network),
        keras_version=network.keras_version,
    )
    tensors = _whole(plan, graph).tensors
    return Outline(
        {key: tuple(_open_sizes(output) for output in outputs) for key, outputs in tensors.items()},
        _parameter_shapes(graph),
    )


def _require_fit(network: Network, input_shape: tuple[int, ...] | None, io_layout: IoLayout) -> None:
    """Nothing, if the network has one input where a shape is given for it, and channels last where they are asked for.

    Raises:
        ConversionError: if not.
    """
    if input_shape is not None and len(network.inputs) != 1:
        raise ConversionError(
            f"the network has {len(network.inputs)} inputs, and one input shape is given",
            place=network.place,
            fix="Write the shapes in the network's file.",
        )
    if io_layout is IoLayout.CHANNELS_LAST and input_layout(network) is Layout.KERAS:
        raise ConversionError(
            'the network has its channels first in Keras too ("data_format"), and channels last are asked for',
            place=network.place,
            fix="Convert it channels first: inputs and outputs are those of Keras then.",
        )


def _parameters_at(
    plan: Plan, empty_graph: Callable[[SpatialSizes], GraphBuilder], layer: Layer, keras_shape: tuple[int | None, ...]
) -> dict[str, tuple[int, ...]]:
    """The shapes that the parameters of a layer would have, if its only input had this one; none of one with several.

    Raises:
        ConversionError: if it cannot be made for that.
    """
    graph, recipe = empty_graph(SpatialSizes.DECLARED), plan.recipes[layer.name]
    if len(layer.calls[0].inputs) != 1:
        return {}
    builder = LayerBuilder(graph, layer, call=layer.calls[0], order=0, call_name=plan.names[layer.name, 0])
    recipe.entry.convert(recipe.config, [builder.input(keras_shape)], builder)
    return _parameter_shapes(graph)


def _parameter_shapes(graph: GraphBuilder) -> dict[str, tuple[int, ...]]:
    """Name -> shape in ONNX' order of the parameters that were declared."""
    return {
        name: tuple(tensor.shape.numpy()) for name in graph.owners if (tensor := graph.initializers[name].const_value)
    }


def _open_sizes(tensor: Tensor) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in tensor.shape)


def _require_every_size(plan: Plan, empty_graph: Callable[[SpatialSizes], GraphBuilder]) -> None:
    """Nothing, if every layer builds with spatial sizes that are open, and with others than those declared.

    A layer that does not stands with what it gives at the declared sizes, so that those behind it are seen too.

    Raises:
        ConversionError: that names all layers that do not.
    """
    declared = _whole(plan, empty_graph(SpatialSizes.DECLARED)).tensors
    refused: dict[str, str] = {}
    for sizes, where in ((SpatialSizes.OPEN, ""), (SpatialSizes.DOUBLED, ", with inputs of twice the size")):
        for error in _carried_out(plan, empty_graph(sizes), stand_ins=declared).errors:
            refused.setdefault(error.layer, f"  {error.place}: {error.problem}{where}")
    if refused:
        raise ConversionError(
            "\n".join(["these layers need spatial sizes that are known", *refused.values()]),
            place=plan.network.place,
            fix="Convert without dynamic spatial sizes, or replace them, as global pooling replaces Flatten.",
        )


@dataclass
class _Build:
    """What the calls of a network gave: of each, its outputs."""

    tensors: dict[tuple[str, int], tuple[Tensor, ...]]
    builders: dict[tuple[str, int], LayerBuilder]
    errors: list[ConversionError]


def _whole(plan: Plan, graph: GraphBuilder) -> _Build:
    """The calls of a plan, their nodes added to the graph.

    Raises:
        ConversionError: that tells the errors of all layers, and of all outputs.
    """
    build = _carried_out(plan, graph)
    for ref in plan.network.outputs:
        try:
            if (ref.layer, ref.call) in build.tensors:
                _output(build.tensors, ref)
        except ConversionError as error:
            build.errors.append(error)
    order = {layer.name: number for number, layer in enumerate(plan.network.layers)}
    found = [*plan.errors, *build.errors]
    if found:
        raise joined(sorted(found, key=lambda error: order.get(error.layer, len(order))), plan.network.place)
    return build


def _require_one_file(graph: GraphBuilder, place: str) -> None:
    """Nothing, if all parameters together fit into a file; else they need not be drawn to be refused.

    Raises:
        ConversionError: if they do not, naming the largest.
    """
    sizes = {name: graph.initializers[name].const_value.nbytes for name in graph.owners}  # type: ignore[union-attr]
    total = sum(sizes.values())
    if total > MAX_MODEL_BYTES:
        largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:SHOWN_LARGEST]
        told = ", ".join(f"'{name}' ({sizes[name] / 2**20:,.0f} MiB)" for name in largest)
        raise ConversionError(
            f"the parameters take {total / 2**30:,.1f} GiB, and a model ends at 2 GiB; the largest: {told}",
            place=place,
            fix="Choose smaller sizes.",
        )


def _carried_out(
    plan: Plan, graph: GraphBuilder, stand_ins: Mapping[tuple[str, int], tuple[Tensor, ...]] | None = None
) -> _Build:
    """The calls of a plan, their nodes added to the graph.

    Args:
        stand_ins: what takes the place of a call that fails; without them, calls that depend on it are passed over.
    """
    build = _Build({}, {}, [])
    for step in plan.steps:
        key = step.layer.name, step.call
        recipe = plan.recipes.get(step.layer.name)
        if recipe is None or any((ref.layer, ref.call) not in build.tensors for ref in step.inputs):
            continue
        call = step.layer.calls[step.call]
        builder = LayerBuilder(graph, step.layer, call=call, order=step.order, call_name=plan.names[key])
        build.builders[key] = builder
        try:
            build.tensors[key] = _build_call(step, recipe, build.tensors, builder, graph)
            if recipe.entry.class_name in FORGETTING and not builder.written_by_keras_2:
                _forget_masks(step, build)
        except ConversionError as error:
            build.errors.append(error)
            if stand_ins is not None:
                build.tensors[key] = stand_ins[key]
    return build


def _forget_masks(step: Step, build: _Build) -> None:
    """Change the tensors that a call was given, and those that are the same in Keras, to ones without masks."""
    given = {same_in_keras(_output(build.tensors, ref).value) for ref in step.inputs}
    for key, outputs in build.tensors.items():
        if any(x.mask is not None and same_in_keras(x.value) in given for x in outputs):
            build.tensors[key] = tuple(replace(x, mask=None) if same_in_keras(x.value) in given else x for x in outputs)


def _build_call(
    step: Step,
    recipe: Recipe,
    tensors: Mapping[tuple[str, int], tuple[Tensor, ...]],
    builder: LayerBuilder,
    graph: GraphBuilder,
) -> tuple[Tensor, ...]:
    inputs = [_output(tensors, ref) for ref in step.inputs]
    nodes_before = len(graph.nodes)
    outputs = _converted(step.layer, recipe, inputs, builder)
    emitted = graph.nodes[nodes_before:]
    named: set[ir.Value] = set()
    for number, output in enumerate(outputs):
        if inputs and output.value.producer() in emitted and output.value not in named:
            name = _output_name(builder.call_name, number)
            if number and graph.is_taken(name):
                raise builder.error(f"its output {number} and another layer are both '{name}'", "Rename the layer.")
            graph.rename(output.value, name)  # an input layer's name is that of the graph input
            named.add(output.value)
    return outputs


def _converted(layer: Layer, recipe: Recipe, inputs: list[Tensor], builder: LayerBuilder) -> tuple[Tensor, ...]:
    """What the function of the layer's class gives, with the masks that its class passes on."""
    entry = recipe.entry
    if entry.arity is not Arity.NAMED:
        inputs = masked_inputs(inputs, builder)
    if entry.takes_floats:
        without_batch = has_no_batch(inputs) and not layer.time_distributed
        inputs = inputs if layer.time_distributed else with_first_axis(inputs, entry)
        inputs = [builder.cast(_in_place(x, builder), ir.DataType.FLOAT) for x in inputs]
        if without_batch:
            outputs = map(builder.keras_order, entry.convert(recipe.config, inputs, builder))
            return tuple(Shared(y.value, y.layout) for y in outputs)

    def convert(given: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return passed_on(entry.class_name, given, entry.convert(recipe.config, given, builder), builder)

    if not layer.time_distributed:
        return convert(inputs)
    steps = Steps(layer.time_distributed, layer.in_distributed_model)
    return time_distributed(convert, entry.class_name, inputs, steps, builder)


def _in_place(x: Tensor, builder: LayerBuilder) -> Tensor:
    """The tensor, whose batch must stand first."""
    if isinstance(x, Numbers | Shared):
        raise builder.error(
            "is given numbers that are computed from a shape, which have no batch", "Compute with them, no more."
        )
    if isinstance(x, Turned):
        raise builder.error(
            f"has to do with a tensor {shown(x.shape)} whose batch stands behind other axes",
            "Take an entry of each axis before the batch first, as in x[0], or transpose it back.",
        )
    return x


def _output(tensors: Mapping[tuple[str, int], tuple[Tensor, ...]], ref: Ref) -> Tensor:
    outputs = tensors[ref.layer, ref.call]
    if ref.tensor < len(outputs):
        return outputs[ref.tensor]
    has = "one output (number 0)" if len(outputs) == 1 else f"{len(outputs)} outputs (the first is 0)"
    raise ConversionError(
        f"asks for output {ref.tensor} of layer '{ref.layer}', which has {has}",
        place=ref.place,
        fix="Write 0." if len(outputs) == 1 else f"Write a number from 0 to {len(outputs) - 1}.",
    )


def _output_name(call_name: str, number: int) -> str:
    """What output number `number` of a call is named: the first as the call, the others with their number behind it."""
    return f"{call_name}:{number}" if number else call_name


def _add_output(tensor: Tensor, name: str, builder: LayerBuilder, graph: GraphBuilder) -> None:
    """Make a value a graph output of this name: through a node if it is an input, or an output already."""
    value, layout = tensor.value, PortLayout(tensor.layout.value)
    if graph.io_layout is IoLayout.CHANNELS_LAST and tensor.layout is Layout.CHANNELS_FIRST:
        if value.name == name and value.producer() is not None:
            graph.rename(value, graph.unique(f"{name}/channels_first"))
        value, layout = builder.keras_order(tensor).value, PortLayout.CHANNELS_LAST
    taken = {other.name for other in (*graph.inputs.values(), *graph.outputs)}
    if value.producer() is None or any(value is other for other in graph.outputs) or name in taken:
        value = builder.op("Identity", [value])
    if name not in taken:
        graph.rename(value, name)  # another layer's, where this one has no node, as a linear activation
    state_layout(value, layout)
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


def _recorded(plan: Plan, build: _Build) -> str:
    """The network as the model keeps it: its inputs with the shapes that they have, whatever the file declares."""
    configs: dict[str, Mapping[str, Any]] = {name: recipe.kept for name, recipe in plan.recipes.items()}
    for ref in plan.network.inputs:
        batch = plan.recipes[ref.layer].config.shape[0]  # operations may ask for the very number
        configs[ref.layer] = {"batch_shape": [batch, *_open_sizes(build.tensors[ref.layer, ref.call][0])[1:]]}
    return network_json(plan.network, configs)


def _check(model: ir.Model) -> None:
    """Nothing, if the ONNX checker accepts the model; what it raises is a bug of ours.

    Parameters stand among the inputs for the check, so that their values need not be drawn and 2 GB are no limit.
    """
    parameters = {
        name for name, value in model.graph.initializers.items() if isinstance(value.const_value, ir.LazyTensor)
    }
    proto = message_without_values(model, parameters)
    described = [value for value in proto.graph.value_info if value.name in parameters]
    proto.graph.input.extend(described)
    for field in (proto.graph.initializer, proto.graph.value_info):
        kept = [item for item in field if item.name not in parameters]
        del field[:]
        field.extend(kept)
    onnx.checker.check_model(proto, full_check=True)
