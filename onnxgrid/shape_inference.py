"""Shapes of the values of a graph, where they can be inferred."""

import logging
import re
from collections.abc import Sequence

import onnx
import onnx.shape_inference
import onnx_ir as ir

from converters.model_bytes import message_without_values

__all__ = ["ImpossibleShapes", "infer_shapes", "known_shapes", "sample_shapes"]

Shapes = dict[str, tuple[int | None, ...]]
"""By the name of a value; None for a size that is open."""

MAX_SIZES = 2**10
"""Elements of an initializer that may say how large something is; larger ones are weights."""

FAILED_NODE = re.compile(r"node name: (.*?)\): \[\w+\] (.*)")
"""What onnx says of a node: its name, and what is wrong."""


class ImpossibleShapes(Exception):
    """A node cannot compute with the shapes that reach it.

    Args:
        node: its name.
    """

    def __init__(self, node: str, problem: str) -> None:
        super().__init__(problem)
        self.node = node


def sample_shapes(model: ir.Model, shape: Sequence[int]) -> Shapes:
    """What shapes the values of a graph have whose first input has samples of this shape; nothing is computed.

    Empty, if onnx cannot infer the shapes of the graph in any case.

    Args:
        shape: without batch.

    Raises:
        ImpossibleShapes: if a node cannot compute with these shapes, or if nothing is left of what it gives.
    """
    sized = model.clone()
    try:
        always_empty = {name for name, sizes in _inferred(sized).items() if _is_empty(sizes)}
    except onnx.shape_inference.InferenceError:
        return {}
    batch = sized.graph.inputs[0].shape
    sized.graph.inputs[0].shape = ir.Shape([batch[0] if batch else None, *shape])
    try:
        shapes = _inferred(sized)
    except onnx.shape_inference.InferenceError as error:
        found = FAILED_NODE.search(str(error))
        raise ImpossibleShapes(*(found.groups() if found else ("", str(error)))) from None
    for node in sized.graph:
        names = {str(value.name) for value in node.outputs} - always_empty
        if any(_is_empty(shapes.get(name, ())) for name in names):
            raise ImpossibleShapes(str(node.name), "nothing is left of what it gives")
    return shapes


def _is_empty(sizes: Sequence[int | None]) -> bool:
    return any(size is not None and size < 1 for size in sizes)


def _inferred(model: ir.Model) -> Shapes:
    """The shapes that follow from those of a model's inputs. What it has itself of others is removed."""
    for node in model.graph:
        for output in node.outputs:
            output.shape = None
    held = {name: value.const_value for name, value in model.graph.initializers.items()}
    large = [name for name, tensor in held.items() if tensor is not None and tensor.size > MAX_SIZES]
    message = message_without_values(model, large)
    return known_shapes(onnx.shape_inference.infer_shapes(message, check_type=True, strict_mode=True, data_prop=True))


def known_shapes(message: onnx.ModelProto) -> Shapes:
    """The shapes that a model states of its values, however many sizes they leave open."""
    graph = message.graph
    return {
        info.name: tuple(d.dim_value if d.HasField("dim_value") else None for d in info.type.tensor_type.shape.dim)
        for info in (*graph.input, *graph.value_info, *graph.output)
        if info.type.tensor_type.HasField("shape")
    }


def infer_shapes(model: ir.Model) -> None:
    """Give values their shapes, in place; a graph in which they cannot be inferred stays as it is, without a word."""
    from onnx_ir.passes.common import ShapeInferencePass  # many passes, which not all who import this need

    # onnx_ir would log a traceback, which Python prints where nobody has set up logging.
    logger = logging.getLogger(ShapeInferencePass.__module__)
    was_disabled, logger.disabled = logger.disabled, True
    try:
        ShapeInferencePass()(model)
    finally:
        logger.disabled = was_disabled
