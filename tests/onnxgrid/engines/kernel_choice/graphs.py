"""Small networks around one op each, with every way to compute it."""

from collections.abc import Iterator

import numpy as np
import onnx
import onnx_ir as ir

from onnxgrid.engines.gradients import TARGET, TrainingGraph, build_training_graph
from onnxgrid.engines.kernel_choice import concrete_shapes
from onnxgrid.engines.kernel_choice.graph import TrainingNodes
from onnxgrid.engines.kernel_choice.site import Site
from onnxgrid.engines.kernel_choice.sites import find_sites
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.losses import MeanSquaredError

PLANE, VOLUME, LINE = "N, 4, 11, 14", "N, 4, 7, 6, 9", "N, 4, 13"


def network(body: str, x: str = PLANE, **weights: tuple[int, ...]) -> TrainableGraph:
    """The network of an ONNX text from x to y, with random weights of these shapes (`_` in a name is a dot).

    A probe is added to x, so that the gradient goes through everything.
    """
    rank = x.count(",") + 1
    sizes = ", ".join("abcdef"[:rank])
    shape = [1, *(int(size) for size in x.split(",")[1:])]
    text = (
        f'<ir_version: 9, opset_import: ["" : 17]> net (float[{x}] x) => (float[{sizes}] y) '
        f'{{ p = Add (x, "probe.weight") {body} }}'
    )
    proto = onnx.parser.parse_model(text)
    random = np.random.default_rng(0)
    for name, wanted in {"probe_weight": tuple(shape), **weights}.items():
        values = random.normal(size=wanted).astype(np.float32)
        proto.graph.initializer.append(
            onnx.numpy_helper.from_array(np.abs(values) if "var" in name else values, _dotted(name))
        )
    for node in list(proto.graph.node):
        node.name = node.output[0]
        if node.op_type == "Constant":  # a network from a file has them as initializers
            node.attribute[0].t.name = node.output[0]
            proto.graph.initializer.append(node.attribute[0].t)
            proto.graph.node.remove(node)
    return TrainableGraph.from_model(ir.from_proto(onnx.shape_inference.infer_shapes(proto)), "net.onnx")


def _dotted(name: str) -> str:
    head, _, tail = name.partition("_")
    return f"{head}.{tail}"


def built(
    graph: TrainableGraph, inputs: tuple[int, ...], targets: tuple[int, ...]
) -> tuple[TrainingGraph, TrainingNodes]:
    """The training graph of a network, and its nodes with the shapes of a batch."""
    training = build_training_graph(graph, MeanSquaredError())
    shapes = concrete_shapes(training.forward, {graph.input_name: inputs, TARGET: targets})
    return training, TrainingNodes(training.model, shapes)


def sites_of(graph: TrainableGraph, inputs: tuple[int, ...], targets: tuple[int, ...]) -> Iterator[Site]:
    """The sites of a network's training graph for a batch."""
    yield from find_sites(built(graph, inputs, targets)[1])
