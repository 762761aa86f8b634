"""Sites of batch normalizations in training mode, with the Relu behind them, and of their gradients."""

import onnx_ir as ir

from onnxgrid.engines.kernel_choice.graph import TrainingNodes, only_use
from onnxgrid.engines.kernel_choice.site import NATIVE, Call, Candidate, Part, Site, with_channels_last
from onnxgrid.engines.kernel_choice.sites.convolution import only_reader

__all__ = ["batch_normalization", "batch_normalization_gradient"]


def batch_normalization(node: ir.Node, graph: TrainingNodes) -> Site | None:
    """A batch normalization, and the Relu that alone reads it."""
    shapes = graph.shapes_of(*node.inputs)
    if shapes is None or len(node.outputs) != 5:
        return None
    relu = only_use(node.outputs[0], "Relu")
    y = str((node if relu is None else relu).outputs[0].name)
    outputs = (y, *(str(output.name) for output in node.outputs[1:]))
    nodes = (str(node.name),) if relu is None else (str(node.name), str(relu.name))
    inputs = tuple(shapes)
    arguments = {
        "epsilon": node.attributes.get_float("epsilon", 1e-5),
        "momentum": node.attributes.get_float("momentum", 0.9),
        "relu": relu is not None,
    }
    aten = Candidate("aten", (Call("batch_norm", inputs, arguments, (inputs[0], y), len(shapes[inputs[0]])),))
    return Site(
        "BatchNormalization",
        (Part(nodes, outputs),),
        shapes,
        {"relu": relu is not None},
        (Candidate(NATIVE), *with_channels_last(aten)),
    )


def batch_normalization_gradient(node: ir.Node, graph: TrainingNodes) -> Site | None:
    """The gradient of a batch normalization, and the gradient of the Relu behind it, which it alone reads."""
    dy, x, weight, mean, deviation = node.inputs
    assert dy is not None
    relu, y = dy.producer(), None
    nodes: tuple[str, ...] = (str(node.name),)
    if relu is not None and relu.op_type == "ReluGrad" and only_reader(dy, node):
        nodes, (dy, y) = (str(relu.name), str(node.name)), relu.inputs
    shapes = graph.shapes_of(dy, x, weight)
    after_relu = graph.shapes_of(y)
    if shapes is None or after_relu is None or mean is None or deviation is None:
        return None
    channels = shapes[tuple(shapes)[2]]
    shapes = {**shapes, str(mean.name): channels, str(deviation.name): channels, **after_relu}
    inputs, outputs = tuple(shapes), tuple(str(output.name) for output in node.outputs)
    arguments = {"epsilon": node.attributes.get_float("epsilon", 1e-5)}
    call = Call(
        "batch_norm_backward",
        inputs,
        arguments,
        (inputs[0], inputs[1], *inputs[5:], outputs[0]),
        len(shapes[inputs[0]]),
    )
    return Site(
        "BatchNormalizationGrad",
        (Part(nodes, outputs),),
        shapes,
        {"relu": y is not None},
        (Candidate(NATIVE), *with_channels_last(Candidate("aten", (call,)))),
    )
