"""Convolutions of a single volume: by oneDNN where torch would take a slower kernel, and the same in numbers."""

import pytest
import torch

from onnxgrid.engines import create_engine, one_volume
from onnxgrid.losses import MeanSquaredError
from tests.onnxgrid.engines.test_torch_engine import VOLUME
from tests.onnxgrid.engines.test_training_equality import graph_of

TOLERANCE = 1e-5
"""Of the largest value: sums of some thousand float32 products, against float64."""

FORMATS = {"channels first": torch.contiguous_format, "channels last": torch.channels_last_3d}
WINDOWS = {
    "padded": ([1, 1, 1], [1, 1, 1], [1, 1, 1]),
    "strided, dilated and not padded everywhere": ([2, 1, 2], [1, 0, 1], [1, 2, 1]),
}


def assert_close(ours: torch.Tensor, wanted: torch.Tensor) -> None:
    assert (ours - wanted).abs().max() <= TOLERANCE * wanted.abs().max()


@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize(("stride", "padding", "dilation"), WINDOWS.values(), ids=WINDOWS)
def test_values_and_gradients_are_those_of_a_convolution(
    stride: list[int], padding: list[int], dilation: list[int], memory_format: torch.memory_format
) -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 16, 12, 14, 13).contiguous(memory_format=memory_format).requires_grad_()
    w = torch.randn(8, 16, 3, 3, 3).contiguous(memory_format=memory_format).requires_grad_()
    b = torch.randn(8, requires_grad=True)
    assert one_volume.computed_slowly(x, w, 1)
    y = one_volume.convolve(x, w, b, stride, padding, dilation)
    expected = torch.conv3d(x.double(), w.double(), b.double(), stride, padding, dilation)
    assert_close(y, expected)
    assert y.is_contiguous(memory_format=memory_format)
    dy = torch.randn_like(y)
    wanted = torch.autograd.grad(expected, (x, w, b), dy.double())
    for ours in (
        torch.autograd.grad(y, (x, w, b), dy),
        one_volume.gradients(dy, x.detach(), w.detach(), stride, padding, dilation, [True, True, True]),
    ):
        for gradient, want in zip(ours, wanted, strict=True):
            assert_close(gradient, want)
    alone = one_volume.gradients(dy, x.detach(), w.detach(), stride, padding, dilation, [False, True, False])
    assert_close(alone[1], wanted[1])


LEFT_TO_TORCH = {
    "several samples": (torch.zeros(2, 16, 8, 8, 8), torch.zeros(4, 16, 3, 3, 3), 1),
    "a large volume": (torch.zeros(1, 16, 36, 36, 4), torch.zeros(4, 16, 3, 3, 3), 1),
    "an image": (torch.zeros(1, 16, 8, 8), torch.zeros(4, 16, 3, 3), 1),
    "groups": (torch.zeros(1, 16, 8, 8, 8), torch.zeros(4, 8, 3, 3, 3), 2),
    "products alone": (torch.zeros(1, 16, 8, 8, 8), torch.zeros(4, 16, 1, 1, 1), 1),
    "a large kernel": (torch.zeros(1, 16, 8, 8, 8), torch.zeros(4, 16, 3, 5, 5), 1),
    "float64": (torch.zeros(1, 16, 8, 8, 8).double(), torch.zeros(4, 16, 3, 3, 3).double(), 1),
}


@pytest.mark.parametrize(("x", "w", "groups"), LEFT_TO_TORCH.values(), ids=LEFT_TO_TORCH)
def test_what_torch_computes_well_is_left_to_it(x: torch.Tensor, w: torch.Tensor, groups: int) -> None:
    assert not one_volume.computed_slowly(x, w, groups)


def test_both_engines_train_on_one_volume_as_on_two_of_the_same(tmp_path: object) -> None:
    graph = graph_of(VOLUME, tmp_path)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(1, 2, 8, 6, 4, generator=generator)
    y = torch.rand(1, 1, 8, 6, 4, generator=generator)
    twice = create_engine("torch", graph, MeanSquaredError(), seed=1)
    twice.step(torch.cat([x, x]), torch.cat([y, y]), number=0)
    for name in ("ort", "torch"):
        once = create_engine(name, graph, MeanSquaredError(), seed=1)
        once.step(x, y, number=0)
        assert_close(once.gradients.flat, twice.gradients.flat)
