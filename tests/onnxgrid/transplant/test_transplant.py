"""Transplants from file to file: what changes, what never does, and what is refused before anything is written."""

import logging
import subprocess
import sys

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.errors import WeightFileError
from converters.weights import read_weights
from onnxgrid.errors import TransplantError
from onnxgrid.transplant import transplant
from onnxgrid.transplant.matching import Rename
from onnxgrid.transplant.report import save_report
from onnxgrid.transplant.rules import TransplantRules
from tests.small_models import initializers_of, numbered, save_small_model, small_model

COARSE = {
    "conv.weight": numbered((3, 2, 3, 5), 1),
    "conv.bias": np.array([1.0, np.nan, -0.0], dtype=np.float32),
    "norm.weight": numbered((3,), 200),
    "norm.bias": numbered((3,), 300),
    "norm.running_mean": numbered((3,), 400),
    "norm.running_var": numbered((3,), 500),
    "dense_64.weight": numbered((5, 60), 600),
    "dense_64.bias": numbered((5,), 1000),
}
FINE = {name: np.zeros_like(array) for name, array in COARSE.items() if not name.startswith("dense")} | {
    "dense_128.weight": numbered((5, 240), 2000),
    "dense_128.bias": numbered((5,), 3000),
}
CARRIED = [name for name in FINE if not name.startswith("dense")]


@pytest.fixture
def files(tmp_path):
    return (
        save_small_model(tmp_path / "coarse.onnx", COARSE),
        save_small_model(tmp_path / "fine.onnx", FINE),
        tmp_path / "out.onnx",
    )


def assert_same_bytes(left, right):
    assert {name: array.tobytes() for name, array in left.items()} == {
        name: array.tobytes() for name, array in right.items()
    }


def test_what_matches_is_copied_bit_for_bit_and_the_rest_is_the_targets(files):
    source, target, out = files
    report = transplant(source, target, out)
    assert_same_bytes(initializers_of(out), initializers_of(target) | {name: COARSE[name] for name in CARRIED})
    assert report.lines() == [
        "   Skipping layer dense_128: not found in model",
        "   Skipping parameter dense_128.weight: not found in model",
        "   Skipping parameter dense_128.bias: not found in model",
        "   Unused layer dense_64: not found in network",
    ]
    assert report.summary() == (
        f"{out}: 6 copied, 0 adapted, 2 unmatched in source, 2 unmatched in target, 0 shape mismatch"
    )


def test_only_the_values_of_initializers_differ_from_the_target(files):
    source, target, out = files
    transplant(source, target, out)
    before, after = onnx.load(target), onnx.load(out)
    for proto in (before, after):
        for tensor in proto.graph.initializer:
            tensor.ClearField("raw_data")
    assert before == after


def test_the_source_and_the_target_stay_as_they_are(files):
    source, target, out = files
    before = source.read_bytes(), target.read_bytes()
    transplant(source, target, out)
    assert (source.read_bytes(), target.read_bytes()) == before


arrays = st.dictionaries(
    st.sampled_from([f"{layer}.{parameter}" for layer in "abc" for parameter in ("weight", "bias")]),
    st.tuples(st.sampled_from([(1, 2), (2, 2)]), st.integers(0, 9)).map(lambda case: numbered(*case)),
    min_size=1,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(held=arrays, wanted=arrays)
def test_a_transplant_changes_what_it_names_and_twice_is_once(held, wanted, tmp_path):
    source, target = save_small_model(tmp_path / "s.onnx", held), save_small_model(tmp_path / "t.onnx", wanted)
    for name in ("once.onnx", "twice.onnx"):
        (tmp_path / name).unlink(missing_ok=True)
    report = transplant(source, target, tmp_path / "once.onnx")
    if not held.keys() & {name for name, array in wanted.items() if name in held and held[name].shape == array.shape}:
        assert not (tmp_path / "once.onnx").exists()
        return
    named = {match.target.name for match in report.plan.copied}
    expected = {name: held[name] if name in named else array for name, array in initializers_of(target).items()}
    assert_same_bytes(initializers_of(tmp_path / "once.onnx"), expected)
    transplant(source, tmp_path / "once.onnx", tmp_path / "twice.onnx")
    assert (tmp_path / "twice.onnx").read_bytes() == (tmp_path / "once.onnx").read_bytes()


def test_renames_carry_what_has_another_name(files):
    source, _, out = files
    target = save_small_model(out.parent / "renamed.onnx", {"head.weight": np.zeros((5, 60), np.float32)})
    transplant(source, target, out, renames=[Rename.parse("^dense_64=>head")])
    np.testing.assert_array_equal(initializers_of(out)["head.weight"], COARSE["dense_64.weight"])


def test_values_are_cast_to_the_type_of_the_target(tmp_path):
    array = np.array([1.5, -2.25, 256.0])
    for number, (stored, wanted) in enumerate(
        [(np.float64, np.float32), (ml_dtypes.bfloat16, np.float32), (np.float32, np.float16)]
    ):
        source = save_small_model(tmp_path / "s.onnx", {"a.bias": array.astype(stored)})
        target = save_small_model(tmp_path / "t.onnx", {"a.bias": np.zeros(3, wanted)})
        out = tmp_path / f"{number}.onnx"
        transplant(source, target, out)
        carried = initializers_of(out)["a.bias"]
        assert carried.dtype == wanted
        np.testing.assert_array_equal(carried.astype(np.float64), array)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_adapted_values_have_the_type_of_the_target(tmp_path, dtype):
    np.savez(tmp_path / "s.npz", **{"a.weight": np.array([[[1.5, -2.25, 3.0]]], dtype)})
    np.savez(tmp_path / "t.npz", **{"a.weight": np.zeros((1, 1, 5), dtype)})
    rules = TransplantRules.parse(adapt=["center"])
    transplant(tmp_path / "s.npz", tmp_path / "t.npz", tmp_path / "out.npz", rules, strict=True)
    (carried,) = read_weights(tmp_path / "out.npz").values()
    assert carried.dtype == dtype
    np.testing.assert_array_equal(carried.read().astype(np.float64), [[[0, 1.5, -2.25, 3.0, 0]]])


def test_adapted_values_that_are_too_large_are_refused(tmp_path):
    np.savez(tmp_path / "s.npz", **{"a.weight": np.full((1, 1, 3), 1e6, np.float32)})
    np.savez(tmp_path / "t.npz", **{"a.weight": np.zeros((1, 1, 5), np.float16)})
    rules = TransplantRules.parse(adapt=["center"])
    with pytest.raises(WeightFileError, match="3 of 5 values are too large for float16"):
        transplant(tmp_path / "s.npz", tmp_path / "t.npz", tmp_path / "out.npz", rules)
    assert not (tmp_path / "out.npz").exists()


def test_from_a_torch_checkpoint(files):
    torch = pytest.importorskip("torch", reason="reads a .pt file")
    _, target, out = files
    state = {name: torch.from_numpy(COARSE[name].copy()) for name in CARRIED}
    source = out.parent / "model_checkpoint_1.pt"
    torch.save({"model": state, "optimizer": {}, "epoch": 1}, source)
    transplant(source, target, out)
    assert_same_bytes(initializers_of(out), initializers_of(target) | {name: COARSE[name] for name in CARRIED})


def test_a_target_with_external_data_gives_an_output_that_stands_alone(tmp_path):
    source = save_small_model(tmp_path / "s.onnx", COARSE)
    (tmp_path / "target").mkdir()
    ir.save(small_model(FINE), tmp_path / "target" / "t.onnx", external_data="t.bin", size_threshold_bytes=0)
    transplant(source, tmp_path / "target" / "t.onnx", tmp_path / "out.onnx")
    (tmp_path / "target" / "t.bin").unlink()
    assert_same_bytes(
        {name: array for name, array in initializers_of(tmp_path / "out.onnx").items() if name in FINE},
        FINE | {name: COARSE[name] for name in CARRIED},
    )


def test_a_constant_is_not_carried_even_under_the_same_name(tmp_path):
    source = save_small_model(
        tmp_path / "s.onnx", {"norm.weight": numbered((3,), 5), "norm.running_mean": numbered((3,), 7)}
    )
    target = save_small_model(
        tmp_path / "t.onnx",
        {"norm.weight": np.ones(3, np.float32), "norm.running_mean": np.zeros(3, np.float32)},
        fixed=("norm.weight",),
    )
    report = transplant(source, target, tmp_path / "out.onnx")
    assert report.lines() == ["   Unused parameter norm.weight: not found in network"]
    np.testing.assert_array_equal(initializers_of(tmp_path / "out.onnx")["norm.weight"], np.ones(3))


def test_a_dry_run_reports_and_writes_nothing(files):
    source, target, out = files
    report = transplant(source, target, out, dry_run=True)
    assert not out.exists()
    assert report.summary() == (
        "dry run, nothing written: 6 copied, 0 adapted, 2 unmatched in source, 2 unmatched in target, 0 shape mismatch"
    )
    assert transplant(source, target, dry_run=True).plan == report.plan


def test_strict_refuses_any_difference_before_writing(files):
    source, target, out = files
    with pytest.raises(TransplantError) as caught:
        transplant(source, target, out, strict=True)
    assert str(caught.value) == (
        f"{source} into {target}: the transplant is strict, and this does not match:\n"
        "   Skipping layer dense_128: not found in model\n"
        "   Skipping parameter dense_128.weight: not found in model\n"
        "   Skipping parameter dense_128.bias: not found in model\n"
        "   Unused layer dense_64: not found in network\n"
        "  Rename what has another name, or allow differences."
    )
    assert not out.exists()
    assert transplant(source, source, out, strict=True).lines() == []


OTHER_NAME = (
    "which is never changed unless this is asked for\n  Give the output another name, or replace the file in place."
)

REFUSED = {
    "no output": (
        ("coarse.onnx", "fine.onnx", None),
        "transplant of {source} into {target}: there is no output to write to\n  Give an output, or ask for a dry run.",
    ),
    "into the target": (
        ("coarse.onnx", "fine.onnx", "fine.onnx"),
        "{out}: the output is the target, " + OTHER_NAME,
    ),
    "into the source": (
        ("coarse.onnx", "fine.onnx", "coarse.onnx"),
        "{out}: the output is the source, " + OTHER_NAME,
    ),
    "into a link to the target": (
        ("coarse.onnx", "fine.onnx", "link.onnx"),
        "{out}: the output is the target, " + OTHER_NAME,
    ),
    "weights into a model": (
        ("coarse.onnx", "fine.npz", "out.onnx"),
        "{out}: a model cannot be made of the target {target}, which holds weights alone\n"
        "  Give a target that is a model (.onnx), or an output that is a weight file.",
    ),
    "into a folder that is not there": (
        ("coarse.onnx", "fine.onnx", "no/out.onnx"),
        "{out}: the output cannot be written there\n  Give the path of a file in a folder that exists.",
    ),
}


@pytest.mark.parametrize(("names", "message"), REFUSED.values(), ids=REFUSED)
def test_paths_that_are_refused_say_why(names, message, files):
    folder = files[0].parent
    np.savez(folder / "fine.npz", **FINE)
    (folder / "link.onnx").symlink_to(folder / "fine.onnx")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    source, target, out = (None if name is None else folder / name for name in names)
    with pytest.raises(TransplantError) as caught:
        transplant(source, target, out)
    assert str(caught.value) == message.format(source=source, target=target, out=out)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_source_that_breaks_off_while_it_is_read_leaves_no_output(tmp_path):
    ir.save(small_model(COARSE), tmp_path / "s.onnx", external_data="s.bin", size_threshold_bytes=0)
    (tmp_path / "s.bin").write_bytes((tmp_path / "s.bin").read_bytes()[:400])
    target = save_small_model(tmp_path / "t.onnx", FINE)
    with pytest.raises(WeightFileError):
        transplant(tmp_path / "s.onnx", target, tmp_path / "out.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.bin", "s.onnx", "t.onnx"]


def test_damaged_text_in_a_target_stays_as_it_is(files):
    source, target, out = files
    whole = target.read_bytes()
    transplant(source, target, out)
    expected = out.read_bytes().replace(b"Flatten", b"Flat\xffen")
    target.write_bytes(whole.replace(b"Flatten", b"Flat\xffen"))
    transplant(source, target, out)
    assert out.read_bytes() == expected


def test_a_transplant_of_nothing_writes_nothing_and_is_warned_of(files, caplog):
    source, _, out = files
    target = save_small_model(out.parent / "other.onnx", {"other.weight": numbered((2, 2))})
    out.write_bytes(b"what was there")
    with caplog.at_level(logging.WARNING):
        report = transplant(source, target, out)
    assert caplog.messages == [
        f"{source}: nothing to copy into {target}: no parameter has the same name and shape in both"
    ]
    assert out.read_bytes() == b"what was there"
    assert not report.written
    assert report.summary() == (
        f"nothing to carry, nothing written: 0 copied, 0 adapted, {len(COARSE)} unmatched in source, "
        "1 unmatched in target, 0 shape mismatch"
    )


def test_one_prefix_of_all_names_is_taken_off_where_names_then_match(tmp_path, caplog):
    held = {"a.weight": numbered((2, 2)), "a.bias": numbered((2,)), "b.bias": numbered((3,))}
    source = save_small_model(tmp_path / "s.onnx", {f"ema.model.{name}": array for name, array in held.items()})
    target = save_small_model(tmp_path / "t.onnx", {name: 0 * array for name, array in held.items()})
    transplant(source, target, tmp_path / "out.onnx", strict=True)
    assert caplog.messages == [
        f"{source}: all names begin with 'ema.model.', and those of {target} do not: it was taken off, as by "
        r"--map '^ema\.model\.=>'"
    ]
    filled = initializers_of(tmp_path / "out.onnx")
    assert_same_bytes({name: filled[name] for name in held}, held)


PREFIXES = {  # prefix in the source, in the target, what else the source holds -> the rename
    "of some names": ("model.", "", {"loss.weight": numbered((2, 2))}, r"^model\.=>"),
    "of the target": ("", "model.", {}, "^=>model."),
}


@pytest.mark.parametrize(("ours", "theirs", "more", "rename"), PREFIXES.values(), ids=PREFIXES)
def test_a_prefix_that_keeps_names_apart_is_told(ours, theirs, more, rename, tmp_path, caplog):
    held = {"a.weight": numbered((2, 2)), "a.bias": numbered((2,))}
    source = save_small_model(tmp_path / "s.onnx", {f"{ours}{name}": array for name, array in held.items()} | more)
    target = save_small_model(tmp_path / "t.onnx", {f"{theirs}{name}": array for name, array in held.items()})
    transplant(source, target, tmp_path / "out.onnx")
    assert caplog.messages == [
        f"{source}: nothing to copy into {target}: no parameter has the same name and shape in both "
        f"(names would match with --map '{rename}')"
    ]
    report = transplant(source, target, tmp_path / "out.onnx", renames=[Rename.parse(rename)])
    assert report.counts()["copied"] == len(held)


@pytest.mark.parametrize(("ends", "which"), [((None, "t.onnx"), "source"), (("s.npz", None), "target")])
def test_what_is_no_end_is_named(ends, which):
    with pytest.raises(TypeError) as caught:
        transplant(*ends, dry_run=True)
    assert str(caught.value) == f"{which} is a NoneType, not a path, an onnx.ModelProto or an onnx_ir.Model"


def test_the_json_report_holds_the_files_the_counts_and_the_five_lists(tmp_path):
    held = {"enc.weight": numbered((2, 2)), "enc.bias": numbered((2,)), "old.bias": numbered((1,))}
    wanted = {"down.weight": numbered((2, 2)), "down.bias": numbered((3,)), "new.bias": numbered((4,))}
    source, target = save_small_model(tmp_path / "s.onnx", held), save_small_model(tmp_path / "t.onnx", wanted)
    report = transplant(source, target, tmp_path / "out.onnx", renames=[Rename.parse("^enc=>down")])
    assert report.to_json() == {
        "source": str(source),
        "target": str(target),
        "out": str(tmp_path / "out.onnx"),
        "written": True,
        "counts": {"copied": 1, "adapted": 0, "unmatched_in_source": 1, "unmatched_in_target": 1, "shape_mismatch": 1},
        "copied": [
            {
                "name": "down.weight",
                "layer": "down",
                "source_name": "enc.weight",
                "source_shape": [2, 2],
                "target_shape": [2, 2],
                "confidence": 1.0,
                "paired_by": "name",
            }
        ],
        "adapted": [],
        "unmatched_in_source": [{"name": "old.bias", "source_name": "old.bias", "source_shape": [1]}],
        "unmatched_in_target": [{"name": "new.bias", "layer": "new", "target_shape": [4]}],
        "shape_mismatch": [
            {
                "name": "down.bias",
                "layer": "down",
                "source_name": "enc.bias",
                "source_shape": [2],
                "target_shape": [3],
                "confidence": 1.0,
                "paired_by": "name",
            }
        ],
        "uncertain": [],
        "excluded": [],
        "moments": [],
        "unused_renames": [],
    }


def test_a_report_that_cannot_be_written_says_why(files):
    source, target, out = files
    report = transplant(source, target, out)
    path = out.parent / "no" / "report.json"
    with pytest.raises(TransplantError) as caught:
        save_report(report, path)
    assert str(caught.value) == (
        f"{path}: the report cannot be written: No such file or directory\n"
        "  Give a file in a folder that exists and can be written."
    )


def test_the_package_is_not_in_the_way_of_the_function():
    program = (
        "import onnxgrid, onnxgrid.transplant.plan, onnxgrid.transplant.files\n"
        "assert onnxgrid.transplant.__name__ == 'transplant', onnxgrid.transplant"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
