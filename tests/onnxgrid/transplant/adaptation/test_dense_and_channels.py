"""Dense layers behind a Flatten, channels, orders of axes, and rules one after the other."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxgrid.errors import TransplantError
from onnxgrid.transplant import adaptation
from onnxgrid.transplant.adaptation import Slot, adapt, require_rules
from onnxgrid.transplant.usage import Flattened, ParameterUse
from tests.small_models import numbered

CLOSE = {"rtol": 0, "atol": 1e-10}


def dense_use(spatial, channels, *, channels_last=True, transposed=False):
    return ParameterUse("Gemm", 1, transposed=transposed, flattened=Flattened(spatial, channels, channels_last))


def adapted(values, use, shape, target_use, *rules, target=None):
    adaptation = adapt(Slot("d.weight", values.shape, use), Slot("d.weight", shape, target_use), rules)
    assert adaptation is not None
    result = adaptation.apply(values, lambda: target)
    assert result.shape == shape
    return result


def images(*shape):
    return np.random.default_rng(7).normal(size=shape)


sizes = st.integers(1, 6)


@given(old=st.tuples(sizes, sizes), times=st.tuples(st.integers(1, 3), st.integers(1, 3)))
def test_a_resampled_dense_gives_repeated_pixels_the_output_of_the_old_image(old, times):
    weights, image = images(4, old[0] * old[1] * 3), images(*old, 3)
    new = (old[0] * times[0], old[1] * times[1])
    grown = adapted(weights, dense_use(old, 3), (4, new[0] * new[1] * 3), dense_use(new, 3), "dense-resample")
    repeated = image.repeat(times[0], axis=0).repeat(times[1], axis=1)
    np.testing.assert_allclose(grown @ repeated.ravel(), weights @ image.ravel(), **CLOSE)
    shrunk = adapted(grown, dense_use(new, 3), weights.shape, dense_use(old, 3), "dense-resample")
    np.testing.assert_allclose(shrunk, weights, **CLOSE)  # averages of what was shared out


@given(old=st.tuples(sizes, sizes), new=st.tuples(sizes, sizes))
def test_a_resampled_dense_gives_constants_the_output_they_had(old, new):
    weights, constants = images(4, old[0] * old[1] * 3), images(3)
    result = adapted(weights, dense_use(old, 3), (4, new[0] * new[1] * 3), dense_use(new, 3), "dense-resample")
    before, after = (np.broadcast_to(constants, (*size, 3)).ravel() for size in (old, new))
    np.testing.assert_allclose(result @ after, weights @ before, **CLOSE)


def test_a_resampled_dense_averages_the_pixels_that_share_a_cell():
    torch = pytest.importorskip("torch", reason="the oracle")
    weights = images(5, 4 * 2 * 3)
    result = adapted(weights, dense_use((4, 2), 3), (5, 12 * 4 * 3), dense_use((12, 4), 3), "dense-resample")
    image = images(12, 4, 3)
    averaged = torch.nn.functional.avg_pool2d(torch.from_numpy(image).permute(2, 0, 1), (3, 2)).permute(1, 2, 0)
    np.testing.assert_allclose(result @ image.ravel(), weights @ averaged.numpy().ravel(), **CLOSE)


def test_the_order_of_a_flatten_is_the_targets():
    weights, image = images(2, 4 * 3 * 5), images(5, 4, 3)  # channels first
    of_torch, of_keras = dense_use((4, 3), 5, channels_last=False), dense_use((4, 3), 5)
    moved = adapted(weights, of_torch, weights.shape, of_keras)
    np.testing.assert_allclose(moved @ image.transpose(1, 2, 0).ravel(), weights @ image.ravel(), **CLOSE)
    np.testing.assert_array_equal(adapted(moved, of_keras, weights.shape, of_torch), weights)


def test_a_weight_stored_the_other_way_is_turned_then_reordered_then_resampled():
    weights, image = images(2 * 2 * 5, 3), images(5, 2, 2)  # (in, out), channels first
    source = dense_use((2, 2), 5, channels_last=False, transposed=True)
    result = adapted(weights, source, (3, 4 * 4 * 5), dense_use((4, 4), 5), "dense-resample")
    grown = image.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(result @ grown.transpose(1, 2, 0).ravel(), image.ravel() @ weights, **CLOSE)


def test_without_the_sizes_before_the_flatten_a_dense_is_not_resampled():
    known, unknown = dense_use((4, 4), 3), ParameterUse("Gemm", 1)
    wrong = dense_use((3, 4), 3)
    for use in (None, unknown, wrong):
        assert adapt(Slot("d.weight", (2, 48), use), Slot("d.weight", (2, 192), known), ["dense-resample"]) is None


@given(before=st.tuples(st.integers(1, 4), st.integers(1, 4)), after=st.tuples(st.integers(1, 4), st.integers(1, 4)))
def test_channels_that_are_kept_do_what_they_did(before, after):
    (out_before, in_before), (out_after, in_after) = before, after
    weights, target = images(*before, 3, 3), numbered((*after, 3, 3), 100, np.float64)
    if before == after:
        return
    result = adapted(weights, None, target.shape, None, "slice-pad", target=target)
    kept_out, kept_in = min(out_before, out_after), min(in_before, in_after)
    patch = images(in_after, 3, 3)  # whatever stands in the new channels
    expected = np.tensordot(weights[:kept_out, :kept_in], patch[:kept_in], axes=3)
    np.testing.assert_allclose(np.tensordot(result[:kept_out], patch, axes=3), expected, **CLOSE)
    np.testing.assert_array_equal(result[kept_out:], target[kept_out:])


def test_channels_of_a_transposed_convolution_stand_the_other_way_round():
    use = ParameterUse("ConvTranspose", 1)
    weights, target = images(2, 3, 2), numbered((4, 5, 2), 100, np.float64)  # (in, out, k)
    result = adapted(weights, use, target.shape, use, "slice-pad", target=target)
    np.testing.assert_array_equal(result[:2, :3], weights)
    np.testing.assert_array_equal(result[2:, :3], 0)
    np.testing.assert_array_equal(result[:, 3:], target[:, 3:])


def test_new_channels_behind_a_flatten_stand_between_the_old_ones():
    weights, target = images(2, 2 * 2 * 3), numbered((2, 2 * 2 * 4), 100, np.float64)
    result = adapted(weights, dense_use((2, 2), 3), (2, 16), dense_use((2, 2), 4), "slice-pad", target=target)
    np.testing.assert_array_equal(result.reshape(2, 2, 2, 4)[..., :3], weights.reshape(2, 2, 2, 3))
    np.testing.assert_array_equal(result.reshape(2, 2, 2, 4)[..., 3], 0)


def test_vectors_keep_their_first_numbers():
    target = numbered((5,), 100, np.float64)
    result = adapted(images(3), None, (5,), None, "slice-pad", target=target)
    np.testing.assert_array_equal(result, [*images(3), 103, 104])
    np.testing.assert_array_equal(adapted(images(5), None, (3,), None, "slice-pad", target=target[:3]), images(5)[:3])


NOT_SLICED = {
    "grouped convolutions": ("c.weight", (4, 2, 3), (6, 3, 3), ParameterUse("Conv", 1, groups=2)),
    "gates of recurrent layers": ("r.weight_ih", (1, 8, 3), (1, 12, 3), ParameterUse("LSTM", 1)),
    "gates without a graph": ("r.weight_hh_l0", (8, 3), (12, 3), None),
    "biases of gates": ("r.bias_ih_l0", (8,), (12,), None),
    "slopes": ("p.weight", (3,), (4,), ParameterUse("PRelu", 1)),
    "another rank": ("c.weight", (3, 2), (3, 2, 1), None),
}


@pytest.mark.parametrize(("name", "before", "after", "use"), NOT_SLICED.values(), ids=NOT_SLICED)
def test_channels_are_not_sliced_of(name, before, after, use):
    assert adapt(Slot(name, before, use), Slot(name, after, use), ["slice-pad"]) is None


@pytest.mark.parametrize("rules", [["slice-pad", "center"], ["center", "slice-pad"]])
def test_rules_one_after_the_other_change_kernels_and_channels(rules):
    weights, target = images(2, 1, 3, 3), numbered((4, 2, 5, 5), 100, np.float64)
    result = adapted(weights, None, target.shape, None, *rules, target=target)
    np.testing.assert_array_equal(result[:2, :1, 1:4, 1:4], weights)
    assert np.abs(result[:2]).sum() == np.abs(weights).sum()
    np.testing.assert_array_equal(result[2:], target[2:])


@pytest.mark.parametrize("rules", [["slice-pad", "dense-resample"], ["dense-resample", "slice-pad"]])
def test_a_dense_of_other_sizes_and_channels(rules):
    weights, image = images(2, 2 * 2 * 3), images(4, 4, 5)
    target = numbered((2, 4 * 4 * 5), 100, np.float64)
    result = adapted(weights, dense_use((2, 2), 3), (2, 80), dense_use((4, 4), 5), *rules, target=target)
    averaged = image[..., :3].reshape(2, 2, 2, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(result @ image.ravel(), weights @ averaged.ravel(), **CLOSE)


def test_the_first_rule_that_can_changes_the_kernel():
    weights = images(1, 1, 3)
    use = None
    first = adapted(weights, use, (1, 1, 5), use, "center", "interpolate")
    np.testing.assert_array_equal(first[0, 0], [0, *weights[0, 0], 0])
    adaptation = adapt(Slot("k.weight", (1, 1, 3)), Slot("k.weight", (1, 1, 5)), ["interpolate", "center"])
    assert adaptation.detail == "interpolate: kernel (3,) -> (5,)"


def test_every_rule_is_in_the_guide():
    guide = (Path(__file__).parents[4] / "docs" / "transplant.md").read_text()
    assert sorted(re.findall(r"^\| `([a-z][a-z-]*)` \|", guide, re.MULTILINE)) == sorted(adaptation.RULES)


RULES = "center, dense-resample, galerkin, inflate, interpolate, slice-pad"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["centre"], f"adaptation 'centre': there is no such rule\n  Use one of: {RULES}."),
        (["center", "center"], "adaptation 'center': is asked for twice\n  Name each rule once."),
    ],
)
def test_rules_that_are_not_there_or_twice_are_refused(names, text):
    with pytest.raises(TransplantError) as caught:
        require_rules(names)
    assert str(caught.value) == text
