"""The torch engine's ways to compute: channels innermost, bfloat16, compiled; each against float32 as it is."""

import functools
import shutil
from pathlib import Path

import pytest
import torch

from onnxgrid.engines import compilation, create_engine
from onnxgrid.engines.memory_format import channels_innermost
from onnxgrid.engines.options import EngineOptions
from onnxgrid.engines.torch_engine import TorchEngine
from onnxgrid.errors import ConfigError
from onnxgrid.losses import BinaryCrossEntropy, Loss, MeanSquaredError
from tests.onnxgrid.engines.test_training_equality import CASES, SEGMENTER, UPSAMPLER, batches, graph_of, layer

BF16 = EngineOptions(precision="bf16")
COMPILED = EngineOptions(compile=True)

VOLUME = [
    layer("InputLayer", "image", batch_input_shape=[None, 8, 6, 4, 2]),
    layer("Conv3D", "conv", filters=6, kernel_size=3, padding="same", activation="relu"),
    layer("BatchNormalization", "norm"),
    layer("MaxPooling3D", "pool", pool_size=2),
    layer("Conv3DTranspose", "up", filters=3, kernel_size=2, strides=2),
    layer("Conv3D", "out", filters=1, kernel_size=1),
]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("spatial", [(4, 5), (3, 4, 5)])
def test_channels_are_innermost_and_values_the_same(spatial: tuple[int, ...], channels: int) -> None:
    x = torch.randn(2, channels, *spatial, generator=torch.Generator().manual_seed(0))
    moved = channels_innermost(x)
    assert torch.equal(moved, x)
    assert moved.stride(1) == 1
    assert moved.stride()[2:] == tuple(stride * channels for stride in x[0, 0].stride())
    assert torch.equal(channels_innermost(moved), x)


def test_a_batch_without_space_stays_as_it_is() -> None:
    for x in (torch.zeros(2, 3), torch.zeros(2, 3, 4)):
        assert channels_innermost(x) is x


@pytest.mark.parametrize(
    ("layers", "shape", "memory_format"),
    [(SEGMENTER, (8, 2, 12, 10), torch.channels_last), (VOLUME, (8, 2, 8, 6, 4), torch.channels_last_3d)],
    ids=["2D", "3D"],
)
def test_a_convolutional_network_keeps_its_channels_innermost(
    layers: list[dict[str, object]], shape: tuple[int, ...], memory_format: torch.memory_format, tmp_path: Path
) -> None:
    engine = TorchEngine(graph_of(layers[:-1], tmp_path), MeanSquaredError(), seed=0)
    outputs = engine.predict(torch.zeros(shape))
    assert outputs.shape[1] > 1
    assert outputs.is_contiguous(memory_format=memory_format)
    assert all(view.is_contiguous() for view in engine.gradients.views.values())


def assert_near(ours: torch.Tensor, theirs: torch.Tensor, share: float) -> None:
    """The difference is at most this share of the whole, by length."""
    assert ours.dtype is theirs.dtype is torch.float32
    assert float((ours - theirs).norm()) <= share * float(theirs.norm())


@pytest.mark.parametrize(("layers", "loss", "target_shape"), CASES.values(), ids=CASES)
def test_bf16_differs_from_fp32_by_its_rounding(
    layers: list[dict[str, object]], loss: Loss, target_shape: tuple[int, ...], tmp_path: Path
) -> None:
    graph = graph_of(layers, tmp_path)
    inputs, targets = batches(target_shape)[0]
    low, full = (create_engine("torch", graph, loss, seed=3, options=o) for o in (BF16, EngineOptions()))
    ours, theirs = (engine.step(inputs, targets, number=0) for engine in (low, full))
    # bfloat16 has 8 bits: a rounding is up to 1/256, and errors of many roundings mostly cancel.
    assert_near(ours.loss, theirs.loss, 0.02)
    assert_near(ours.outputs, theirs.outputs, 0.02)
    assert_near(low.gradients.flat, full.gradients.flat, 0.05)
    assert not torch.equal(low.gradients.flat, full.gradients.flat)
    assert_near(low.statistics.flat, full.statistics.flat, 0.02)
    assert_near(low.predict(inputs), full.predict(inputs), 0.02)


def test_bf16_in_three_dimensions(tmp_path: Path) -> None:
    graph = graph_of(VOLUME, tmp_path)
    x, t = torch.randn(2, 4, 2, 8, 6, 4, generator=torch.Generator().manual_seed(0))
    low, full = (TorchEngine(graph, MeanSquaredError(), seed=3, options=o) for o in (BF16, EngineOptions()))
    for engine in (low, full):
        engine.step(x, t[:, :1], number=0)
    assert_near(low.gradients.flat, full.gradients.flat, 0.05)


def test_bf16_learns(tmp_path: Path) -> None:
    engine = TorchEngine(graph_of(SEGMENTER, tmp_path), BinaryCrossEntropy(), seed=3, options=BF16)
    inputs, _ = batches((8, 1, 12, 10))[0]
    targets = (inputs[:, :1] > 0).float()
    losses = []
    for number in range(60):
        losses.append(engine.step(inputs, targets, number=number).loss.item())
        engine.parameters.flat.sub_(engine.gradients.flat, alpha=2.0)
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("options", [EngineOptions(), BF16], ids=["fp32", "bf16"])
def test_a_step_gives_the_same_bits_every_time(options: EngineOptions, tmp_path: Path) -> None:
    layers, loss, target_shape = CASES["classifier with dropout and batch normalization"]
    graph, (inputs, targets) = graph_of(layers, tmp_path), batches(target_shape)[0]
    first, second = (TorchEngine(graph, loss, seed=3, options=options) for _ in range(2))
    for number in range(3):
        ours, theirs = (engine.step(inputs, targets, number=number) for engine in (first, second))
        assert torch.equal(ours.loss, theirs.loss)
        assert torch.equal(first.gradients.flat, second.gradients.flat)
        assert torch.equal(first.statistics.flat, second.statistics.flat)


@pytest.mark.parametrize(
    "case", ["classifier with dropout and batch normalization", "segmentation behind a sigmoid", "regression"]
)
def test_a_network_compiles_as_one_graph_and_computes_the_same(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The whole of torch.compile but for the C++ compiler, which takes a minute; fullgraph refuses to leave parts out.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager", fullgraph=True))
    layers, loss, target_shape = CASES[case]
    graph, (inputs, targets) = graph_of(layers, tmp_path), batches(target_shape)[0]
    compiled, plain = (TorchEngine(graph, loss, seed=3, options=o) for o in (COMPILED, EngineOptions()))
    for number, size in enumerate((8, 8, 5)):
        ours, theirs = (engine.step(inputs[:size], targets[:size], number=number) for engine in (compiled, plain))
        torch.testing.assert_close(ours.loss, theirs.loss, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(compiled.gradients.flat, plain.gradients.flat, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(compiled.predict(inputs), plain.predict(inputs), rtol=1e-4, atol=1e-5)


def test_without_a_compiler_compiling_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError) as caught:
        TorchEngine(graph_of(UPSAMPLER, tmp_path), MeanSquaredError(), seed=0, options=COMPILED)
    assert str(caught.value) == (
        "compile: torch.compile cannot work here: there is no C++ compiler 'no-such-compiler'\n"
        "  Install g++ or set CXX, or leave --compile out."
    )


def test_without_pythons_headers_compiling_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda compiler: f"/usr/bin/{compiler}")
    monkeypatch.setattr("sysconfig.get_path", lambda kind: str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        compilation.require_compiler(torch.device("cpu"))
    assert str(caught.value) == (
        f"compile: torch.compile cannot work here: there is no {tmp_path / 'Python.h'}\n"
        "  Install Python's headers (python3-dev), or leave --compile out."
    )


def test_without_triton_compiling_for_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        compilation.require_compiler(torch.device("cuda"))
    assert str(caught.value) == (
        "compile: torch.compile cannot work here: Triton is not installed\n  Install triton, or leave --compile out."
    )
