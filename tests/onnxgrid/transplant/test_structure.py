"""Layers paired by their places in two graphs."""

import warnings

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from onnxgrid.transplant import structure, transplant
from onnxgrid.transplant.rules import TransplantRules
from onnxgrid.transplant.structure import MAX_TIES, Pair, pair_by_structure
from tests.graph_text import X, model

CHAIN = "a = Conv(x, w1) b = Relu(a) c = Conv(b, w2) y = Conv(c, w3)"
SAME_SHAPES = {"w1": (2, 2, 3, 3), "w2": (2, 2, 3, 3), "w3": (2, 2, 3, 3)}


def renamed(body, names):
    for old, new in names.items():
        body = body.replace(old, new)
    return body


def chain(length, prefix, size=3):
    """Convolutions one after the other, of equal shapes."""
    values = ["x", *(f"v{i}" for i in range(1, length)), "y"]
    body = " ".join(f"{values[i + 1]} = Conv({values[i]}, {prefix}{i})" for i in range(length))
    return model(X, body, **{f"{prefix}{i}": (2, 2, size, size) for i in range(length)})


def confidences(source, target):
    return {name: (pair.source, pair.confidence) for name, pair in pair_by_structure(source, target).items()}


def test_the_same_graph_is_paired_surely():
    source = model(X, CHAIN, **SAME_SHAPES)
    target = model(X, renamed(CHAIN, {"w1": "p", "w2": "q", "w3": "r"}), p=(2, 2, 3, 3), q=(2, 2, 3, 3), r=(2, 2, 3, 3))
    assert pair_by_structure(source, target) == {"p": Pair("w1", 1.0), "q": Pair("w2", 1.0), "r": Pair("w3", 1.0)}


def test_the_same_graph_with_other_shapes():
    assert confidences(chain(3, "w"), chain(3, "p", size=5)) == {f"p{i}": (f"w{i}", 0.95) for i in range(3)}


def test_what_exporters_write_differently_is_the_same_layer():
    source = model(
        X,
        "a = Conv(x, w1) s = Sigmoid(a) m = Mul(a, s) f = Flatten(m) d = MatMul(f, w2) e = Add(w3, d) y = Softmax(e)",
        w1=(2, 2, 3, 3),
        w2=(72, 5),
        w3=(5,),
    )
    target = model(
        X,
        "a = Conv(x, p) m = Relu(a) t = Transpose<perm=[0,2,3,1]>(m) f = Flatten(t) y = Gemm<transB=1>(f, q, r)",
        p=(2, 2, 3, 3),
        q=(5, 72),
        r=(5,),
    )
    assert confidences(source, target) == {"p": ("w1", 1.0), "q": ("w2", 1.0), "r": ("w3", 1.0)}


def test_another_head_leaves_the_body_sure_and_the_head_alone():
    source = model(
        X,
        "a = Conv(x, w1) b = Conv(a, w2) f = Flatten(b) y = Gemm<transB=1>(f, w3)",
        w1=(2, 2, 3, 3),
        w2=(2, 2, 3, 3),
        w3=(5, 32),
    )
    target = model(
        X,
        "a = Conv(x, p1) b = Conv(a, p2) f = Flatten(b) c = Gemm<transB=1>(f, p3) y = Gemm<transB=1>(c, p4)",
        p1=(2, 2, 3, 3),
        p2=(2, 2, 3, 3),
        p3=(9, 32),
        p4=(5, 9),
    )
    # The only Dense of the source stands behind the same layers as the first, and before the same as the second.
    assert confidences(source, target) == {"p1": ("w1", 0.9), "p2": ("w2", 0.9)}


def test_another_stem_leaves_the_rest_sure():
    head = "{v} = Conv(x, {p}1) b = Conv({v}, {p}2) y = PRelu(b, {p}3)"
    source = model(X, head.format(v="a", p="w"), w1=(4, 2, 3, 3), w2=(2, 4, 3, 3), w3=(2, 1, 1))
    target = model(
        X,
        "s = Conv(x, p0) a = Conv(s, p1) b = Conv(a, p2) y = PRelu(b, p3)",
        p0=(2, 2, 1, 1),
        p1=(4, 2, 3, 3),
        p2=(2, 4, 3, 3),
        p3=(2, 1, 1),
    )
    assert confidences(source, target) == {"p1": ("w1", 0.9), "p2": ("w2", 0.9), "p3": ("w3", 0.9)}


def test_a_short_common_beginning_is_not_enough():
    pairs = confidences(chain(2, "w"), chain(6, "p"))
    assert set(pairs) <= {"p0", "p1", "p4", "p5"}
    long = confidences(
        model(
            X,
            "a = Conv(x, w1) b = Gemm(a, w2) c = Gemm(b, w3) d = Gemm(c, w4) y = Gemm(d, w5)",
            w1=(2, 2, 3, 3),
            w2=(3, 3),
            w3=(3, 4),
            w4=(4, 5),
            w5=(5, 6),
        ),
        model(
            X,
            "a = Conv(x, p1) b = PRelu(a, p2) y = ConvTranspose(b, p3)",
            p1=(2, 2, 3, 3),
            p2=(2, 1, 1),
            p3=(2, 2, 3, 3),
        ),
    )
    assert long == {"p1": ("w1", 0.6)}


def test_what_is_left_is_paired_in_order_and_hardly_sure():
    source = model(X, "a = Conv(x, w1) b = Concat<axis=1>(x, a) y = Conv(b, w2)", w1=(2, 2, 3, 3), w2=(2, 4, 3, 3))
    target = model(
        X,
        "z = ConvTranspose(x, p0) a = Conv(z, p1) b = Concat<axis=1>(z, a) c = Conv(b, p2) y = PRelu(c, p3)",
        p0=(2, 2, 1, 1),
        p1=(2, 2, 3, 3),
        p2=(2, 4, 3, 3),
        p3=(2, 1, 1),
    )
    assert confidences(source, target) == {"p1": ("w1", 0.3), "p2": ("w2", 0.3)}


def test_equal_branches_are_paired_consistently():
    # Two branches of two layers each into an Add; the target lists the layers in another order.
    source = model(
        X,
        "a = Conv(x, a1) b = Conv(x, b1) c = Conv(a, a2) d = Conv(b, b2) y = Add(c, d)",
        **dict.fromkeys(("a1", "b1", "a2", "b2"), (2, 2, 1, 1)),
    )
    target = model(
        X,
        "p = Conv(x, p1) q = Conv(x, q1) s = Conv(q, q2) r = Conv(p, p2) y = Add(s, r)",
        **dict.fromkeys(("p1", "q1", "p2", "q2"), (2, 2, 1, 1)),
    )
    pairs = {name: source for name, (source, confidence) in confidences(source, target).items() if confidence == 1.0}
    assert {pairs["p1"], pairs["q1"]} == {"a1", "b1"}
    assert pairs["p1"][0] == pairs["p2"][0]
    assert pairs["q1"][0] == pairs["q2"][0]


def test_very_many_equal_branches_take_bounded_time(caplog):
    def wide(prefix, count=500):
        names = [f"{prefix}{i}" for i in range(count)]
        body = " ".join(f"v{name} = Conv(x, {name})" for name in names)
        return model(
            X, f"{body} y = Sum({', '.join(f'v{name}' for name in names)})", **dict.fromkeys(names, (2, 2, 1, 1))
        )

    pairs = pair_by_structure(wide("w"), wide("p"))
    assert sum(pair.confidence == 1.0 for pair in pairs.values()) >= MAX_TIES - 1
    assert len({pair.source for pair in pairs.values()}) == len(pairs)
    assert (
        caplog.messages == ["more than 200 layers are alike: the others are paired in their order, if at all"] * 2
    )  # told apart with their shapes, then without


def test_layers_that_are_too_many_to_be_put_in_order_are_warned_of(caplog, monkeypatch):
    monkeypatch.setattr(structure, "MAX_COMPARISONS", 0)
    source, target = model(X, "y = Conv(x, w)", w=(2, 2, 1, 1)), model(X, "y = ConvTranspose(x, p)", p=(2, 2, 1, 1))
    assert pair_by_structure(source, target) == {}
    assert caplog.messages == ["1 and 1 layers without a pair are too many to be put in order"]


def test_branches_into_a_concat_are_told_apart_by_their_place():
    source = model(X, "a = Conv(x, wa) b = Conv(x, wb) y = Concat<axis=1>(a, b)", wa=(2, 2, 1, 1), wb=(2, 2, 1, 1))
    target = model(X, "b = Conv(x, pb) a = Conv(x, pa) y = Concat<axis=1>(a, b)", pb=(2, 2, 1, 1), pa=(2, 2, 1, 1))
    assert confidences(source, target) == {"pa": ("wa", 1.0), "pb": ("wb", 1.0)}


def test_a_layer_that_the_target_shares_and_the_source_has_twice_is_not_sure():
    source = model(X, "a = Conv(x, w1) y = Conv(a, w2)", w1=(2, 2, 1, 1), w2=(2, 2, 1, 1))
    target = model(X, "a = Conv(x, p) y = Conv(a, p)", p=(2, 2, 1, 1))
    assert confidences(source, target) == {"p": ("w1", 0.6)}


def test_parameters_that_only_one_has_are_not_paired():
    source = model(X, "y = Conv(x, w, v)", w=(2, 2, 1, 1), v=(2,))
    target = model(X, "y = ConvTranspose(x, p)", p=(2, 2, 1, 1))
    assert confidences(source, target) == {}
    assert confidences(model(X, "y = Conv(x, w)", w=(2, 2, 1, 1)), source) == {}


def test_a_normalization_that_was_folded_stays_and_only_adds_the_bias():
    source = model(
        X, "a = Conv(x, w1, b1) c = Relu(a) y = Conv(c, w2, b2)", w1=(2, 2, 3, 3), b1=(2,), w2=(2, 2, 1, 1), b2=(2,)
    )
    target = model(
        X,
        "a = Conv(x, p) n = BatchNormalization<epsilon=0.25>(a, g, b, m, v) c = Relu(n) "
        "d = Conv(c, q, r) y = BatchNormalization(d, h, k, o, u)",
        p=(2, 2, 3, 3),
        q=(2, 2, 1, 1),
        **dict.fromkeys(["g", "b", "m", "v", "r", "h", "k", "o", "u"], (2,)),
    )
    pairs = pair_by_structure(source, target)
    assert {name: (pair.source, pair.factor, pair.constant) for name, pair in pairs.items()} == {
        "p": ("w1", 1, 0),
        "g": ("b1", 0, 1),
        "b": ("b1", 1, 0),
        "m": ("b1", 0, 0),
        "v": ("b1", 0, 0.75),
        "q": ("w2", 1, 0),
        "r": ("b2", 0, 0),
        "h": ("b2", 0, 1),
        "k": ("b2", 1, 0),
        "o": ("b2", 0, 0),
        "u": ("b2", 0, pytest.approx(1 - 1e-5)),
    }
    assert {pair.confidence for pair in pairs.values()} == {0.95}
    # The other way, weights would have to be computed: nothing is carried.
    assert all(pair.confidence < 0.9 for pair in pair_by_structure(target, source).values())


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A network as torch exports it, the same network of Keras converted, and what torch computes."""
    import keras
    import torch
    from torch import nn

    from tests.converters.keras_oracle import convert_keras

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.norm = nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4, eps=1e-3)
            self.left, self.right = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
            self.grow = nn.ConvTranspose2d(4, 3, 2, stride=2)
            self.first, self.second = nn.Linear(3 * 6 * 4, 7), nn.Linear(7, 5)

        def forward(self, x):
            x = torch.relu(self.norm(self.stem(x)))
            x = torch.relu(self.left(x)) + torch.relu(self.right(x))
            x = self.grow(torch.max_pool2d(x, 2))
            return self.second(torch.relu(self.first(torch.flatten(x, 1))))

    torch.manual_seed(0)
    net = Net().eval()
    with torch.no_grad():
        for tensor in (net.norm.weight, net.norm.bias, net.norm.running_mean, net.norm.running_var):
            tensor.uniform_(0.5, 1.5)
    folder = tmp_path_factory.mktemp("exported")
    x = torch.randn(3, 2, 6, 4)
    options = {"input_names": ["input"], "dynamic_axes": {"input": {0: "N"}}, "do_constant_folding": False}
    mode = torch.onnx.TrainingMode.TRAINING  # which keeps normalizations
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about its exporter of many years
        torch.onnx.export(net, (x,), str(folder / "torch.onnx"), dynamo=False, training=mode, **options)
        net.eval()
        torch.onnx.export(
            net, (x,), str(folder / "folded.onnx"), dynamo=False, **options | {"do_constant_folding": True}
        )
    net.eval()
    with torch.no_grad():
        expected = net(x).numpy()

    inputs = keras.Input((6, 4, 2))
    y = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name="first_conv")(inputs)
    y = keras.layers.ReLU()(keras.layers.BatchNormalization(name="bn")(y))
    branches = [keras.layers.Conv2D(4, 1, activation="relu", name=name)(y) for name in ("branch_b", "branch_a")]
    y = keras.layers.MaxPooling2D(2)(keras.layers.Add()(branches))
    y = keras.layers.Flatten()(keras.layers.Conv2DTranspose(3, 2, strides=2, name="up")(y))
    y = keras.layers.Dense(5, name="out")(keras.layers.Dense(7, activation="relu", name="hidden")(y))
    ir.save(convert_keras(keras.Model(inputs, y), folder), folder / "keras.onnx")
    return folder, x.numpy(), expected


def output_of(path, x):
    session = onnxruntime.InferenceSession(path)
    (y,) = session.run(None, {session.get_inputs()[0].name: x})
    return y


def test_a_graph_exported_by_torch_fills_one_converted_from_keras(exported):
    folder, x, expected = exported
    rules = TransplantRules.parse(match="structure")
    report = transplant(folder / "torch.onnx", folder / "keras.onnx", folder / "out.onnx", rules, strict=True)
    # Elements go into a Dense behind a Flatten as (C, H, W) in torch, as (H, W, C) in Keras.
    (adapted,) = report.plan.adapted
    assert (adapted.target.name, adapted.source) == ("hidden.weight", "first.weight")
    assert adapted.adaptation.detail == "axis order: input (3, 6, 4) -> (6, 4, 3)"
    assert {match.confidence for match in report.plan.carried} == {1.0}
    close = {"rtol": 0, "atol": 1e-5 * np.abs(expected).max()}  # float32
    np.testing.assert_allclose(output_of(folder / "out.onnx", x), expected, **close)


def test_a_graph_into_which_torch_folded_normalizations_gives_the_same_outputs(exported):
    folder, x, expected = exported
    rules = TransplantRules.parse(match="structure")
    report = transplant(folder / "folded.onnx", folder / "keras.onnx", folder / "out.onnx", rules, strict=True)
    unfolded = {m.target.name: m.adaptation.detail for m in report.plan.adapted if m.target.name.startswith("bn.")}
    assert unfolded == {
        "bn.weight": "unfold: 1 for what was folded into the layer before",
        "bn.running_mean": "unfold: 0 for what was folded into the layer before",
        "bn.running_var": "unfold: 0.999 for what was folded into the layer before",
    }
    close = {"rtol": 0, "atol": 1e-5 * np.abs(expected).max()}  # float32
    np.testing.assert_allclose(output_of(folder / "out.onnx", x), expected, **close)
