"""How two models or weight files differ."""

import json

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

import onnxgrid
from converters.errors import WeightFileError
from onnxgrid.cli.diff import command
from tests.graph_text import X, model
from tests.small_models import numbered, save_small_model, small_model

HELD = {"a.weight": numbered((2, 2), 1), "a.bias": numbered((2,), 5), "b.bias": numbered((3,), 9)}


def save(path, arrays):
    np.savez(path, **arrays)
    return path


def differences(found):
    return [(t.name, t.in_a, t.in_b, t.largest, t.relative) for layer in found.layers for t in layer.tensors]


CASES = {  # the fact -> array in A, in B, largest and relative difference; None if equal
    "values": (np.array([3.0, 4.0]), np.array([3.0, 4.5]), (0.5, 0.1)),
    "the sign": (np.array([3.0, 4.0]), np.array([-3.0, 4.0]), (6.0, 1.2)),
    "zero": (np.zeros(2), np.ones(2), (1.0, np.inf)),
    "zeros of either sign": (np.array([0.0]), np.array([-0.0]), None),
    "no numbers at the same places": (np.array([np.nan, np.inf]), np.array([np.nan, np.inf]), None),
    "a number in one alone": (np.array([np.nan, 1.0]), np.array([0.0, 1.0]), (np.inf, np.inf)),
    "infinities of either sign": (np.array([np.inf]), np.array([-np.inf]), (np.inf, np.inf)),
    "integers that float64 does not tell apart": (np.array([2**62]), np.array([2**62 + 1]), (1.0, 2.0**-62)),
    "another type": (np.array([1.5], np.float32), np.array([1.5], np.float16), (0.0, 0.0)),
    "bfloat16": (np.array([3, 4], ml_dtypes.bfloat16), np.array([3, 4.5], ml_dtypes.bfloat16), (0.5, 0.1)),
    "another shape": (np.zeros((2, 3)), np.zeros((3, 2)), (None, None)),
    "nothing": (np.zeros((0, 3)), np.zeros((0, 3)), None),
}


@pytest.mark.parametrize(("a", "b", "expected"), CASES.values(), ids=CASES)
def test_arrays_differ_by(a, b, expected, tmp_path):
    found = onnxgrid.diff(save(tmp_path / "a.npz", {"x.w": a}), save(tmp_path / "b.npz", {"x.w": b}))
    types = ["bfloat16" if array.dtype == ml_dtypes.bfloat16 else str(array.dtype) for array in (a, b)]
    described = [f"{dtype} {array.shape}" for dtype, array in zip(types, (a, b), strict=True)]
    assert differences(found) == ([] if expected is None else [("x.w", *described, *map(pytest.approx, expected))])
    assert found.equal == (expected is None)


floats = st_numpy.arrays(
    np.float32, st.tuples(st.integers(0, 3)), elements=st.sampled_from([0.0, 1.0, -2.0, np.nan, np.inf])
)


@given(a=floats, b=floats)
def test_files_are_equal_as_numpy_says(a, b, tmp_path_factory):
    folder = tmp_path_factory.mktemp("diff")
    found = onnxgrid.diff(save(folder / "a.npz", {"x": a}), save(folder / "b.npz", {"x": b}))
    assert found.equal == np.array_equal(a, b, equal_nan=True)


def test_layers_stand_by_their_largest_difference(tmp_path):
    changed = HELD | {
        "a.bias": HELD["a.bias"] + [1, 0],
        "a.weight": HELD["a.weight"] * 1.5,
        "b.bias": HELD["b.bias"] + 3,
    }
    found = onnxgrid.diff(save(tmp_path / "a.npz", HELD), save(tmp_path / "b.npz", changed))
    assert [layer.name for layer in found.layers] == ["b", "a"]
    assert [tensor.name for tensor in found.layers[1].tensors] == ["a.weight", "a.bias"]
    assert found.compared == 3


def test_what_one_file_lacks_stands_first(tmp_path):
    b = {"c.bias": numbered((1,)), **{name: array for name, array in HELD.items() if name != "b.bias"}}
    found = onnxgrid.diff(save(tmp_path / "a.npz", HELD), save(tmp_path / "b.npz", b))
    assert differences(found) == [
        ("b.bias", "float32 (3,)", None, None, None),
        ("c.bias", None, "float32 (1,)", None, None),
    ]


def test_small_differences_can_count_as_equal(tmp_path):
    a, b = save(tmp_path / "a.npz", {"x": np.array([3.0, 4.0])}), save(tmp_path / "b.npz", {"x": np.array([3.0, 4.5])})
    assert onnxgrid.diff(a, b, tolerance=0.1).equal
    assert not onnxgrid.diff(a, b, tolerance=0.099).equal
    c = save(tmp_path / "c.npz", {"x": np.array([3.0, np.inf])})
    assert not onnxgrid.diff(a, c, tolerance=1e9).equal


def test_a_model_and_a_weight_file_are_compared_by_weights_alone(tmp_path):
    found = onnxgrid.diff(save_small_model(tmp_path / "a.onnx", HELD), save(tmp_path / "b.npz", HELD))
    assert (found.equal, found.graphs, found.compared) == (True, False, 3)


STRUCTURES = {  # the fact -> graphs, lines of the whole, lines of layers
    "attributes": (
        model(X, "y = Conv<pads=[1,1,1,1]>(x, w)", w=(2, 2, 3, 3)),
        model(X, "y = Conv<pads=[0,0,0,0], group=1>(x, w)", w=(2, 2, 3, 3)),
        [],
        {"Conv_0": ["Conv pads: (1, 1, 1, 1) in A, (0, 0, 0, 0) in B", "Conv group: absent in A, 1 in B"]},
    ),
    "operators": (
        model(X, "y = Relu(x)"),
        model(X, "y = Sigmoid(x)"),
        [],
        {"Relu_0": ["only in A"], "Sigmoid_0": ["only in B"]},
    ),
    "connections": (
        model(X, "a = Relu(x) y = Add(a, x)"),
        model(X, "a = Relu(x) y = Add(a, a)"),
        [],
        {"Add_1": ["Add reads: a, x in A, a, a in B"]},
    ),
    "inputs": (
        model(X, "y = Relu(x)"),
        model("float[N,2,9,8] x", "y = Relu(x)"),
        ["input x: float32 (N, 2, 8, 8) in A, float32 (N, 2, 9, 8) in B"],
        {},
    ),
    "nothing": (model(X, "y = Relu(x)"), model(X, "y = Relu(x)"), [], {}),
}


@pytest.mark.parametrize(("a", "b", "whole", "layers"), STRUCTURES.values(), ids=STRUCTURES)
def test_structures_differ_by(a, b, whole, layers):
    found = onnxgrid.diff(a, b)
    assert found.graphs
    assert list(found.structure) == whole
    assert {layer.name: list(layer.structure) for layer in found.layers} == layers


def test_layers_are_those_of_the_metadata():
    a, b = small_model(HELD), small_model(HELD)
    b.graph.node("a").attributes.add(ir.AttrInt64("transB", 1))
    b.ir_version = 10
    found = onnxgrid.diff(a, b)
    assert found.structure == ("IR version: 9 in A, 10 in B",)
    assert [(layer.name, layer.structure) for layer in found.layers] == [("a", ("Gemm transB: absent in A, 1 in B",))]


def test_constants_of_models_are_compared_too_in_files_and_in_memory(tmp_path):
    a, b = small_model(HELD), small_model(HELD)
    b.graph.initializers["flat/shape"].const_value = ir.tensor(np.array([0, -2]), name="flat/shape")
    ir.save(a, tmp_path / "a.onnx")
    ir.save(b, tmp_path / "b.onnx")
    for found in (onnxgrid.diff(a, ir.to_proto(b)), onnxgrid.diff(tmp_path / "a.onnx", tmp_path / "b.onnx")):
        assert differences(found) == [("flat/shape", "int64 (2,)", "int64 (2,)", 1.0, 1.0)]


def test_a_checkpoint_is_equal_to_the_model_beside_it_though_that_has_constants(tmp_path):
    ir.save(small_model(HELD), tmp_path / "model_checkpoint_1.onnx")
    tensors = {name: torch.from_numpy(array) for name, array in HELD.items()}
    torch.save({"format": "onnxgrid-checkpoint", "version": 1, "model": tensors}, tmp_path / "model_checkpoint_1.pt")
    ends = tmp_path / "model_checkpoint_1.onnx", tmp_path / "model_checkpoint_1.pt"
    for a, b in (ends, ends[::-1]):
        found = onnxgrid.diff(a, b)
        assert (found.equal, found.graphs, found.compared) == (True, False, 3)


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_the_command_ends_with_0_for_equal_files(tmp_path):
    path = save_small_model(tmp_path / "a.onnx", HELD)
    result = run(path, path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{path} and {path}: structure and weights are equal (4 tensors)\n"


def test_the_command_ends_with_1_for_different_files_and_shows_how(tmp_path):
    a = save_small_model(tmp_path / "a.onnx", HELD)
    b = save_small_model(tmp_path / "b.onnx", HELD | {"a.bias": HELD["a.bias"] + 1, "c.bias": numbered((1,))})
    result = run(a, b)
    assert result.exit_code == 1
    lines = [line.split() for line in result.stdout.splitlines() if line.strip()]
    assert "layer c: only in B" in result.stdout
    assert ["c", "c.bias", "absent", "float32", "(1,)"] in lines
    assert ["a", "a.bias", "1", "0.181", "float32", "(2,)", "float32", "(2,)"] in lines
    assert result.stdout.splitlines()[-1] == (
        f"{a} and {b}: 2 tensors and 2 points of structure differ; 4 tensors were compared"
    )


def test_the_json_is_json_even_where_values_are_not_finite(tmp_path):
    a, b = save(tmp_path / "a.npz", {"x.w": np.array([np.nan])}), save(tmp_path / "b.npz", {"x.w": np.array([0.0])})
    result = run(a, b, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout, parse_constant=pytest.fail) == {
        "a": str(a),
        "b": str(b),
        "equal": False,
        "graphs_compared": False,
        "tensors_compared": 1,
        "structure": [],
        "layers": [
            {
                "name": "x",
                "structure": [],
                "tensors": [
                    {"name": "x.w", "in_a": "float64 (1,)", "in_b": "float64 (1,)", "largest": "inf", "relative": "inf"}
                ],
            }
        ],
    }


@pytest.mark.parametrize("name", ["-", "nope.npz", "empty.npz"])
def test_files_that_cannot_be_read_are_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.npz").touch()
    path = save(tmp_path / "a.npz", HELD)
    for arguments in ((path, name), (name, path)):
        assert isinstance(run(*arguments).exception, WeightFileError)
