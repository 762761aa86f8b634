"""Weights of ONNX files: what is a weight, lazily read; written back; and every way a file can be broken."""

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from converters.errors import WeightFileError
from converters.weights import read_weights
from converters.weights.onnx import embed_external_data, fill_initializers, open_onnx, write_initializers
from tests.small_models import initializers_of, numbered, save_small_model, small_model

ARRAYS = {
    "conv.weight": numbered((3, 2, 3, 5)),
    "conv.bias": numbered((3,), 100),
    "norm.weight": numbered((3,), 200),
    "norm.bias": numbered((3,), 300),
    "norm.running_mean": numbered((3,), 400),
    "norm.running_var": numbered((3,), 500),
}


def test_the_weights_are_parameters_and_statistics_in_the_order_of_the_file(tmp_path):
    weights = read_weights(save_small_model(tmp_path / "a.onnx", ARRAYS))
    assert list(weights) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert (weights[name].shape, weights[name].dtype) == (array.shape, array.dtype)
        np.testing.assert_array_equal(weights[name].read(), array)


def test_an_initializer_that_is_never_trained_is_no_weight(tmp_path):
    weights = read_weights(save_small_model(tmp_path / "a.onnx", ARRAYS, fixed=("norm.weight",)))
    assert list(weights) == [name for name in ARRAYS if name != "norm.weight"]


def external_model(path, arrays=ARRAYS):
    ir.save(small_model(arrays), path, external_data="weights.bin", size_threshold_bytes=0)
    return path


def test_external_data_is_read_only_when_asked_for(tmp_path):
    path = external_model(tmp_path / "a.onnx")
    (tmp_path / "weights.bin").rename(tmp_path / "away.bin")
    weights = read_weights(path)
    (tmp_path / "away.bin").rename(tmp_path / "weights.bin")
    np.testing.assert_array_equal(weights["conv.weight"].read(), ARRAYS["conv.weight"])


def test_external_data_is_found_from_any_working_folder(tmp_path, monkeypatch):
    external_model(tmp_path / "a.onnx")
    monkeypatch.chdir(tmp_path)
    weights = read_weights(type(tmp_path)("a.onnx"))
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(weights["conv.bias"].read(), ARRAYS["conv.bias"])


def test_a_model_with_embedded_data_needs_no_other_file(tmp_path):
    path = external_model(tmp_path / "a.onnx")
    model = open_onnx(path)
    embed_external_data(model, str(path))
    ir.save(model, tmp_path / "whole.onnx")
    (tmp_path / "weights.bin").unlink()
    assert initializers_of(tmp_path / "whole.onnx").keys() == {*ARRAYS, "flat/shape"}
    np.testing.assert_array_equal(read_weights(tmp_path / "whole.onnx")["norm.bias"].read(), ARRAYS["norm.bias"])


FLOATS = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32, "float64": np.float64}


@pytest.mark.parametrize("dtype", FLOATS.values(), ids=FLOATS)
def test_each_float_type_keeps_its_bits(dtype, tmp_path):
    array = np.array([1.5, -0.0, np.nan, np.inf], dtype=dtype)
    weight = read_weights(save_small_model(tmp_path / "a.onnx", {"a.bias": array}))["a.bias"]
    assert weight.dtype == array.dtype
    assert weight.read().tobytes() == array.tobytes()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(array=hnp.arrays(np.float32, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)))
def test_weights_survive_write_and_read(array, tmp_path):
    model = write_initializers(small_model({"a.bias": np.zeros_like(array)}), {"a.bias": array})
    ir.save(model, tmp_path / "a.onnx")
    read = read_weights(tmp_path / "a.onnx")["a.bias"].read()
    assert (read.shape, read.tobytes()) == (array.shape, array.tobytes())


def test_writing_changes_the_named_initializers_of_a_copy_and_nothing_else(tmp_path):
    model = small_model(ARRAYS, frozen=("conv",))
    before = ir.to_proto(model)
    after = ir.to_proto(write_initializers(model, {"conv.bias": numbered((3,), 7)}))
    assert ir.to_proto(model) == before
    changed = [
        new.name for old, new in zip(before.graph.initializer, after.graph.initializer, strict=True) if old != new
    ]
    assert changed == ["conv.bias"]
    for proto in (before, after):
        del proto.graph.initializer[:]
    assert after == before


def test_filling_reads_nothing_before_the_values_are_used():
    read = []

    def bias():
        read.append("conv.bias")
        return numbered((3,), 7)

    model = small_model(ARRAYS)
    written = write_initializers(model, {"conv.bias": numbered((3,), 7)})
    fill_initializers(model, {"conv.bias": bias})
    assert not read
    assert ir.to_proto(model) == ir.to_proto(written)
    assert read == ["conv.bias"]


def test_a_value_of_another_shape_or_type_is_not_written():
    for wrong in (numbered((4,)), numbered((3,), dtype=np.float64)):
        with pytest.raises(ValueError, match=r"conv\.bias: .* cannot replace FLOAT \[3\]"):
            write_initializers(small_model(ARRAYS), {"conv.bias": wrong})


def no_model(path):
    path.write_bytes(b'{"this": "is JSON"}')


def empty(path):
    path.write_bytes(b"")


def missing(path):
    pass


def folder(path):
    path.mkdir()


def without_graph(path):
    onnx.save(onnx.ModelProto(ir_version=9), path)


def duplicate_names(path):
    proto = ir.to_proto(small_model(ARRAYS))
    proto.graph.initializer.append(proto.graph.initializer[0])
    onnx.save(proto, path)


def sparse(path):
    proto = ir.to_proto(small_model(ARRAYS))
    proto.graph.sparse_initializer.add()
    onnx.save(proto, path)


def loose_end(path):
    proto = ir.to_proto(small_model(ARRAYS))
    proto.graph.node[1].input[0] = "lost"
    onnx.save(proto, path)


def training(path):
    proto = ir.to_proto(small_model(ARRAYS))
    proto.training_info.add()
    onnx.save(proto, path)


NOT_READ = {
    no_model: "{path}: is not an ONNX model, or only a part of one\n  Give a whole .onnx file.",
    empty: "{path}: the file is empty\n  Give a whole weight file.",
    missing: "{path}: cannot be read: No such file or directory\n  Give the path of a readable weight file.",
    folder: "{path}: cannot be read: Is a directory\n  Give the path of a readable weight file.",
    without_graph: "{path}: is not a whole ONNX model: it lacks a graph or an opset\n  Give a whole .onnx file.",
    duplicate_names: (
        "{path}, tensor 'conv.weight': two initializers have this name\n  Export the model anew, each name once."
    ),
    sparse: "{path}: has sparse initializers, which we cannot carry\n  Export the model with dense initializers.",
    loose_end: (
        "{path}: is an ONNX model whose node 'norm' reads 'lost', which nothing gives\n  Give a whole .onnx file."
    ),
    training: "{path}: has training information, which we cannot carry\n  Export the model for inference.",
}


@pytest.mark.parametrize(("break_it", "message"), NOT_READ.items(), ids=[case.__name__ for case in NOT_READ])
def test_a_file_that_is_refused_says_why(break_it, message, tmp_path):
    path = tmp_path / "a.onnx"
    break_it(path)
    with pytest.raises(WeightFileError) as caught:
        read_weights(path)
    assert str(caught.value) == message.format(path=path)


def cut_data(folder):
    data = (folder / "weights.bin").read_bytes()
    (folder / "weights.bin").write_bytes(data[:10])


def no_data(folder):
    (folder / "weights.bin").unlink()


def linked_data(folder):
    (folder / "weights.bin").rename(folder.parent / "outside.bin")
    (folder / "weights.bin").symlink_to(folder.parent / "outside.bin")


def edit_tensor(folder, edit):
    proto = onnx.load(folder / "a.onnx", load_external_data=False)
    edit(next(tensor for tensor in proto.graph.initializer if tensor.name == "conv.weight"))
    onnx.save(proto, folder / "a.onnx")


def wrong_length(folder):
    edit_tensor(
        folder, lambda tensor: next(e for e in tensor.external_data if e.key == "length").__setattr__("value", "8")
    )


def no_inline_data(folder):
    def edit(tensor):
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT

    edit_tensor(folder, edit)


def short_inline_data(folder):
    def edit(tensor):
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT
        tensor.raw_data = bytes(8)

    edit_tensor(folder, edit)


DATA_NOT_READ = {
    cut_data: "its external data file 'weights.bin' is 10 bytes long, the tensor ends at byte 360",
    no_data: "its external data file 'weights.bin' does not exist",
    wrong_length: "it is said to have 8 bytes of external data, its shape needs 360",
    no_inline_data: "it has the shape (3, 2, 3, 5) but no data",
    short_inline_data: "its data cannot be read (cannot reshape array of size 2 into shape (3,2,3,5))",
}


@pytest.mark.parametrize(("break_it", "problem"), DATA_NOT_READ.items(), ids=[case.__name__ for case in DATA_NOT_READ])
def test_data_that_is_not_all_there_is_never_taken_for_zeros(break_it, problem, tmp_path):
    path = external_model(tmp_path / "a.onnx")
    break_it(tmp_path)
    weight = read_weights(path)["conv.weight"]
    with pytest.raises(WeightFileError) as caught:
        weight.read()
    fix = "Give the whole model, with its external data files beside it."
    assert str(caught.value) == f"{path}, tensor 'conv.weight': {problem}\n  {fix}"


def test_external_data_outside_the_folder_is_not_read(tmp_path):
    (tmp_path / "model").mkdir()
    path = external_model(tmp_path / "model" / "a.onnx")
    linked_data(tmp_path / "model")
    with pytest.raises(WeightFileError, match="is not in the folder of the model"):
        read_weights(path)["conv.weight"].read()


def test_a_truncated_file_is_whole_weights_or_a_weight_file_error(tmp_path):
    whole = save_small_model(tmp_path / "whole.onnx", ARRAYS).read_bytes()
    cut = tmp_path / "cut.onnx"
    refused = 0
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        try:
            weights = read_weights(cut)
        except WeightFileError:
            refused += 1
            continue
        # Only the metadata of the model stands after the graph and the opset.
        assert {name: weight.read().tolist() for name, weight in weights.items()} == {
            n: a.tolist() for n, a in ARRAYS.items()
        }
    assert refused > len(whole) * 0.9


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.integers(0), byte=st.integers(0, 255))
def test_a_damaged_file_raises_a_weight_file_error_only(position, byte, tmp_path):
    model = save_small_model(tmp_path / "whole.onnx", ARRAYS, fixed=("norm.bias",))
    content = bytearray(model.read_bytes())
    content[position % len(content)] = byte
    (tmp_path / "damaged.onnx").write_bytes(content)
    try:
        for weight in read_weights(tmp_path / "damaged.onnx").values():
            weight.read()
    except WeightFileError:
        pass
