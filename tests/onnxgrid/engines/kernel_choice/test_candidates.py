"""Every candidate of every site, alone, against torch's autograd over the same network."""

from pathlib import Path

import pytest
import torch

from onnxgrid.engines.kernel_choice.site import NATIVE
from onnxgrid.engines.kernel_options import KernelChoice, KernelOptions
from onnxgrid.engines.ort_engine import OrtEngine
from onnxgrid.engines.torch_engine import TorchEngine
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.losses import MeanSquaredError
from tests.onnxgrid.engines.kernel_choice.graphs import LINE, VOLUME, network, sites_of

SAMPLES = 3

TOLERANCE = {"rtol": 1e-3, "atol": 1e-5}
LOW_PRECISION = {"rtol": 0.1, "atol": 0.02}
"""bfloat16 has 8 bits of mantissa; gradients here are sums of up to some thousand products, relative to their size."""

NORM = 'c = BatchNormalization <epsilon: float = 0.5> (p, "n.weight", "n.bias", "n.mean", "n.var")'
STATISTICS = {"n_weight": (4,), "n_bias": (4,), "n_mean": (4,), "n_var": (4,)}

W, WB = '(p, "w.weight")', '(p, "w.weight", "w.bias")'
MOVABLE = {NATIVE, "aten", "bf16", "aten, channels last", "bf16, channels last"}

CONVOLUTIONS: dict[str, tuple[TrainableGraph, set[str]]] = {
    "1D": (
        network(f"y = Conv <pads = [1, 1]> {WB}", LINE, w_weight=(5, 4, 3), w_bias=(5,)),
        {NATIVE, "aten", "flipped", "bf16"},
    ),
    "1D with strides and dilation": (
        network(f"y = Conv <strides = [2], dilations = [2]> {W}", LINE, w_weight=(5, 4, 3)),
        {NATIVE, "aten", "bf16"},
    ),
    "2D": (network(f"y = Conv <pads = [1, 2, 1, 2]> {WB}", w_weight=(5, 4, 3, 5), w_bias=(5,)), {*MOVABLE, "flipped"}),
    "2D before a Relu": (
        network(f"c = Conv <pads = [1, 1, 1, 1]> {WB} y = Relu (c)", w_weight=(5, 4, 3, 3), w_bias=(5,)),
        {*MOVABLE, "flipped"},
    ),
    "2D with strides and dilation": (
        network(f"y = Conv <strides = [2, 3], dilations = [2, 1], pads = [2, 0, 2, 0]> {W}", w_weight=(5, 4, 3, 3)),
        MOVABLE,
    ),
    "2D with dilation": (network(f"y = Conv <dilations = [2, 3]> {W}", w_weight=(5, 4, 3, 3)), {*MOVABLE, "flipped"}),
    "2D with unequal pads": (
        network(f"y = Conv <pads = [0, 1, 2, 3]> {WB}", w_weight=(5, 4, 3, 3), w_bias=(5,)),
        {*MOVABLE, "flipped"},
    ),
    "2D in groups": (network(f"y = Conv <group = 2> {WB}", w_weight=(6, 2, 3, 3), w_bias=(6,)), MOVABLE),
    "2D depthwise": (network(f"y = Conv <group = 4, pads = [1, 1, 1, 1]> {W}", w_weight=(8, 1, 3, 3)), MOVABLE),
    "strided pointwise": (
        network(f"c = Conv <strides = [2, 3]> {WB} y = Relu (c)", w_weight=(5, 4, 1, 1), w_bias=(5,)),
        {*MOVABLE, "strided pointwise"},
    ),
    "3D": (
        network(
            f"c = Conv <pads = [1, 0, 1, 1, 0, 1]> {WB} y = Relu (c)", VOLUME, w_weight=(5, 4, 3, 1, 3), w_bias=(5,)
        ),
        {*MOVABLE, "flipped"},
    ),
    "3D with strides": (network(f"y = Conv <strides = [2, 1, 2]> {W}", VOLUME, w_weight=(5, 4, 3, 3, 2)), MOVABLE),
    "transposed 1D": (
        network(f"y = ConvTranspose <strides = [2], pads = [1, 1]> {WB}", LINE, w_weight=(4, 5, 3), w_bias=(5,)),
        {NATIVE, "aten", "bf16"},
    ),
    "transposed 2D": (
        network(
            f"c = ConvTranspose <strides = [2, 3], output_padding = [1, 0]> {WB} y = Relu (c)",
            w_weight=(4, 5, 3, 3),
            w_bias=(5,),
        ),
        MOVABLE,
    ),
    "transposed 2D in groups": (
        network(f"y = ConvTranspose <group = 2, dilations = [2, 1]> {W}", w_weight=(4, 3, 3, 3)),
        MOVABLE,
    ),
    "transposed 2D with unequal pads": (
        network(f"y = ConvTranspose <strides = [2, 2], pads = [0, 1, 1, 0]> {W}", w_weight=(4, 3, 3, 3)),
        MOVABLE,
    ),
    "transposed 2D, windows side by side": (
        network(f"c = ConvTranspose <strides = [3, 2]> {WB} y = Relu (c)", w_weight=(4, 5, 3, 2), w_bias=(5,)),
        {*MOVABLE, "shuffled", "shuffled, channels last"},
    ),
    "transposed 3D, windows side by side": (
        network(f"y = ConvTranspose <strides = [2, 3, 1]> {W}", VOLUME, w_weight=(4, 5, 2, 3, 1)),
        {*MOVABLE, "shuffled", "shuffled, channels last"},
    ),
}

POOLS = {"aten", "aten, channels last", "reordered"}

OTHERS: dict[str, tuple[TrainableGraph, set[str]]] = {
    "max pooling 2D": (
        network("y = MaxPool <kernel_shape = [3, 2], strides = [2, 2], pads = [1, 0, 1, 0]> (p)"),
        POOLS,
    ),
    "max pooling 2D with dilation": (network("y = MaxPool <kernel_shape = [3, 2], dilations = [2, 3]> (p)"), POOLS),
    "max pooling 3D": (network("y = MaxPool <kernel_shape = [2, 2, 3], strides = [2, 2, 3]> (p)", VOLUME), POOLS),
    "average pooling 2D": (
        network("y = AveragePool <kernel_shape = [3, 2], strides = [2, 1], pads = [1, 0, 1, 0]> (p)"),
        {NATIVE, "aten", "autograd", "aten, channels last", "autograd, channels last"},
    ),
    "average pooling 3D": (
        network(
            "y = AveragePool <kernel_shape = [2, 3, 2], count_include_pad = 1, pads = [1, 1, 0, 1, 1, 0]> (p)", VOLUME
        ),
        {NATIVE, "aten", "autograd", "aten, channels last", "autograd, channels last"},
    ),
    "global average pooling": (network("y = GlobalAveragePool (p)"), {NATIVE, "aten", "aten, channels last"}),
    "global max pooling": (
        network("y = GlobalMaxPool (p)"),
        {NATIVE, "aten", "aten, channels last", "autograd", "autograd, channels last"},
    ),
    "batch normalization": (network(f"{NORM} y = Abs (c)", **STATISTICS), {NATIVE, "aten", "aten, channels last"}),
    "batch normalization before a Relu": (
        network(f"{NORM} y = Relu (c)", **STATISTICS),
        {NATIVE, "aten", "aten, channels last"},
    ),
    "batch normalization 3D": (
        network(f"{NORM} y = Abs (c)", VOLUME, **STATISTICS),
        {NATIVE, "aten", "aten, channels last"},
    ),
    "instance normalization": (
        network('y = InstanceNormalization (p, "w.weight", "w.bias")', w_weight=(4,), w_bias=(4,)),
        {NATIVE, "aten", "aten, channels last", "autograd", "autograd, channels last"},
    ),
    "layer normalization": (
        network('y = LayerNormalization <axis = -1> (p, "w.weight", "w.bias")', w_weight=(14,), w_bias=(14,)),
        {NATIVE, "aten"},
    ),
    "resizing": (
        network('s = Constant <value = float[4] {1, 1, 2, 3}> () y = Resize <mode = "linear"> (p, "", s)'),
        {NATIVE, "aten", "aten, channels last", "autograd", "autograd, channels last"},
    ),
    "a Relu alone": (network("a = Relu (p) b = Abs (a) y = Add (a, b)"), {NATIVE, "aten"}),
}

CASES = {**CONVOLUTIONS, **OTHERS}


@pytest.mark.parametrize(("graph", "names"), CASES.values(), ids=CASES)
def test_every_way_to_compute_an_op_gives_the_gradients_of_torch(
    graph: TrainableGraph, names: set[str], tmp_path: Path
) -> None:
    random = torch.Generator().manual_seed(1)
    x = torch.randn(
        SAMPLES, *(int(size) for size in list(graph.model.graph.inputs[0].shape or ())[1:]), generator=random
    )
    oracle = TorchEngine(graph, MeanSquaredError(), seed=0)
    target = torch.randn(oracle.predict(x).shape, generator=random)
    expected = oracle.step(x, target, number=0)
    seen = set()
    for site in sites_of(graph, tuple(x.shape), tuple(target.shape)):
        for candidate in site.candidates:
            seen.add(candidate.name)
            options = KernelOptions(KernelChoice.ATEN, {site.key: candidate.name}, tmp_path / "times.json")
            engine = OrtEngine(graph, MeanSquaredError(), seed=0, kernels=options)
            result = engine.step(x, target, number=0)
            assert engine.kernels[site.key] == candidate.name
            tolerance = LOW_PRECISION if candidate.low_precision else TOLERANCE
            for ours, theirs, what in (
                (result.outputs, expected.outputs, "outputs"),
                (engine.gradients.flat, oracle.gradients.flat, "gradients"),
                (engine.statistics.flat, oracle.statistics.flat, "statistics"),
            ):
                scale = max(1.0, float(theirs.abs().max())) if theirs.numel() else 1.0
                torch.testing.assert_close(
                    ours / scale,
                    theirs / scale,
                    **tolerance,
                    msg=lambda text, name=candidate.name, op=site.op, what=what: f"{op}, {name}, {what}: {text}",
                )
    assert seen == names


def test_several_maxima_in_a_window_give_the_gradient_to_the_first() -> None:
    graph = network("a = Relu (p) y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a)")
    x = torch.full((SAMPLES, 4, 11, 14), -9.0)  # behind the Relu all windows are full of zeros
    x[0, 0, :2, :2] = torch.tensor([[0.0, 5.0], [5.0, 0.0]])
    gradients = {}
    for name in POOLS:
        site = next(site for site in sites_of(graph, tuple(x.shape), (SAMPLES, 4, 5, 7)) if site.op == "MaxPool")
        options = KernelOptions(KernelChoice.ATEN, {site.key: name})
        engine = OrtEngine(graph, MeanSquaredError(), seed=0, kernels=options)
        engine.parameters.flat.zero_()
        engine.step(x, torch.zeros(SAMPLES, 4, 5, 7), number=0)
        gradients[name] = engine.gradients.views["probe.weight"].clone()
    for gradient in gradients.values():
        assert gradient[0, 0, 0, 1] > 0
        assert gradient[0, 0, 1, 0] == 0
        torch.testing.assert_close(gradient, gradients["aten"])


@pytest.mark.parametrize("kind", [float("nan"), float("-inf")])
@pytest.mark.parametrize(
    "window",
    [
        "kernel_shape = [2, 2], strides = [2, 2]",
        "kernel_shape = [2, 2], pads = [0, 0, 1, 1]",
        "kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1",
    ],
)
def test_a_window_without_a_maximum_gives_its_gradient_to_a_cell_of_its_own(window: str, kind: float) -> None:
    """ONNX Runtime's kernels would write it before the plane, and give the lowest number for NaN."""
    graph = network(f"y = MaxPool <{window}> (p)")
    engine = OrtEngine(graph, MeanSquaredError(), seed=0, kernels=KernelOptions(KernelChoice.NATIVE))
    x = torch.full((SAMPLES, 4, 11, 14), kind)
    result = engine.step(x, torch.zeros_like(engine.predict(x)), number=0)
    torch.testing.assert_close(result.outputs, torch.full_like(result.outputs, kind), equal_nan=True)
    gradient = engine.gradients.views["probe.weight"]
    assert int((gradient != 0).sum()) >= result.outputs[0].numel() // 4
