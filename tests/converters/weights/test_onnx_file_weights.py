"""Models written with other values, their data where it lay: inline, or in files beside them."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from converters.errors import WeightFileError
from converters.weights import Weight, Writing, read_weights, rewrite_weights, write_weights
from converters.weights.onnx_skeleton import LARGE_BYTES, read_skeleton
from tests.small_models import initializers_of, numbered, save_small_model, small_model

LARGE = numbered((LARGE_BYTES // 64, 32), 7)
ARRAYS = {"big.weight": LARGE, "big.bias": numbered((3,), 100), "other.weight": numbered((5, 4), 300)}


def in_memory(name: str, array: np.ndarray) -> Weight:
    return Weight(name, array.shape, array.dtype, lambda: array, "memory")


def rewritten(like: Path, out: Path, **changed: np.ndarray) -> None:
    weights = {name.replace("_", "."): in_memory(name.replace("_", "."), array) for name, array in changed.items()}
    rewrite_weights(out, like, read_weights(like), weights)


def external_model(folder: Path, data: str = "weights.bin") -> Path:
    folder.mkdir(exist_ok=True)
    ir.save(small_model(ARRAYS), folder / "a.onnx", external_data=data, size_threshold_bytes=0)
    return folder / "a.onnx"


def same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> bool:
    return {n: a.tobytes() for n, a in left.items()} == {n: a.tobytes() for n, a in right.items()}


def test_values_of_large_initializers_are_left_in_the_file_and_small_ones_are_not(tmp_path):
    path = save_small_model(tmp_path / "a.onnx", ARRAYS)
    skeleton = read_skeleton(path)
    assert list(skeleton.values) == ["big.weight"]
    lies = skeleton.values["big.weight"]
    assert path.read_bytes()[lies.start : lies.start + lies.length] == LARGE.tobytes()
    whole = onnx.load(path)
    for tensor in whole.graph.initializer:
        if tensor.name == "big.weight":
            tensor.ClearField("raw_data")
    assert skeleton.proto == whole


def test_weights_are_what_was_in_the_file_when_it_was_opened(tmp_path):
    path = save_small_model(tmp_path / "a.onnx", ARRAYS)
    weights = read_weights(path)
    save_small_model(tmp_path / "b.onnx", {"big.weight": LARGE * 2}).replace(path)
    np.testing.assert_array_equal(weights["big.weight"].read(), LARGE)


@pytest.mark.parametrize("kind", ["inline", "external"])
def test_only_what_changed_is_changed(kind, tmp_path):
    like = save_small_model(tmp_path / "a.onnx", ARRAYS) if kind == "inline" else external_model(tmp_path / "a")
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "b.onnx"
    rewritten(like, out, big_weight=LARGE + 1, other_weight=numbered((5, 4), 9))
    expected = initializers_of(like) | {"big.weight": LARGE + 1, "other.weight": numbered((5, 4), 9)}
    assert same(initializers_of(out), expected)
    files = ["b.onnx"] if kind == "inline" else ["b.onnx", "b.onnx.data"]
    assert sorted(path.name for path in out.parent.iterdir()) == files
    before, after = (onnx.load(path, load_external_data=False) for path in (like, out))
    for proto in (before, after):
        for tensor in proto.graph.initializer:
            tensor.ClearField("raw_data")
            tensor.ClearField("external_data")
    assert before == after


def test_tensors_in_several_files_attributes_and_subgraphs_come_along(tmp_path):
    proto = ir.to_proto(small_model(ARRAYS))
    values = {"first": numbered((2, 3)), "second": numbered((4,), 50)}
    for name, array in values.items():
        (tmp_path / name).write_bytes(b"skipped" + array.tobytes())
    for tensor in proto.graph.initializer:
        if tensor.name == "other.weight":
            (tmp_path / "third").write_bytes(tensor.raw_data)
            external(tensor, "third", 0)
    constant = proto.graph.node.add(op_type="Constant", output=["unused"])
    constant.attribute.add(name="value", type=onnx.AttributeProto.TENSOR, t=external_tensor("first", values["first"]))
    branch = onnx.GraphProto(name="branch")
    branch.initializer.append(external_tensor("second", values["second"]))
    proto.graph.node.add(op_type="If", input=["flat"], output=["never"]).attribute.add(
        name="then_branch", type=onnx.AttributeProto.GRAPH, g=branch
    )
    onnx.save(proto, tmp_path / "a.onnx")
    (tmp_path / "out").mkdir()
    rewritten(tmp_path / "a.onnx", tmp_path / "out" / "b.onnx", big_bias=numbered((3,), 1))
    found = onnx.load(tmp_path / "out" / "b.onnx", load_external_data=False)
    data = (tmp_path / "out" / "b.onnx.data").read_bytes()
    nodes = {node.op_type: node for node in found.graph.node}
    tensors = {
        "first": nodes["Constant"].attribute[0].t,
        "second": nodes["If"].attribute[0].g.initializer[0],
        "third": next(t for t in found.graph.initializer if t.name == "other.weight"),
    }
    for name, array in (values | {"third": ARRAYS["other.weight"]}).items():
        said = {entry.key: entry.value for entry in tensors[name].external_data}
        assert said["location"] == "b.onnx.data"
        assert data[int(said["offset"]) : int(said["offset"]) + int(said["length"])] == array.tobytes()


def external(tensor: onnx.TensorProto, location: str, offset: int) -> onnx.TensorProto:
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="offset", value=str(offset))
    return tensor


def external_tensor(name: str, array: np.ndarray) -> onnx.TensorProto:
    return external(onnx.numpy_helper.from_array(array, name), name, len(b"skipped"))


def test_a_model_that_is_replaced_gets_new_data_and_loses_its_old(tmp_path):
    path = external_model(tmp_path / "a", "a.onnx.data")
    for number, data in enumerate(["a.onnx-2.data", "a.onnx.data"]):
        rewritten(path, path, big_bias=numbered((3,), number))
        assert sorted(file.name for file in path.parent.iterdir()) == sorted(["a.onnx", data])
        assert same(
            initializers_of(path), initializers_of(path) | {"big.bias": numbered((3,), number)} | {"big.weight": LARGE}
        )


def test_data_under_another_name_is_left_where_it_is(tmp_path):
    path = external_model(tmp_path / "a")
    rewritten(path, path, big_bias=numbered((3,), 1))
    assert sorted(file.name for file in path.parent.iterdir()) == ["a.onnx", "a.onnx.data", "weights.bin"]


def test_a_link_into_another_folder_gets_no_data_beside_it(tmp_path):
    like = external_model(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.onnx").touch()
    (tmp_path / "link.onnx").symlink_to(tmp_path / "b" / "c.onnx")
    with pytest.raises(WeightFileError) as caught:
        rewritten(like, tmp_path / "link.onnx", big_bias=numbered((3,), 1))
    assert str(caught.value) == (
        f"{tmp_path}/link.onnx: is a link to {tmp_path}/b/c.onnx, and other files would have to lie beside both\n"
        "  Give the file that the link stands for."
    )


def test_a_model_keeps_its_types(tmp_path):
    path = save_small_model(tmp_path / "a.onnx", ARRAYS)
    with pytest.raises(WeightFileError) as caught:
        rewrite_weights(tmp_path / "b.onnx", path, read_weights(path), {}, Writing(dtype=np.float16))
    assert str(caught.value) == (
        f"{path}, tensor 'big.weight': is float32 in the graph, which float16 values do not fit\n"
        "  Leave the types of a model as they are."
    )
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"]


def test_the_removal_of_old_data_is_said(tmp_path, caplog):
    path = external_model(tmp_path / "a", "a.onnx.data")
    rewritten(path, path, big_bias=numbered((3,), 1))
    assert caplog.messages == [f"removed what belonged to the file that a.onnx replaced: {tmp_path / 'a/a.onnx.data'}"]


@pytest.mark.parametrize("name", ["backup.onnx", "a.onnx.bak"])
def test_old_data_that_a_copy_of_the_model_needs_are_kept(name, tmp_path, caplog):
    path = external_model(tmp_path / "a", "a.onnx.data")
    before = initializers_of(path)
    shutil.copy(path, path.with_name(name))
    rewritten(path, path, big_bias=numbered((3,), 1))
    assert {file.name for file in path.parent.iterdir()} == {"a.onnx", "a.onnx-2.data", "a.onnx.data", name}
    assert same(initializers_of(path.with_name(name)), before)
    assert caplog.messages == [f"{path}.data is kept, as {path.with_name(name)} needs it"]


def test_old_files_of_an_index_that_a_copy_of_it_needs_are_kept(tmp_path, caplog):
    index = tmp_path / "m.safetensors.index.json"
    weights = read_weights(external_model(tmp_path / "a"))
    write_weights(index, weights)
    shutil.copy(index, tmp_path / "old.safetensors.index.json")
    write_weights(index, weights)
    assert caplog.messages == [
        f"{tmp_path / 'm-00001-of-00001.safetensors'} is kept, as {tmp_path / 'old.safetensors.index.json'} needs it"
    ]
    assert list(read_weights(tmp_path / "old.safetensors.index.json")) == list(read_weights(index))
