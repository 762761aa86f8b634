"""Roles of initializers, in graphs of ours and of others."""

import json
from pathlib import Path

import onnx_ir as ir

import converters
from converters.roles import InitializerRole, Role, initializer_roles

FOREIGN = """
<ir_version: 9, opset_import: ["" : 17]>
net (float[N,3,8,8] x) => (float[N,3,16,16] y)
<float[3,3,1,1] "block.conv.weight" = {1,0,0,0,1,0,0,0,1}, float[3] s = {1,1,1}, float[3] b = {0,0,0},
 float[3] "bn.mean" = {0,0,0}, float[3] "bn.var" = {1,1,1}, float[4] scales = {1,1,2,2}, float zero = {0},
 float six = {6},float ratio = {0.5}, int64[4] shape = {0,3,16,16}, float[3] unused = {1,2,3}>
{
  c = Conv (x, "block.conv.weight")
  n = BatchNormalization (c, s, b, "bn.mean", "bn.var")
  r = Resize (n, , scales)
  k = Clip (r, zero, six)
  d = Dropout (k, ratio)
  y = Reshape (d, shape)
}
"""


def test_a_foreign_graph_is_sorted_by_how_it_uses_its_initializers() -> None:
    roles = initializer_roles(ir.from_onnx_text(FOREIGN))
    assert {name: (role.kind, role.layer) for name, role in roles.items()} == {
        "block.conv.weight": (Role.PARAMETER, "block.conv"),
        "s": (Role.PARAMETER, "s"),
        "b": (Role.PARAMETER, "b"),
        "bn.mean": (Role.STATISTIC, "bn"),
        "bn.var": (Role.STATISTIC, "bn"),
        "scales": (Role.CONSTANT, "scales"),
        "zero": (Role.CONSTANT, "zero"),
        "six": (Role.CONSTANT, "six"),
        "ratio": (Role.CONSTANT, "ratio"),
        "shape": (Role.CONSTANT, "shape"),
        "unused": (Role.PARAMETER, "unused"),
    }
    assert all(role.trainable == (role.kind is not Role.CONSTANT) for role in roles.values())


def test_a_graph_of_ours_says_what_is_fixed_and_frozen(tmp_path: Path) -> None:
    layers = [
        {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 6, 2]}},
        {"class_name": "BatchNormalization", "config": {"name": "norm", "center": False}},
        {"class_name": "ReLU", "config": {"name": "relu", "threshold": 0.5, "negative_slope": 0.1, "max_value": 4}},
        {"class_name": "Dense", "config": {"name": "a.b", "units": 3, "trainable": False}},
        {"class_name": "BatchNormalization", "config": {"name": "cold", "trainable": False}},
    ]
    (tmp_path / "net.json").write_text(json.dumps(layers))
    roles = initializer_roles(converters.convert(tmp_path / "net.json"))

    def of(kind: Role, trainable: bool) -> list[str]:
        return [name for name, role in roles.items() if (role.kind, role.trainable) == (kind, trainable)]

    assert of(Role.PARAMETER, True) == ["norm.weight"]
    assert of(Role.PARAMETER, False) == ["a.b.weight", "a.b.bias", "cold.weight", "cold.bias"]
    assert of(Role.STATISTIC, True) == ["norm.running_mean", "norm.running_var"]
    assert of(Role.STATISTIC, False) == ["cold.running_mean", "cold.running_var"]
    assert roles["norm.bias"] == InitializerRole(Role.CONSTANT, "norm", trainable=False)
    assert {role.layer for name, role in roles.items() if name.startswith("relu/")} == {"relu"}
    assert {role.kind for name, role in roles.items() if name.startswith("relu/")} == {Role.CONSTANT}
    assert roles["a.b.weight"].layer == "a.b"


def test_roles_survive_a_file(tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text(
        json.dumps(
            [
                {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 6, 2]}},
                {"class_name": "BatchNormalization", "config": {"name": "norm", "scale": False, "trainable": False}},
            ]
        )
    )
    model = converters.convert(tmp_path / "net.json")
    converters.save_model(model, tmp_path / "net.onnx")
    assert initializer_roles(ir.load(tmp_path / "net.onnx")) == initializer_roles(model)
