"""The five lists and their lines, from names and shapes alone."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxgrid.errors import TransplantError
from onnxgrid.transplant.pairing import pair_weights
from onnxgrid.transplant.plan import TargetParameter
from onnxgrid.transplant.report import loading_line
from onnxgrid.transplant.rules import TransplantRules
from onnxgrid.transplant.targets import describe_targets
from tests.onnxgrid.transplant.shapes import source, targets
from tests.small_models import numbered, small_model

CONV = {"conv.weight": (3, 2, 3, 3), "conv.bias": (3,)}
NORM = {"norm.weight": (3,), "norm.bias": (3,), "norm.running_mean": (3,), "norm.running_var": (3,)}

LINES = {  # the fact -> source, target, renames, lines
    "all matches": (CONV | NORM, CONV | NORM, [], []),
    "the design's example": (
        CONV,
        CONV | {"dense_128_1.weight": (10, 64), "dense_128_1.bias": (10,)},
        [],
        [
            "   Skipping layer dense_128_1: not found in model",
            "   Skipping parameter dense_128_1.weight: not found in model",
            "   Skipping parameter dense_128_1.bias: not found in model",
        ],
    ),
    "statistics are parameters of their layer": (
        CONV,
        CONV | NORM,
        [],
        [
            "   Skipping layer norm: not found in model",
            "   Skipping parameter norm.weight: not found in model",
            "   Skipping parameter norm.bias: not found in model",
            "   Skipping parameter norm.running_mean: not found in model",
            "   Skipping parameter norm.running_var: not found in model",
        ],
    ),
    "a layer of which some is found": (
        {"norm.weight": (3,), "norm.running_mean": (3,)},
        NORM,
        [],
        [
            "   Skipping parameter norm.bias: not found in model",
            "   Skipping parameter norm.running_var: not found in model",
        ],
    ),
    "another shape": (
        {"dense_1.weight": (64, 4096), "dense_1.bias": (64,)},
        {"dense_1.weight": (64, 16384), "dense_1.bias": (64,)},
        [],
        ["   Skipping parameter dense_1.weight: shape (64, 4096) in model, (64, 16384) in network"],
    ),
    "a layer whose every shape is another is found all the same": (
        {"d.weight": (1, 2), "d.bias": (1,)},
        {"d.weight": (3, 4), "d.bias": (3,)},
        [],
        [
            "   Skipping parameter d.weight: shape (1, 2) in model, (3, 4) in network",
            "   Skipping parameter d.bias: shape (1,) in model, (3,) in network",
        ],
    ),
    "an unused layer is one line": (
        CONV | {"dense_64_1.weight": (10, 16), "dense_64_1.bias": (10,)},
        CONV,
        [],
        ["   Unused layer dense_64_1: not found in network"],
    ),
    "a surplus parameter of a layer that is used": (
        {"a.weight": (3,), "a.bias": (3,)},
        {"a.weight": (3,)},
        [],
        ["   Unused parameter a.bias: not found in network"],
    ),
    "skips in the network's order, then unused in the file's": (
        {"z.bias": (1,), "m.weight": (2,), "y.bias": (1,)},
        {"c.bias": (1,), "m.weight": (3,), "b.bias": (1,)},
        [],
        [
            "   Skipping layer c: not found in model",
            "   Skipping parameter c.bias: not found in model",
            "   Skipping parameter m.weight: shape (2,) in model, (3,) in network",
            "   Skipping layer b: not found in model",
            "   Skipping parameter b.bias: not found in model",
            "   Unused layer z: not found in network",
            "   Unused layer y: not found in network",
        ],
    ),
    "renamed and matched": ({"enc.weight": (3,)}, {"down.weight": (3,)}, ["enc=>down"], []),
    "renamed and not used: the file's name in parentheses": (
        {"enc_1.weight": (3,), "enc_2.weight": (3,), "enc_2.bias": (4,), "enc_2.gain": (1,)},
        {"down_2.weight": (3,), "down_2.bias": (3,)},
        ["^enc=>down"],
        [
            "   Skipping parameter down_2.bias (enc_2.bias): shape (4,) in model, (3,) in network",
            "   Unused layer down_1 (enc_1): not found in network",
            "   Unused parameter down_2.gain (enc_2.gain): not found in network",
        ],
    ),
    "a name without a layer": ({"W1": (3,)}, {}, [], ["   Unused layer W1: not found in network"]),
}


@pytest.mark.parametrize(("held", "wanted", "renames", "lines"), LINES.values(), ids=LINES)
def test_the_lines_say_what_is_not_carried(held, wanted, renames, lines):
    plan = pair_weights(source(held), targets(wanted), TransplantRules.parse(renames=renames))
    assert plan.lines() == lines


def test_the_line_above_the_lines():
    given_path = "./checkpoints_D1/model_checkpoint_100.pt"
    assert loading_line(given_path) == "Loading model checkpoint from file: ./checkpoints_D1/model_checkpoint_100.pt"


@pytest.mark.parametrize("path", ["./pre/base.h5", "base.weights.h5", "BASE.HDF5"])
def test_the_line_above_the_lines_of_an_hdf5_file(path):
    assert loading_line(path) == f"Loading model checkpoint from HDF5 file: {path}"


def test_the_lines_name_what_an_hdf5_file_calls_a_parameter():
    held = {
        "norm_in.bias": replace(source({"norm_in.bias": (3,)})["norm_in.bias"], stored_name="norm_in/beta:0"),
        "norm_in.gain": replace(source({"norm_in.gain": (3,)})["norm_in.gain"], stored_name="norm_in/gain:0"),
        "conv.weight": replace(source({"conv.weight": (3, 2)})["conv.weight"], stored_name="conv/kernel:0"),
    }
    wanted = targets({"norm_in.weight": (3,), "norm_in.bias": (4,), "conv.weight": (3, 2)})
    plan = pair_weights(held, wanted, expected_names={"norm_in.weight": "norm_in/gamma:0"})
    assert plan.lines() == [
        "   Skipping parameter norm_in.weight (norm_in/gamma:0): not found in model",
        "   Skipping parameter norm_in.bias (norm_in/beta:0): shape (3,) in model, (4,) in network",
        "   Unused parameter norm_in.gain (norm_in/gain:0): not found in network",
    ]


names = st.sampled_from([f"{layer}.{parameter}" for layer in "abcd" for parameter in ("weight", "bias")])
shapes = st.dictionaries(names, st.sampled_from([(1,), (2, 1), (2, 2)]))


@given(held=shapes, wanted=shapes)
def test_each_name_is_in_one_list(held, wanted):
    plan = pair_weights(source(held), targets(wanted))
    matched = [match.target.name for match in (*plan.copied, *plan.shape_mismatch)]
    assert sorted([*matched, *(target.name for target in plan.unmatched_in_target)]) == sorted(wanted)
    assert sorted([*matched, *(unused.source for unused in plan.unmatched_in_source)]) == sorted(held)
    assert plan.adapted == ()
    assert (plan.lines() == []) == (held == wanted)


def test_the_targets_of_a_model_stand_in_the_order_of_its_nodes():
    arrays = {"conv.weight": numbered((3, 2, 3, 3)), "norm.weight": numbered((3,)), "norm.running_mean": numbered((3,))}
    model = small_model(arrays)
    value = model.graph.initializers.pop("conv.weight")
    model.graph.register_initializer(value)
    assert next(iter(model.graph.initializers)) == "norm.weight"
    assert describe_targets(model) == (
        TargetParameter("conv.weight", "conv", (3, 2, 3, 3)),
        TargetParameter("norm.weight", "norm", (3,)),
        TargetParameter("norm.running_mean", "norm", (3,)),
    )


def test_renames_that_collide_are_refused():
    with pytest.raises(TransplantError, match=r"'a\.bias' and 'b\.bias' of the source would both be 'c\.bias'"):
        pair_weights(source({"a.bias": (1,), "b.bias": (1,)}), [], TransplantRules.parse(renames=["^[ab]=>c"]))
