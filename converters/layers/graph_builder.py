"""The ONNX graph under construction: names that no two values share, and the types and shapes of what nodes give."""

from collections.abc import Sequence
from enum import Enum

import onnx
import onnx.defs
import onnx.helper
import onnx.shape_inference
import onnx_ir as ir

from converters.axes import AxisOrder
from converters.layers.symbolic_sizes import SymbolicSize, named
from converters.layers.tensor import Layout, Size

__all__ = ["BATCH", "GraphBuilder", "IoLayout", "SpatialSizes"]

BATCH = "N"
"""The name of the batch's size, which is never known."""


class IoLayout(Enum):
    """Where the channels stand in the graph's inputs and outputs."""

    CHANNELS_FIRST = "channels_first"
    """(N, C, s1...sn), as torch, TensorRT and OpenVINO expect."""
    CHANNELS_LAST = "channels_last"
    """(N, s1...sn, C), as Keras does: one Transpose stands behind each input and before each output."""


class SpatialSizes(Enum):
    """Which spatial sizes the inputs have."""

    DECLARED = "declared"
    OPEN = "open"
    """None that is known."""
    DOUBLED = "doubled"
    """Twice those declared: layers that do not depend on a size build with these too."""


class GraphBuilder:
    """The parts of the graph so far. Values are named through it, so that no two have one name.

    Args:
        seed: of the first values of parameters; not negative.
        input_shape: replaces the declared shape of the only input: channels first, without batch.
        input_layout: of inputs with spatial axes.
        io_layout: of the graph's inputs and outputs.
        spatial_sizes: of the inputs, however they are declared.
        keras_version: the major version of Keras that wrote the network, None if nothing says it.
    """

    def __init__(
        self,
        *,
        opset: int,
        ir_version: int,
        seed: int,
        names: Sequence[str],
        input_shape: tuple[int, ...] | None,
        input_layout: Layout,
        io_layout: IoLayout = IoLayout.CHANNELS_FIRST,
        spatial_sizes: SpatialSizes = SpatialSizes.DECLARED,
        keras_version: int | None = None,
    ) -> None:
        self.opset, self.ir_version, self.seed = opset, ir_version, seed
        self.input_shape, self.input_layout = input_shape, input_layout
        self.io_layout, self.spatial_sizes = io_layout, spatial_sizes
        self.keras_version = keras_version
        self.nodes: list[ir.Node] = []
        self.inputs: dict[str, ir.Value] = {}
        """By the name of their layer."""
        self.outputs: list[ir.Value] = []
        self.initializers: dict[str, ir.Value] = {}
        self.owners: dict[str, str] = {}
        """Parameter name -> name of the layer that declared it."""
        self.fixed: set[str] = set()
        """Names of float initializers that are never trained."""
        self.keras_axes: dict[str, tuple[tuple[int, ...], AxisOrder]] = {}
        """Name of a parameter that may lie otherwise in Keras -> its shape there, and the way from there."""
        self.transposes: dict[tuple[ir.Value, tuple[int, ...]], ir.Value] = {}
        """Value and order of its axes -> the Transpose of it."""
        self.batch_sizes: set[int] = set()
        """Of the batch, where inputs declare it."""
        self.merged: dict[str, int] = {}
        """Name of a first size that is the batch's and other axes' together -> entries for each sample."""
        self._names = set(names)
        self._sizes: dict[str, SymbolicSize] = {}
        """Those that are not known, by the names that they were given."""

    def unique(self, name: str) -> str:
        """The name, or with a number behind it if it is taken; taken from now on."""
        candidate, number = name, 1
        while candidate in self._names:
            candidate, number = f"{name}_{number}", number + 1
        self._names.add(candidate)
        return candidate

    def rename(self, value: ir.Value, name: str) -> None:
        """Change the name of an output of a node, of its first one with the node's, to one that was kept for it.

        The old name is free again.
        """
        node = value.producer()
        assert node is not None, "a layer that emits nodes returns the output of one"
        self._names.discard(str(value.name))
        value.name = name
        if value is node.outputs[0]:
            node.name = name

    def is_taken(self, name: str) -> bool:
        return name in self._names

    def initialize(self, name: str, tensor: ir.TensorProtocol) -> ir.Value:
        """Add an initializer of a name that is free, or already made sure of by `unique`."""
        self._names.add(name)
        value = ir.Value(
            name=name, shape=ir.Shape(tensor.shape.numpy()), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        self.initializers[name] = value
        return value

    def infer(self, node: ir.Node) -> None:
        """Give the outputs of a node their types and shapes."""
        schema = onnx.defs.get_schema(node.op_type, self.opset, "")
        inputs = [value for value in node.inputs if value is not None]
        types = {str(value.name): _type_proto(value) for value in inputs}
        data = {
            str(value.name): ir.serde.serialize_tensor(value.const_value)
            for value in inputs
            if isinstance(value.const_value, ir.Tensor)  # constants, not parameters: those would be drawn
        }
        inferred = onnx.shape_inference.infer_node_outputs(
            schema,
            ir.serde.serialize_node(node),
            types,
            data,
            opset_imports=[onnx.helper.make_opsetid("", self.opset)],
            ir_version=self.ir_version,
        )
        for output in node.outputs:
            proto = inferred[str(output.name)]
            output.type = ir.serde.deserialize_type_proto_for_type(proto)
            shape = _with_batch(ir.serde.deserialize_type_proto_for_shape(proto), inputs)
            output.shape = None if shape is None else named(output, shape, self._sizes)

    def declare(self, value: ir.Value, sizes: Sequence[Size]) -> None:
        """Change the shape of an output of a node; what has no size and no name gets a name."""
        value.shape = named(value, ir.Shape(sizes), self._sizes)


def _with_batch(shape: ir.Shape | None, inputs: Sequence[ir.Value]) -> ir.Shape | None:
    """The shape with its batch named where inference lost the name (Resize does); no layer here changes the batch.

    Within TimeDistributed the batch is that of all steps, and named after them: `N*7`.
    """
    first = inputs[0].shape
    if not first or not shape or isinstance(first[0], int) or isinstance(shape[0], int) or shape[0].value is not None:
        return shape
    batch = str(first[0].value)
    return ir.Shape([batch, *shape[1:]]) if batch.partition("*")[0] == BATCH else shape


def _type_proto(value: ir.Value) -> onnx.TypeProto:
    assert value.dtype is not None
    assert value.shape is not None
    sizes = [size if isinstance(size, int) else size.value for size in value.shape]
    return onnx.helper.make_tensor_type_proto(value.dtype.value, sizes)
