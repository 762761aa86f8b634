"""The view of a graph under construction that a layer's converter function works with."""

import copy
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from converters.axes import VECTOR, AxisOrder
from converters.errors import ConversionError
from converters.initializers import Initializer, generator
from converters.keras_wrappers import inner_classes
from converters.keys import MAX_INTEGER
from converters.layers.data_format import DataFormat
from converters.layers.graph_builder import BATCH, GraphBuilder, IoLayout, SpatialSizes
from converters.layers.opsets import find_translation
from converters.layers.tensor import Layout, Size, Tensor, shown
from converters.model_file import MAX_MODEL_BYTES
from converters.network import Call, Layer
from converters.port_layout import PortLayout, state_layout
from converters.roles import (
    CLASS_NAME_KEY,
    FIXED_KEY,
    IN_DISTRIBUTED_MODEL_KEY,
    INNER_CLASSES_KEY,
    KERAS_AXES_KEY,
    LAYER_KEY,
    ORDER_KEY,
    TIME_DISTRIBUTED_KEY,
    TRAINABLE_KEY,
)

__all__ = ["SPATIAL_NAMES", "WIDENING", "LayerBuilder"]

MAX_ELEMENTS = 2**40
"""Of one sample of one value: 4 TiB. What is below this cannot overflow the 64 bits in which ONNX counts."""

WIDENING = (ir.DataType.BOOL, ir.DataType.INT64, ir.DataType.FLOAT)
"""The types of tensors; each can be cast to a later one and back without loss."""

SPATIAL_NAMES = {1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W"), 4: ("T", "D", "H", "W")}
"""Spatial rank -> names of spatial sizes that are not known."""


class LayerBuilder:
    """One call of a layer under construction.

    A converter function takes it to declare parameters and emit nodes, and returns the tensor that the call gives.
    `name` names the layer's parameters, `call_name` what the call gives: the layer's name, with `/1`, `/2`... from the
    second call on; `call` holds the arguments that the file gives besides the tensors.
    """

    def __init__(self, graph: GraphBuilder, layer: Layer, *, call: Call, order: int, call_name: str) -> None:
        self.name, self.call_name, self.call = layer.name, call_name, call
        self._graph, self._layer = graph, layer
        self._prefix = ""
        self._metadata = {LAYER_KEY: layer.name, CLASS_NAME_KEY: layer.class_name, ORDER_KEY: str(order)}
        if not layer.trainable:
            self._metadata[TRAINABLE_KEY] = "false"
        if layer.time_distributed:
            self._metadata[TIME_DISTRIBUTED_KEY] = str(layer.time_distributed)
        if layer.in_distributed_model:
            self._metadata[IN_DISTRIBUTED_MODEL_KEY] = "true"
        inner = inner_classes(layer.class_name, layer.config)
        if inner:
            self._metadata[INNER_CLASSES_KEY] = inner

    def part(self, name: str) -> "LayerBuilder":
        """The same call, for one of several alike parts of the layer: its parameters are `<layer>.<part>.<name>`."""
        part = copy.copy(self)
        part._prefix, part.call_name = f"{self._prefix}{name}.", f"{self.call_name}/{name}"
        return part

    @property
    def written_by_keras_2(self) -> bool:
        """As of `Keys`."""
        return self._graph.keras_version is not None and self._graph.keras_version < 3

    def error(self, problem: str, fix: str) -> ConversionError:
        """The error that this layer causes, to be raised."""
        return self._layer.error(problem, fix)

    def input(self, keras_shape: Sequence[int | None]) -> Tensor:
        """A graph input; its batch is symbolic whatever the shape says.

        Args:
            keras_shape: in Keras' order, the batch first.
        """
        layout = self._graph.input_layout if len(keras_shape) > 2 else Layout.KERAS
        if keras_shape[0] is not None:
            self._graph.batch_sizes.add(keras_shape[0])
        stored = tuple(keras_shape[1:])
        if layout is Layout.CHANNELS_FIRST:
            stored = (*stored[-1:], *stored[:-1])
        if self._graph.input_shape is not None:
            stored = self._replaced(stored, self._graph.input_shape)
        if stored:
            stored = (stored[0], *map(self._spatial_size, stored[1:]))
        names = ("C", *SPATIAL_NAMES.get(len(stored) - 1, ()))
        # Two inputs may have different unknown sizes, so that one name for both would be a false statement.
        prefix = f"{self.name}_" if self._graph.inputs else ""
        sizes = [prefix + name if size is None else size for size, name in zip(stored, names, strict=False)]
        moved = len(sizes) > 1 and self._graph.io_layout is IoLayout.CHANNELS_LAST
        declared = [BATCH, *sizes[1:], sizes[0]] if moved else [BATCH, *sizes]
        value = ir.Value(name=self.call_name, shape=ir.Shape(declared), type=ir.TensorType(ir.DataType.FLOAT))
        self._require_size(value, "the input")
        state_layout(value, PortLayout.CHANNELS_LAST if moved else PortLayout(layout.value))
        self._graph.inputs[self.name] = value
        if moved:
            value = self.transposed(value, (0, len(sizes), *range(1, len(sizes))))
            # The network's list counts the input as no operation, and this is part of it.
            value.producer().metadata_props.pop(ORDER_KEY)  # type: ignore[union-attr]
        return Tensor(value, layout)

    def _spatial_size(self, size: int | None) -> int | None:
        if size is None or self._graph.spatial_sizes is SpatialSizes.OPEN:
            return None
        return size if self._graph.spatial_sizes is SpatialSizes.DECLARED else 2 * size

    def _replaced(self, declared: tuple[int | None, ...], given: tuple[int, ...]) -> tuple[int, ...]:
        if len(given) != len(declared):
            raise self.error(
                f"has {len(declared)} axes besides the batch, and the given shape {shown(given)} has {len(given)}",
                "Give channels first, then the spatial sizes, without the batch.",
            )
        if len(given) > 1 and given[0] != declared[0] == given[-1]:
            raise self.error(
                f"the given shape {shown(given)} has {given[0]} channels, and the network's file says {declared[0]}",
                f"Give channels first: {','.join(map(str, (given[-1], *given[:-1])))}.",
            )
        return given

    def parameter(
        self, name: str, keras_shape: tuple[int, ...], axes: AxisOrder, initializer: Initializer, *, fixed: bool = False
    ) -> ir.Value:
        """The initializer `<layer>.<name>`, declared by the first call and shared by the others.

        Its first values are drawn when they are first read.

        Args:
            keras_shape: from which the initializer takes its fans.
            axes: the way from there to the ONNX order.
            fixed: never trained nor counted.

        Raises:
            ConversionError: if the name is taken by another layer, the initializer refuses the shape, or the values
                would be too large for a file.
        """
        full_name, seed = f"{self.name}.{self._prefix}{name}", self._graph.seed
        shape = axes.onnx_shape(keras_shape)
        if self._graph.owners.get(full_name) == self.name:
            return self._shared(full_name, shape)
        if self._graph.is_taken(full_name):
            raise self.error(
                f"its parameter '{full_name}' has the name of another layer or parameter", "Rename one of them."
            )
        size = math.prod(keras_shape) * np.dtype(np.float32).itemsize
        if size > MAX_MODEL_BYTES:
            problem = f"its parameter '{full_name}' {shown(shape)} would take {size / 2**30:,.1f} GiB"
            raise self.error(f"{problem}, and a model ends at 2 GiB", "Choose smaller sizes.")
        refusal = initializer.refusal(keras_shape)
        if refusal is not None:
            raise self.error(f"the initializer of '{name}' {refusal}", "Use another initializer.")

        def draw() -> ir.TensorProtocol:
            values = axes.to_onnx(initializer.draw(keras_shape, generator(seed, full_name)))
            return ir.Tensor(values, dtype=ir.DataType.FLOAT, name=full_name)

        if fixed:
            self._graph.fixed.add(full_name)
        self._graph.owners[full_name] = self.name
        if axes != VECTOR:
            self._graph.keras_axes[full_name] = keras_shape, axes
        lazy = ir.LazyTensor(draw, dtype=ir.DataType.FLOAT, shape=ir.Shape(shape), cache=True, name=full_name)
        return self._graph.initialize(full_name, lazy)

    def _shared(self, full_name: str, shape: tuple[int, ...]) -> ir.Value:
        value = self._graph.initializers[full_name]
        if value.shape != shape:
            sizes = f"{shown(Tensor(value, Layout.KERAS).shape)} and {shown(shape)}"
            raise self.error(
                f"is called on inputs of different sizes: its parameter '{full_name}' would be {sizes}",
                "Use a layer of its own for each size.",
            )
        return value

    def statistic(self, name: str, channels: int, initializer: Initializer) -> ir.Value:
        """The initializer `<layer>.<name>` of a running statistic, (channels,)."""
        return self.parameter(name, (channels,), VECTOR, initializer)

    def constant(self, what: str, array: npt.NDArray[Any]) -> ir.Value:
        """The initializer `<layer>/<what>`: part of the structure, never trained."""
        name = self._graph.unique(f"{self.call_name}/{what}")
        if array.dtype == np.float32:
            self._graph.fixed.add(name)
        return self._graph.initialize(name, ir.Tensor(array, name=name))

    def scalar(self, what: str, value: float) -> ir.Value:
        """The initializer `<layer>/<what>`: one float32 number, never trained."""
        return self.constant(what, np.array(value, np.float32))

    def op(self, op_type: str, inputs: Sequence[ir.Value | None], **attributes: Any) -> ir.Value:
        """The output of a new node `<call>/<op_type>`, its type and shape inferred.

        Where the opset of the graph writes it otherwise than `converters.layers.opsets` says, it is translated.
        """
        translation = find_translation(op_type, self._graph.opset)
        if translation is not None:
            return translation(self, op_type, inputs, attributes)
        return self.node(op_type, inputs, attributes)

    def node(self, op_type: str, inputs: Sequence[ir.Value | None], attributes: Mapping[str, Any]) -> ir.Value:
        """As `op`, for what is written in the graph's own opset."""
        (output,) = self.op_outputs(op_type, inputs, 1, **attributes)
        return output

    def op_outputs(
        self, op_type: str, inputs: Sequence[ir.Value | None], count: int, **attributes: Any
    ) -> Sequence[ir.Value]:
        """The outputs of a new node `<call>/<op_type>`, named after it, their types and shapes inferred."""
        name = self._graph.unique(f"{self.call_name}/{op_type}")
        outputs = [ir.Value(name=self._graph.unique(f"{name}/{i}") if i else name) for i in range(count)]
        typed = {key: _typed(key, value) for key, value in attributes.items()}
        node = ir.node(op_type, inputs, typed, outputs=outputs, name=name, metadata_props=dict(self._metadata))
        fixed = [str(value.name) for value in inputs if value is not None and value.name in self._graph.fixed]
        if fixed:
            node.metadata_props[FIXED_KEY] = json.dumps(fixed)
        names = [str(value.name) for value in inputs if value is not None]
        keras_axes = {name: _stated(*self._graph.keras_axes[name]) for name in names if name in self._graph.keras_axes}
        if keras_axes:
            node.metadata_props[KERAS_AXES_KEY] = json.dumps(keras_axes)
        self._graph.infer(node)
        for output in node.outputs:
            self._require_size(output, "what it gives")
        self._graph.nodes.append(node)
        return node.outputs

    def _require_size(self, value: ir.Value, what: str) -> None:
        """Nothing, if a sample of a value has elements, can be held, and its sizes counted by what runs the graph.

        Raises:
            ConversionError: if not, calling the value `what`.
        """
        known = [size for size in value.shape or () if isinstance(size, int)]
        if 0 in known:
            problem, fix = "is empty", "Take less of its input away, or use a larger one."
        elif max(known, default=0) > MAX_INTEGER or math.prod(known) > MAX_ELEMENTS:
            problem, fix = "is too large to compute", "Choose smaller sizes."
        else:
            return
        sizes = shown(Tensor(value, Layout.KERAS).shape)
        raise self.error(f"{what}, {sizes} in ONNX's order, {problem}", fix)

    def is_batch(self, size: object) -> bool:
        """Whether a size stands for the batch: by its name, or because the network's inputs declare a batch of it."""
        return size == BATCH or (isinstance(size, int) and size in self._graph.batch_sizes)

    def rows_per_sample(self, x: Tensor) -> int | None:
        """How many entries of the first axis belong to one sample: 1, if it is the batch; None if nobody knows."""
        first = x.shape[0]
        return 1 if first == BATCH else self._graph.merged.get(str(first))

    def name_rows(self, value: ir.Value, per_sample: int | None) -> None:
        """Change a value's first size to that of so many entries a sample, where inference cannot tell it."""
        assert value.shape is not None
        size = {None: None, 1: BATCH}.get(per_sample, f"{BATCH}*{per_sample}")
        if size is not None and per_sample is not None:
            self._graph.merged[size] = per_sample
        self.declare(value, [size, *Tensor(value, Layout.KERAS).stored_shape[1:]])

    def declare(self, value: ir.Value, sizes: Sequence[Size]) -> None:
        """Change a value's shape to these sizes, where inference cannot tell them; None stands for one with no name."""
        self._graph.declare(value, sizes)

    def annotate(self, value: ir.Value, key: str, text: str) -> None:
        """Change the metadata of the node that gave a value: what training must know and ONNX has no word for."""
        node = value.producer()
        assert node is not None
        node.metadata_props[key] = text

    def channels_first(self, x: Tensor) -> Tensor:
        """The tensor stored channels first; transposed if it is of rank 3 or more and in Keras' order."""
        if x.layout is Layout.CHANNELS_FIRST or x.rank < 3:
            return x
        return Tensor(self.transposed(x.value, (0, x.rank - 1, *range(1, x.rank - 1))), Layout.CHANNELS_FIRST)

    def keras_order(self, x: Tensor) -> Tensor:
        """The tensor stored as Keras sees it; transposed if it is stored channels first."""
        if x.layout is Layout.KERAS:
            return x
        return Tensor(self.transposed(x.value, (0, *range(2, x.rank), 1)), Layout.KERAS)

    def transposed(self, value: ir.Value, permutation: Sequence[int]) -> ir.Value:
        """The value with its axes in another order; what a Transpose gave is taken from before it, in one go.

        Whoever asks for the same again gets the same.
        """
        node = value.producer()
        if node is not None and node.op_type == "Transpose":
            before = node.attributes["perm"].as_ints()
            permutation = [before[axis] for axis in permutation]
            (source,) = node.inputs
            assert source is not None
            value = source
        if list(permutation) == list(range(len(permutation))):
            return value
        key = value, tuple(permutation)
        if key not in self._graph.transposes:
            self._graph.transposes[key] = self.op("Transpose", [value], perm=key[1])
        return self._graph.transposes[key]

    def unshaped(self, value: ir.Value) -> ir.Value:
        """A value of the same elements in the same order: what a Flatten or Reshape took to give this one."""
        node = value.producer()
        source = node.inputs[0] if node is not None and node.op_type in ("Flatten", "Reshape") else None
        if source is None or source.shape is None or value.shape is None:
            return value
        return source if source.shape[0] == value.shape[0] == BATCH else value

    def reshaped(self, value: ir.Value, sizes: Sequence[Size]) -> ir.Value:
        """The elements of a value in other sizes, in the same order; the batch, which comes first, stays.

        Nothing is added if what it was made of has these sizes.

        Args:
            sizes: without the batch; one may be -1.
        """
        value = self.unshaped(value)
        assert value.shape is not None
        if tuple(value.shape[1:]) == tuple(sizes):
            return value
        return self.op("Reshape", [value, self.constant("shape", np.array([0, *sizes], np.int64))])

    def cast(self, x: Tensor, dtype: ir.DataType) -> Tensor:
        """The tensor in another type; what was cast from that type, without loss, is taken from before that."""
        value: ir.Value | None = x.value
        while value is not None and value.dtype is not dtype:
            value = _before_widening(value)
        if value is not None:
            return replace(x, value=value)
        return replace(x, value=self.op("Cast", [x.value], to=dtype))

    def image(self, x: Tensor, data_format: DataFormat, spatial_rank: int) -> Tensor:
        """x with so many spatial axes, stored as (N, C, s1...sn), whichever format it has.

        Raises:
            ConversionError: if it has more axes or fewer.
        """
        if x.rank != spatial_rank + 2:
            names = SPATIAL_NAMES[spatial_rank]
            last = data_format is DataFormat.CHANNELS_LAST
            expected: tuple[Size, ...] = (BATCH, *names, "C") if last else (BATCH, "C", *names)
            raise self.error(
                f"takes an input {shown(expected)}, and is given {shown(x.shape)}",
                "Use the class for that many axes, or change the layers before it.",
            )
        return self.channels_first(x) if data_format is DataFormat.CHANNELS_LAST else self.keras_order(x)

    def keras_axis(self, x: Tensor, axis: int) -> int:
        """The axis of x counted from 0, in Keras' order, that a config writes as `axis`.

        Raises:
            ConversionError: if x has no such axis.
        """
        if not -x.rank <= axis < x.rank:
            raise self.error(
                f'"axis" is {axis}, and its input {shown(x.shape)} has {x.rank} axes',
                f"Write an axis from {-x.rank} to {x.rank - 1}.",
            )
        return axis % x.rank

    def keras_axes(self, x: Tensor, axes: Sequence[int]) -> list[int]:
        """As `keras_axis`, of several.

        Raises:
            ConversionError: if x lacks one, or one comes twice.
        """
        counted = [self.keras_axis(x, axis) for axis in axes]
        if len(set(counted)) < len(counted):
            raise self.error(f"{list(axes)} names an axis of its input {shown(x.shape)} twice", "Write each axis once.")
        return counted

    def _reason_to_know_sizes(self) -> str:
        is_operation = self._layer.class_name.startswith(("keras.ops.", "tf."))
        return "the operators that compute this need it" if is_operation else "its parameters depend on it"

    def known_size(self, x: Tensor, stored_axis: int) -> int:
        """The size of an axis on which parameters or nodes depend, counted in the ONNX value.

        Raises:
            ConversionError: if it is unknown.
        """
        size = x.stored_shape[stored_axis]
        if isinstance(size, int):
            return size
        axis = next(axis for axis in range(x.rank) if x.stored_axis(axis) == stored_axis % x.rank)
        which = "the last axis" if axis == x.rank - 1 else f"axis {axis}"
        raise self.error(
            f"the size of {which} of its input {shown(x.shape)} is unknown, and {self._reason_to_know_sizes()}",
            "Write all sizes that matter in the shape of the input layer.",
        )


def _stated(keras_shape: tuple[int, ...], axes: AxisOrder) -> list[tuple[int, ...]]:
    """What `KERAS_AXES_KEY` says of a parameter."""
    plain = not axes.groups and not axes.gates
    return [keras_shape, axes.permutation, *(() if plain else (axes.groups, axes.gates))]


def _typed(name: str, value: Any) -> Any:
    """An attribute; onnx_ir itself finds out the type of a list only after many questions that take their time."""
    if isinstance(value, list | tuple) and all(isinstance(item, int) for item in value):
        return ir.AttrInt64s(name, value)
    return value


def _before_widening(value: ir.Value) -> ir.Value | None:
    """What a Cast without loss made the value from; None if nothing did."""
    node = value.producer()
    if node is None or node.op_type != "Cast":
        return None
    (source,) = node.inputs
    assert source is not None
    assert source.dtype is not None
    assert value.dtype is not None
    return source if WIDENING.index(source.dtype) < WIDENING.index(value.dtype) else None
