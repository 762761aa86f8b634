"""Kernels of another size: what each rule preserves, against torch's convolutions and scipy's resampling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, signal

from onnxgrid.transplant.adaptation import Slot, adapt
from onnxgrid.transplant.adaptation.galerkin import coarsening_matrix
from onnxgrid.transplant.usage import ParameterUse

CLOSE = {"rtol": 0, "atol": 1e-10}
"""Float64 all the way: what remains is rounding."""

sizes = st.integers(1, 7)


def kernel(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape)


def adapted(values, shape, *rules, use=None):
    adaptation = adapt(Slot("k.weight", values.shape, use), Slot("k.weight", shape, use), rules)
    assert adaptation is not None
    result = adaptation.apply(values, never_read)
    assert result.shape == shape
    return result


def never_read():
    raise AssertionError("this rule asks for no values of the target")


def same(fields, weights):
    """The convolution of fields (in, H, W) that Keras calls "same": the cell (k - 1) // 2 stands on each point."""
    pads = [(0, 0), *(((k - 1) // 2, k // 2) for k in weights.shape[2:])]
    padded = np.pad(fields, pads)
    return np.stack([sum(signal.correlate(x, w, "valid") for x, w in zip(padded, ws, strict=True)) for ws in weights])


@given(before=st.tuples(sizes, sizes), more=st.tuples(st.integers(0, 4), st.integers(0, 4)))
def test_a_kernel_padded_around_its_centre_convolves_as_before(before, more):
    weights, fields = kernel(3, 2, *before), kernel(2, 9, 8)
    after = tuple(size + extra for size, extra in zip(before, more, strict=True))
    padded = adapted(weights, (3, 2, *after), "center") if after != before else weights
    np.testing.assert_allclose(same(fields, padded), same(fields, weights), **CLOSE)


@given(before=sizes, more=st.integers(1, 4))
def test_cropping_takes_off_what_padding_added(before, more):
    weights = kernel(2, 3, before)
    padded = adapted(weights, (2, 3, before + more), "center")
    np.testing.assert_array_equal(adapted(padded, weights.shape, "center"), weights)


def response(weights, field):
    """Of each kernel (..., k1, k2) to a function of the coordinates, whose nodes go from -1 to 1."""
    nodes = [np.linspace(-1, 1, size) if size > 1 else np.zeros(1) for size in weights.shape[2:]]
    return np.tensordot(weights, field(*np.meshgrid(*nodes, indexing="ij")), axes=2)


FIELDS = {
    "constant": lambda y, x: np.ones_like(y),
    "linear in y": lambda y, x: y,
    "linear in x": lambda y, x: 3 * x - 1,
    "bilinear": lambda y, x: x * y,
}


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
@given(before=st.tuples(sizes, sizes), after=st.tuples(st.integers(2, 7), st.integers(2, 7)))
def test_an_interpolated_kernel_responds_to_linear_functions_as_before(field, before, after):
    weights = kernel(2, 2, *before)
    if before != after:
        interpolated = adapted(weights, (2, 2, *after), "interpolate")
        np.testing.assert_allclose(response(interpolated, field), response(weights, field), **CLOSE)


def test_an_interpolated_kernel_of_a_single_cell_keeps_its_sum():
    weights = kernel(2, 2, 5)
    np.testing.assert_allclose(adapted(weights, (2, 2, 1), "interpolate")[..., 0], weights.sum(-1), **CLOSE)


@given(before=st.integers(2, 7), after=st.integers(2, 7))
def test_interpolation_is_linear_resampling_but_for_its_first_two_moments(before, after):
    # What is added to the resampled kernel is a linear function of the place: orthogonal to all that has no moments.
    unit = kernel(1, 1, before)
    if before == after:
        return
    resampled = ndimage.zoom(unit[0, 0], after / before, order=1) * (before / after)
    difference = adapted(unit, (1, 1, after), "interpolate")[0, 0] - resampled
    np.testing.assert_allclose(np.diff(difference, 2), 0, atol=1e-8)


@given(before=sizes, after=sizes)
def test_an_averaging_kernel_stays_one(before, after):
    if before != after:
        averaging = np.full((1, 1, before), 1 / before)
        np.testing.assert_allclose(adapted(averaging, (1, 1, after), "interpolate"), 1 / after, **CLOSE)


def test_an_inflated_kernel_gives_a_still_video_the_output_of_its_image():
    weights, image = kernel(3, 2, 3, 5), kernel(2, 9, 8)
    inflated = adapted(weights, (3, 2, 4, 3, 5), "inflate")
    video = np.repeat(image[:, np.newaxis], 6, axis=1)
    of_video = [sum(signal.correlate(x, w, "valid") for x, w in zip(video, ws, strict=True)) for ws in inflated]
    of_image = [sum(signal.correlate(x, w, "valid") for x, w in zip(image, ws, strict=True)) for ws in weights]
    for frames, frame in zip(of_video, of_image, strict=True):
        np.testing.assert_allclose(frames, np.broadcast_to(frame, (3, *frame.shape)), **CLOSE)


def prolonged(field):
    """Values on the nodes of a grid twice as fine: linear between those given, along each axis; zero at the border."""
    for axis in range(field.ndim):
        size = field.shape[axis]
        fine = np.arange(-1, 2 * size) / 2
        field = np.apply_along_axis(
            lambda v, fine=fine, size=size: np.interp(fine, np.arange(-1, size + 1), np.r_[0, v, 0]), axis, field
        )
    return field


def restricted(field):
    """Full weighting of a grid twice as fine, onto the nodes that both grids have."""
    for axis in range(field.ndim):
        weighted = ndimage.correlate1d(field, [0.25, 0.5, 0.25], axis, mode="constant")
        field = np.take(weighted, np.arange(1, field.shape[axis], 2), axis)
    return field


@pytest.mark.parametrize(
    ("before", "after"), [((3, 3), (3, 3)), ((5, 3), (5, 3)), ((5, 1), (7, 1)), ((3, 3, 3), (3, 3, 3)), ((3,), (3,))]
)
def test_the_galerkin_coarsening_of_the_fine_kernel_is_the_coarse_kernel(before, after):
    weights = kernel(1, 1, *before)
    fine = adapted(weights, (1, 1, *after), "galerkin")[0, 0]
    field = np.pad(kernel(*(5 for _ in before)), 3)  # so that nothing reaches the border
    if before == (5, 1):  # the axis of size 1 is a map from point to point, on either grid
        field, fine, coarse = field[:, 5], fine[:, 0], weights[0, 0, :, 0]
    else:
        coarse = weights[0, 0]
    on_the_fine_grid = restricted(ndimage.correlate(prolonged(field), fine, mode="constant"))
    np.testing.assert_allclose(on_the_fine_grid, ndimage.correlate(field, coarse, mode="constant"), atol=1e-9)
    np.testing.assert_allclose(fine.sum(), coarse.sum(), atol=1e-9)


def test_galerkin_coarsening_of_the_fine_laplacian_is_the_coarse_one_scaled():
    # 1D, linear elements: R K P of [-1, 2, -1] is a quarter of itself, as h**2 grows fourfold.
    np.testing.assert_allclose(coarsening_matrix(3) @ [-1, 2, -1], np.array([-1, 2, -1]) / 4, **CLOSE)


NOT_GALERKIN = {
    "a wide kernel": ((1, 1, 7), (1, 1, 7), None),
    "a smaller kernel": ((1, 1, 5), (1, 1, 3), None),
    "an even kernel": ((1, 1, 4), (1, 1, 4), None),
    "points only": ((1, 1, 1, 1), (1, 1, 1, 1), None),
    "a stride": ((1, 1, 3), (1, 1, 3), ParameterUse("Conv", 1, dense_grid=False)),
    "a transposed convolution": ((1, 1, 3), (1, 1, 3), ParameterUse("ConvTranspose", 1)),
    "no kernel": ((3, 3), (3, 3), None),
}


@pytest.mark.parametrize(("before", "after", "use"), NOT_GALERKIN.values(), ids=NOT_GALERKIN)
def test_galerkin_has_nothing_to_do_with(before, after, use):
    adaptation = adapt(Slot("k.weight", before, use), Slot("k.weight", after, use), ["galerkin"])
    assert adaptation is None or adaptation.steps == ()
