"""Graphs that other tools write: nodes without names, auto_pad, parts that are not used, ops without a gradient."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from onnxgrid.engines import create_engine, create_predictor
from onnxgrid.engines.torch_ops import TORCH_OPS
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.errors import ConfigError
from onnxgrid.losses import MeanSquaredError

ENGINES = ("ort", "torch")
RANDOM = np.random.default_rng(0)
WEIGHTS = {
    "w": RANDOM.normal(size=(2, 2, 3, 3)).astype(np.float32),
    "v": RANDOM.normal(size=(2, 2, 3, 3)).astype(np.float32),
    "b": RANDOM.normal(size=2).astype(np.float32),
    "half": RANDOM.normal(size=(2, 1, 3, 3)).astype(np.float32),
    "scales": np.array([1, 1, 2, 2], dtype=np.float32),
    "zero": np.array([0]),
    "halves": np.array([1, 1]),
    "ring": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
}
PADS = "pads: ints = [1, 1, 1, 1]"


def foreign_model(body: str, *, names: tuple[str, ...] = ()) -> ir.Model:
    """The model of an ONNX text over x (N, 2, 7, 6), with those of `WEIGHTS` that it reads.

    Its nodes get these names, the others none.
    """
    text = f'<ir_version: 9, opset_import: ["" : 17]>\nnet (float[N, 2, 7, 6] x) => (float[N, 2, H, W] y) {{ {body} }}'
    proto = onnx.parser.parse_model(text)
    read = {name for node in proto.graph.node for name in node.input}
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(WEIGHTS[name], name) for name in WEIGHTS if name in read
    )
    for node, name in zip(proto.graph.node, names, strict=False):
        node.name = name
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


BODIES = {
    "convolutions": f"a = Conv <{PADS}> (x, w, b) c = Relu (a) y = Conv <pads: ints = [0, 0, 2, 1]> (c, v)",
    "a transposed convolution": f"a = Conv <{PADS}> (x, w) y = ConvTranspose <strides: ints = [2, 2]> (a, v, b)",
    "SAME_UPPER": 'a = Relu (x) y = Conv <auto_pad: string = "SAME_UPPER", strides: ints = [2, 2]> (a, w, b)',
    "SAME_LOWER": 'a = Conv <auto_pad: string = "SAME_LOWER"> (x, w) '
    'y = Conv <auto_pad: string = "SAME_LOWER", strides: ints = [2, 1]> (a, v)',
    "Resize": f'a = Conv <{PADS}> (x, w) y = Resize <mode: string = "linear"> (a, , scales)',
    "two dropouts": f"a = Conv <{PADS}> (x, w) c = Dropout (a) d = Relu (c) y = Dropout (d)",
    "one weight, used twice": f"a = Conv <{PADS}> (x, w) y = Conv <{PADS}> (a, w)",
    "sizes computed in the graph": f"a = Conv <{PADS}> (x, w) g = Conv <{PADS}, strides: ints = [2, 2]> (a, v) "
    "s = Shape <start: int = 2> (a) c = Unsqueeze (g, zero) d = Squeeze (c, zero) n = Shape <end: int = 2> (d) "
    'm = Concat <axis: int = 0> (n, s) e = Resize <mode: string = "linear"> (d, , , m) '
    "ones = ConstantOfShape (m) f = Sub (e, ones) k = Expand (f, m) y = Add (k, a)",
    "padding that mirrors": 'a = Pad <mode: string = "reflect"> (x, ring) y = Conv (a, w, b)',
    "a part of a split": f"a = Conv <{PADS}> (x, w) p, q = Split <axis: int = 1> (a, halves) "
    f"y = Conv <{PADS}> (q, half)",
    "a branch that ends nowhere": f"y = Conv <{PADS}> (x, w) a = Conv (x, v)",
}


@pytest.mark.parametrize("names", [(), ("same", "same")], ids=["without names", "with one name"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_both_engines_train_a_foreign_network_alike(body: str, names: tuple[str, ...]) -> None:
    model = foreign_model(body, names=names)
    graph = TrainableGraph.from_model(model, "net.onnx")
    x = torch.randn(3, 2, 7, 6, generator=torch.Generator().manual_seed(1))
    engines = [create_engine(name, graph, MeanSquaredError(), seed=0) for name in ENGINES]
    target = torch.zeros(engines[0].predict(x).shape)
    ours, theirs = (engine.step(x, target, number=0) for engine in engines)
    torch.testing.assert_close(ours.outputs, theirs.outputs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.loss, theirs.loss, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(engines[0].gradients.flat, engines[1].gradients.flat, rtol=1e-3, atol=1e-4)
    assert all(view.abs().max() > 0 for view in engines[0].gradients.views.values())


def test_two_dropouts_without_names_draw_different_masks() -> None:
    graph = TrainableGraph.from_model(foreign_model(BODIES["two dropouts"]), "net.onnx")
    x = torch.ones(3, 2, 7, 6)
    outputs = create_engine("torch", graph, MeanSquaredError(), seed=0).step(x, x, number=0).outputs
    # One mask twice would scale what is left by 2 * 2; two masks leave fewer than half of the values.
    assert (outputs != 0).float().mean() < 0.4


def test_naming_nodes_leaves_the_model_itself_alone() -> None:
    model = foreign_model(BODIES["convolutions"], names=("same", "same"))
    graph = TrainableGraph.from_model(model, "net.onnx")
    assert [node.name for node in model.graph] == ["same", "same", ""]
    assert [node.name for node in graph.model.graph] == ["same", "c", "y"]


def test_only_what_the_output_depends_on_is_trained() -> None:
    graph = TrainableGraph.from_model(foreign_model(BODIES["a branch that ends nowhere"]), "net.onnx")
    assert list(graph.parameters) == ["w"]


UNKNOWN = f"a = Conv <{PADS}> (x, w) c = Asin (a) d = Conv <{PADS}> (c, v) e = Sinh (d) y = Softmax <axis: int = 1> (e)"


@pytest.mark.parametrize("engine", ENGINES)
def test_every_op_that_cannot_be_trained_is_named_at_once(engine: str) -> None:
    graph = TrainableGraph.from_model(foreign_model(UNKNOWN, names=("a", "asin", "d")), "net.onnx")
    with pytest.raises(ConfigError) as caught:
        create_engine(engine, graph, MeanSquaredError(), seed=0)
    assert str(caught.value) == (
        "net.onnx: the network has ops that cannot be trained\n"
        "  node 'asin': op ai.onnx::Asin is not known\n"
        "  node 'e': op ai.onnx::Sinh is not known\n"
        f"  Known ops: {', '.join(sorted(op for _, op in TORCH_OPS))}."
    )


def test_an_attribute_that_torch_cannot_follow_is_named() -> None:
    model = foreign_model("y = Softmax <temperature: float = 2.0> (x)", names=("end",))
    with pytest.raises(ConfigError) as caught:
        create_predictor("torch", model, "net.onnx")
    assert str(caught.value) == (
        "net.onnx: the network has ops that cannot be trained\n"
        "  node 'end': Softmax has attributes ['temperature']; known are ['axis']\n"
        f"  Known ops: {', '.join(sorted(op for _, op in TORCH_OPS))}."
    )


def test_an_output_that_torch_does_not_give_is_named() -> None:
    body = "a, at = MaxPool <kernel_shape: ints = [2, 2]> (x) c = Cast <to: int = 1> (at) y = Add (a, c)"
    with pytest.raises(ConfigError) as caught:
        create_predictor("torch", foreign_model(body, names=("pool", "cast", "sum")), "net.onnx")
    assert str(caught.value).splitlines()[:2] == [
        "net.onnx: the network has ops that cannot be trained",
        "  node 'pool': MaxPool has outputs besides the first that are used",
    ]


def test_an_op_without_a_gradient_still_predicts_in_onnx_runtime() -> None:
    x = torch.randn(1, 2, 7, 6, generator=torch.Generator().manual_seed(1))
    assert create_predictor("ort", foreign_model("y = Asin (x)"), "net.onnx")(x).isnan().equal(x.abs() > 1)


def model_with(inputs: int = 1, outputs: int = 1, dtype: type = np.float32, weight: bool = True) -> ir.Model:
    values = [ir.val(f"x{i}", dtype=ir.DataType.FLOAT, shape=ir.Shape(["N", 2])) for i in range(inputs)]
    initializer = ir.val("w", const_value=ir.tensor(np.ones(2, dtype=dtype), name="w"))
    nodes = [ir.node("Add", [values[0], initializer if weight else values[0]], name=f"y{i}") for i in range(outputs)]
    for node in nodes:
        node.outputs[0].name = node.name
    return ir.Model(
        ir.Graph(
            values,
            [node.outputs[0] for node in nodes],
            nodes=nodes,
            initializers=[initializer] if weight else [],
            opset_imports={"": 17},
            name="net",
        ),
        ir_version=9,
    )


REFUSED = {
    "two inputs": (
        model_with(inputs=2),
        "net.onnx: the network has inputs ['x0', 'x1'] and outputs ['y0']; training takes one of each\n"
        "  Train a network with a single input and a single output.",
    ),
    "two outputs": (
        model_with(outputs=2),
        "net.onnx: the network has inputs ['x0'] and outputs ['y0', 'y1']; training takes one of each\n"
        "  Train a network with a single input and a single output.",
    ),
    "double precision": (
        model_with(dtype=np.float64),
        "net.onnx: initializer 'w' is DOUBLE; training needs float32\n  Convert the model's weights to float32.",
    ),
    "no weights": (
        model_with(weight=False),
        "net.onnx: the network has no trainable parameter\n"
        '  Set "trainable": true on at least one layer that has weights.',
    ),
}


@pytest.mark.parametrize(("model", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_trained_is_refused_with_the_reason(model: ir.Model, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainableGraph.from_model(model, "net.onnx")
    assert str(caught.value) == message
