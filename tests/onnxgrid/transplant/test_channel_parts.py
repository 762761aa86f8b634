"""Channels that a Concat put together, sliced and padded part by part; the oracle is the network before."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from onnxgrid import TransplantRules, transplant
from onnxgrid.transplant.channel_parts import MAX_PARTS
from onnxgrid.transplant.usage import parameter_uses
from tests.graph_text import model

CLOSE = {"rtol": 2e-4, "atol": 2e-4}

SLICED = TransplantRules.parse(adapt=["slice-pad"])

AB = "float[N,2,4,4] a, float[N,3,4,4] b"
JOINED = "c = Concat<axis=1>(a, b)"
W = (6, 5, 1, 1)

PARTS: dict[str, tuple[str, tuple[int, ...], tuple[int, ...] | None]] = {  # the fact -> body, shape of w, parts of w
    "a Concat": ("y = Conv(c, w)", W, (2, 3)),
    "a Concat of Concats": ("d = Concat<axis=1>(c, a, c) y = Conv(d, w)", (6, 12, 1, 1), (2, 3, 2, 2, 3)),
    "a Concat whose axis is counted from behind": ("d = Concat<axis=-3>(a, c) y = Conv(d, w)", (1, 7, 1, 1), (2, 2, 3)),
    "a Concat of rows": ("d = Concat<axis=2>(c, c) y = Conv(d, w)", W, (2, 3)),
    "a Concat of rows of other parts": (
        "e = Concat<axis=1>(b, a) d = Concat<axis=2>(c, e) y = Conv(d, w)",
        W,
        None,
    ),
    "activations, pooling, Dropout": (
        "r = Relu(c) s = MaxPool<kernel_shape=[2,2]>(r) d = Dropout(s) l = LeakyRelu(d) y = Conv(l, w)",
        W,
        (2, 3),
    ),
    "a Resize": (
        "s = Constant<value_floats=[1.0,1.0,2.0,2.0]>() r = Resize(c, , s) y = Conv(r, w)",
        W,
        (2, 3),
    ),
    "a Pad": ("p = Constant<value_ints=[0,0,1,1,0,0,1,1]>() r = Pad(c, p) y = Conv(r, w)", W, (2, 3)),
    "a Pad of channels": (
        "p = Constant<value_ints=[0,0,0,0,0,1,0,0]>() r = Pad(c, p) y = Conv(r, w)",
        (6, 6, 1, 1),
        None,
    ),
    "a Transpose, and back": (
        "t = Transpose<perm=[0,2,3,1]>(c) r = Relu(t) u = Transpose<perm=[0,3,1,2]>(r) y = Conv(u, w)",
        W,
        (2, 3),
    ),
    "a Concat of channels in the last place": (
        "t = Transpose<perm=[0,2,3,1]>(c) d = Concat<axis=3>(t, t) u = Transpose<perm=[0,3,1,2]>(d) y = Conv(u, w)",
        (6, 10, 1, 1),
        (2, 3, 2, 3),
    ),
    "a gate of one channel": ("s = Constant<value_float=2.0>() m = Mul(c, s) y = Conv(m, w)", W, (2, 3)),
    "a sum of the same parts": ("r = Relu(c) s = Add(r, c) y = Conv(s, w)", W, (2, 3)),
    "a sum of other parts": ("d = Concat<axis=1>(b, a) s = Add(d, c) y = Conv(s, w)", W, None),
    "a transposed convolution": ("y = ConvTranspose(c, w)", (5, 6, 1, 1), (2, 3)),
    "a convolution of each channel": ("y = Conv<group=5>(c, w)", (5, 1, 1, 1), (2, 3)),
    "a convolution of groups": ("d = Concat<axis=1>(a, a) y = Conv<group=2>(d, w)", (6, 2, 1, 1), None),
    "a Dense behind a mean": ("g = GlobalAveragePool(c) f = Flatten(g) y = Gemm<transB=1>(f, w)", (7, 5), (2, 3)),
    "a Dense behind Keras' Flatten": (
        "t = Transpose<perm=[0,2,3,1]>(c) f = Flatten(t) y = Gemm<transB=1>(f, w)",
        (7, 80),
        (2, 3),
    ),
    "a Dense behind torch's Flatten": ("f = Flatten(c) y = MatMul(f, w)", (80, 7), (2, 3)),
    "a bias that is added to the last axis": ("t = Transpose<perm=[0,2,3,1]>(c) y = Add(t, w)", (5,), (2, 3)),
    "a bias that is added to another axis": ("y = Add(c, w)", (4,), None),
    "what is computed of all channels": ("s = Softmax<axis=1>(c) y = Conv(s, w)", W, None),
}


@pytest.mark.parametrize(("body", "shape", "parts"), PARTS.values(), ids=PARTS)
def test_a_graph_tells_the_parts(body: str, shape: tuple[int, ...], parts: tuple[int, ...] | None) -> None:
    uses = parameter_uses(model(AB, f"{JOINED} {body}", w=shape), parts=True)
    assert uses["w"].parts == parts


def test_more_parts_than_can_be_meant_are_not_followed() -> None:
    body = " ".join(f"c{n + 1} = Concat<axis=1>(c{n}, c{n})" for n in range(60))
    uses = parameter_uses(model(AB, f"c0 = Relu(a) {body} y = Conv(c60, w)", w=(1, 2, 1, 1)), parts=True)
    assert len(uses["w"].parts or ()) <= MAX_PARTS


@dataclass
class Drawn:
    """A network of random layers, as text and by widths: each value's parts are followed by nothing but the layers.

    Args:
        widths: of one network, in the order in which layers ask for them.
    """

    widths: list[int]
    body: list[str] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=lambda: {"x": 2})
    asked: int = 0

    def width(self) -> int:
        self.asked += 1
        return self.widths[(self.asked - 1) % len(self.widths)]

    def add(self, kind: str, first: str, second: str) -> None:
        name, given = f"v{len(self.channels)}", self.channels[first]
        self.channels[name] = given
        if kind == "concat":
            self.body.append(f"{name} = Concat<axis=1>({first}, {second})")
            self.channels[name] = given + self.channels[second]
        elif kind == "conv":
            self.channels[name] = self.width()
            self.hold(f"{name}.weight", (self.channels[name], given, 3, 3))
            self.hold(f"{name}.bias", (self.channels[name],))
            self.body.append(f"{name} = Conv<pads=[1,1,1,1]>({first}, {name}.weight, {name}.bias)")
        elif kind == "transposed":
            self.channels[name] = self.width()
            self.hold(f"{name}.weight", (given, self.channels[name], 1, 1))
            self.body.append(f"{name} = ConvTranspose({first}, {name}.weight)")
        elif kind == "depthwise" and given > 1:
            self.hold(f"{name}.weight", (given, 1, 3, 3))
            self.hold(f"{name}.bias", (given,))
            self.body.append(f"{name} = Conv<group={given},pads=[1,1,1,1]>({first}, {name}.weight, {name}.bias)")
        elif kind == "norm":
            for parameter in ("weight", "bias", "running_mean", "running_var"):
                self.hold(f"{name}.{parameter}", (given,))
            listed = ", ".join(f"{name}.{p}" for p in ("weight", "bias", "running_mean", "running_var"))
            self.body.append(f"{name} = BatchNormalization({first}, {listed})")
        else:
            self.body.append(f"{name} = Relu({first})")

    def end(self, kind: str) -> None:
        last = list(self.channels)[-1]
        flattened = {
            "mean": f"g = GlobalAveragePool({last}) f = Flatten(g)",
            "torch": f"f = Flatten({last})",
            "keras": f"g = Transpose<perm=[0,2,3,1]>({last}) f = Flatten(g)",
        }
        self.hold("head.weight", (3, self.channels[last] * (1 if kind == "mean" else 16)))
        self.body.append(f"{flattened[kind]} y = Gemm<transB=1>(f, head.weight)")

    def hold(self, name: str, shape: tuple[int, ...]) -> None:
        self.shapes[name] = shape

    def model(self, generator: np.random.Generator) -> ir.Model:
        text = " ".join(self.body)
        for name in self.shapes:
            text = text.replace(name, name.replace(".", "_"))
        made = model("float[N,2,4,4] x", text, **{name.replace(".", "_"): shape for name, shape in self.shapes.items()})
        for name, shape in self.shapes.items():
            value = made.graph.initializers[name.replace(".", "_")]
            value.name = name
            positive = name.endswith(("running_var", "norm.weight"))
            array = generator.uniform(0.5, 1, shape) if positive else generator.normal(0, 0.4, shape)
            value.const_value = ir.tensor(array.astype(np.float32), name=name)
        return made


KINDS = ["concat", "concat", "conv", "conv", "transposed", "depthwise", "norm", "relu"]


@st.composite
def networks(draw: st.DrawFn) -> tuple[ir.Model, ir.Model]:
    """A network, and one of the same layers with more channels."""
    narrow = draw(st.lists(st.integers(2, 4), min_size=3, max_size=5))
    more = [width + draw(st.integers(0, 3)) for width in narrow]
    pair = Drawn(narrow), Drawn(more)
    for number in range(draw(st.integers(3, 9))):
        kind = draw(st.sampled_from(KINDS))
        first, second = (draw(st.integers(0, number)) for _ in range(2))
        for drawn in pair:
            names = list(drawn.channels)
            drawn.add(kind, names[-1 - first // 2], names[second])
    kind = draw(st.sampled_from(["mean", "torch", "keras"]))
    for drawn in pair:
        drawn.end(kind)
    generator = np.random.default_rng(draw(st.integers(0, 1000)))
    return pair[0].model(generator), pair[1].model(generator)


def outputs(network: ir.Model, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(ir.to_proto(network).SerializeToString())
    return session.run(None, {"x": x})[0]


def carried(source: ir.Model, target: ir.Model) -> ir.Model:
    report = transplant(source, target, rules=SLICED, strict=True)
    assert isinstance(report.model, ir.Model)
    return report.model


X = np.random.default_rng(1).normal(size=(2, 2, 4, 4)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(networks())
def test_a_wider_network_has_the_outputs_of_the_narrow_one(pair: tuple[ir.Model, ir.Model]) -> None:
    narrow, wide = pair
    np.testing.assert_allclose(outputs(carried(narrow, wide), X), outputs(narrow, X), **CLOSE)


@settings(max_examples=30, deadline=None)
@given(networks())
def test_a_network_that_was_widened_and_is_narrowed_again_is_what_it_was(pair: tuple[ir.Model, ir.Model]) -> None:
    narrow, wide = pair
    again = carried(carried(narrow, wide), narrow)
    for name, value in narrow.graph.initializers.items():
        np.testing.assert_array_equal(again.graph.initializers[name].const_value.numpy(), value.const_value.numpy())


def two_parts(a: int, b: int) -> ir.Model:
    body = "c = Concat<axis=1>(a, b) y = Conv(c, w)"
    return model(f"float[N,{a},4,4] a, float[N,{b},4,4] b", body, w=(2, a + b, 1, 1))


def test_parts_that_change_within_an_equal_number_of_channels_are_moved() -> None:
    source, target = two_parts(1, 3), two_parts(3, 1)
    source.graph.initializers["w"].const_value = ir.tensor(np.arange(8, dtype=np.float32).reshape(2, 4, 1, 1), name="w")
    filled = carried(source, target).graph.initializers["w"].const_value
    assert filled is not None
    np.testing.assert_array_equal(filled.numpy().reshape(2, 4), [[0, 0, 0, 1], [4, 0, 0, 5]])


def test_other_numbers_of_parts_are_not_sliced(caplog: pytest.LogCaptureFixture) -> None:
    body = "c = Concat<axis=1>(a, b, b) y = Conv(c, w)"
    target = model("float[N,2,4,4] a, float[N,3,4,4] b", body, w=(2, 8, 1, 1))
    report = transplant(two_parts(1, 3), target, rules=SLICED)
    assert report.lines() == ["   Skipping parameter w: shape (2, 4, 1, 1) in model, (2, 8, 1, 1) in network"]
    assert (
        "the target in memory: 'w' is not sliced: the channels before it are of 2 parts in the source and of 3 in the "
        "target" in caplog.text
    )


def test_parts_that_a_weight_file_does_not_tell_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_file({"w": np.ones((2, 4, 1, 1), np.float32)}, tmp_path / "a.safetensors")
    report = transplant(tmp_path / "a.safetensors", two_parts(2, 3), rules=SLICED)
    assert report.counts()["adapted"] == 1
    assert (
        f"the target in memory: 'w' stands behind a Concat of channels (2, 3); {tmp_path / 'a.safetensors'} does not "
        "say its parts, and slice-pad takes the first channels of the whole: give --source-graph MODEL.onnx"
    ) in caplog.text
