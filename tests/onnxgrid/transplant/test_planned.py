"""Plans that are looked at and changed before they are carried out, and models in memory."""

import json

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import onnxgrid
from converters.weights import read_weights
from onnxgrid.errors import TransplantError, UserError
from onnxgrid.transplant.rules import TransplantRules
from tests.graph_text import model
from tests.small_models import initializers_of, numbered, save_small_model, small_model

COARSE = {
    "conv.weight": numbered((3, 2, 3, 3), 1),
    "conv.bias": numbered((3,), 100),
    "head.bias": numbered((3,), 200),
    "old.bias": numbered((4,), 300),
}
FINE = {
    "conv.weight": numbered((3, 2, 5, 5), 5000),
    "conv.bias": numbered((3,), 6000),
    "head.bias": numbered((3,), 7000),
    "new.bias": numbered((4,), 8000),
}


@pytest.fixture
def files(tmp_path):
    return (
        save_small_model(tmp_path / "coarse.onnx", COARSE),
        save_small_model(tmp_path / "fine.onnx", FINE),
        tmp_path / "out.onnx",
    )


def test_a_plan_can_be_changed_and_then_carried_out(files):
    source, target, out = files
    plan = onnxgrid.plan_transplant(source, target, TransplantRules.parse(adapt=["center"]))
    assert plan.lines() == [
        "   Skipping layer new: not found in model",
        "   Skipping parameter new.bias: not found in model",
        "   Unused layer old: not found in network",
    ]
    changed = plan.without("head").paired("new.bias", "old.bias")
    assert changed.lines() == []
    assert plan.lines() != []  # the plan itself stays
    report = changed.apply(out, strict=True)
    filled = initializers_of(out)
    np.testing.assert_array_equal(filled["new.bias"], COARSE["old.bias"])
    np.testing.assert_array_equal(filled["head.bias"], FINE["head.bias"])
    np.testing.assert_array_equal(filled["conv.weight"][:, :, 1:4, 1:4], COARSE["conv.weight"])
    assert report.summary() == (
        f"{out}: 2 copied, 1 adapted, 0 unmatched in source, 0 unmatched in target, 0 shape mismatch, 1 excluded"
    )


def test_paired_by_hand_goes_before_names(files):
    source, target, out = files
    onnxgrid.plan_transplant(source, target).paired("head.bias", "conv.bias").apply(out)
    np.testing.assert_array_equal(initializers_of(out)["head.bias"], COARSE["conv.bias"])
    np.testing.assert_array_equal(initializers_of(out)["conv.bias"], COARSE["conv.bias"])


@pytest.mark.parametrize(
    ("pair", "missing", "place"), [(("nope", "old.bias"), "nope", 1), (("new.bias", "no"), "no", 0)]
)
def test_pairing_what_is_not_there_is_refused(files, pair, missing, place):
    with pytest.raises(TransplantError) as caught:
        onnxgrid.plan_transplant(*files[:2]).paired(*pair)
    assert str(caught.value) == (
        f"{files[place]}: there is no '{missing}'\n  Give a name as `onnxgrid inspect` shows it."
    )


def test_planning_reads_no_values(files):
    # The data of an external tensor can go once the model is opened: planning is over before it is missed.
    source, _, out = files
    target = out.parent / "external.onnx"
    ir.save(small_model(FINE), target, external_data="fine.bin", size_threshold_bytes=0)
    (out.parent / "fine.bin").write_bytes(b"")
    assert len(onnxgrid.plan_transplant(source, target).plan.copied) == 2


def test_models_in_memory_need_no_files():
    source, target = small_model(COARSE), small_model(FINE)
    report = onnxgrid.transplant(source, target)
    assert report.summary() == (
        "model in memory: 2 copied, 0 adapted, 1 unmatched in source, 1 unmatched in target, 1 shape mismatch"
    )
    assert (report.source, report.target, report.out) == ("the source in memory", "the target in memory", None)
    filled = report.model.graph.initializers
    np.testing.assert_array_equal(filled["conv.bias"].const_value.numpy(), COARSE["conv.bias"])
    np.testing.assert_array_equal(target.graph.initializers["conv.bias"].const_value.numpy(), FINE["conv.bias"])
    assert onnxgrid.transplant(source, target, dry_run=True).model is None


def test_a_model_of_onnx_gives_one_of_onnx(files):
    source, target, out = files
    proto = onnx.load(target)
    before = proto.SerializeToString()
    report = onnxgrid.transplant(onnx.load(source), proto)
    assert proto.SerializeToString() == before
    onnxgrid.transplant(source, target, out)
    assert ir.from_proto(report.model).graph.initializers["conv.bias"].const_value.numpy().tolist() == [100, 101, 102]
    assert {t.name: onnx.numpy_helper.to_array(t).tolist() for t in report.model.graph.initializer} == {
        t.name: onnx.numpy_helper.to_array(t).tolist() for t in onnx.load(out).graph.initializer
    }


def test_a_model_in_memory_can_be_written_too(files):
    source, target, out = files
    report = onnxgrid.transplant(source, ir.load(target), out)
    assert report.written
    np.testing.assert_array_equal(initializers_of(out)["conv.bias"], COARSE["conv.bias"])


def test_a_model_of_onnx_without_its_external_data_is_refused(files):
    source, _target, out = files
    ir.save(small_model(FINE), out, external_data="fine.bin", size_threshold_bytes=0)
    with pytest.raises(TransplantError) as caught:
        onnxgrid.transplant(source, onnx.load(out, load_external_data=False))
    assert str(caught.value) == (
        "the target in memory: has initializers in external files, and does not say in which folder\n"
        "  Load it with its external data, or give the path of the model."
    )


def test_what_only_files_have_is_refused_of_models_in_memory(files):
    with pytest.raises(TransplantError) as caught:
        onnxgrid.transplant(files[0], small_model(FINE), dtype="float16")
    assert str(caught.value) == (
        "the target in memory: a model in memory keeps its types, and is no file\n"
        "  Leave dtype and max_shard_bytes out."
    )


@pytest.mark.parametrize("dtype", ["float33", "int32", object])
def test_another_type_is_refused(files, dtype):
    source, _, out = files
    with pytest.raises(TransplantError) as caught:
        onnxgrid.transplant(source, source, out.with_suffix(".npz"), dtype=dtype)
    assert str(caught.value) == (
        f"dtype {dtype!r}: is not a type that weights are cast to\n  Use one of: bfloat16, float16, float32, float64."
    )
    assert not out.with_suffix(".npz").exists()


def test_a_weight_file_is_matched_by_structure_through_the_graph_that_is_given_for_it(files, tmp_path):
    source, _, out = files
    renamed = save_small_model(tmp_path / "t.onnx", {name.replace("o", "0"): a * 0 for name, a in COARSE.items()})
    onnxgrid.transplant(source, source, tmp_path / "w.npz")
    rules = TransplantRules.parse(match="structure")
    report = onnxgrid.transplant(tmp_path / "w.npz", renamed, out, rules, source_graph=source, strict=True)
    assert len(report.plan.copied) == len(COARSE)
    np.testing.assert_array_equal(initializers_of(out)["0ld.bias"], COARSE["old.bias"])


def test_structure_without_a_graph_is_refused(files, tmp_path):
    source, target, out = files
    onnxgrid.transplant(source, source, tmp_path / "w.npz")
    with pytest.raises(TransplantError) as caught:
        onnxgrid.transplant(tmp_path / "w.npz", target, out, TransplantRules.parse(match="structure"))
    assert str(caught.value) == (
        f"{tmp_path / 'w.npz'}: is a weight file, and layers are matched by their places in a graph, which the source "
        "lacks\n  Give the model that its weights are of (--source-graph MODEL.onnx)."
    )


def test_a_graph_for_a_model_is_refused(files):
    source, target, out = files
    with pytest.raises(TransplantError) as caught:
        onnxgrid.transplant(source, target, out, source_graph=target)
    assert str(caught.value) == (
        f"the source {source}: is a model, which tells of itself\n  Leave the graph of the source out."
    )


def dense(size):
    return {"dense.weight": numbered((2, size), 1), "dense.bias": numbered((2,))}


def test_sizes_stand_for_a_graph(tmp_path):
    for name, size in (("coarse", 12), ("fine", 48)):
        np.savez(tmp_path / f"{name}.npz", **dense(size))
    rules = TransplantRules.parse(adapt=["dense-resample"], source_sizes=["dense=2,2,3"], target_sizes=["dense=4,4,3"])
    onnxgrid.transplant(tmp_path / "coarse.npz", tmp_path / "fine.npz", tmp_path / "out.npz", rules, strict=True)
    grown = np.load(tmp_path / "out.npz")["dense.weight"].reshape(2, 2, 2, 2, 2, 3)
    np.testing.assert_array_equal(grown.sum(axis=(2, 4)).reshape(2, 12), dense(12)["dense.weight"])


def flattened(size):
    shape = {"dense_weight": (2, 3 * size * size)}
    return model(f"float[N,3,{size},{size}] x", "f = Flatten(x) y = Gemm<transB=1>(f, dense_weight)", **shape)


def test_the_model_beside_a_checkpoint_tells_of_it(tmp_path, caplog):
    torch = pytest.importorskip("torch", reason="writes a .pt file")
    checkpoint, target = tmp_path / "model_checkpoint_12.pt", flattened(4)
    torch.save({"dense_weight": torch.arange(24.0).reshape(2, 12)}, checkpoint)
    rules = TransplantRules.parse(adapt=["dense-resample"])
    assert len(onnxgrid.plan_transplant(checkpoint, target, rules).plan.shape_mismatch) == 1
    ir.save(flattened(2), tmp_path / "model_checkpoint_12.onnx")
    (adapted,) = onnxgrid.plan_transplant(checkpoint, target, rules).plan.adapted
    assert adapted.adaptation.detail == "dense-resample: input (3, 2, 2) -> (3, 4, 4)"
    model = tmp_path / "model_checkpoint_12.onnx"
    model.write_bytes(b"no model")
    caplog.clear()
    assert len(onnxgrid.plan_transplant(checkpoint, target, rules).plan.shape_mismatch) == 1
    assert caplog.messages[0] == (
        f"the model beside {checkpoint} tells nothing of its weights: {model}: "
        "is not an ONNX model, or only a part of one"
    )


WRONG_SIZES = {
    "dense=2,2,4": (
        "the sizes (2, 2, 4) of 'dense' make 16 inputs, and 'dense.weight' has 12\n"
        "  Give the sizes of what goes into the Flatten before it."
    ),
    "sparse=2,2,3": (
        "sizes are given of 'sparse', and it holds no weight with two axes of that layer\n"
        "  Give the name of a Dense, as `onnxgrid inspect` shows it."
    ),
}


@pytest.mark.parametrize(("sizes", "message"), WRONG_SIZES.items(), ids=WRONG_SIZES)
def test_sizes_that_do_not_fit_are_refused(tmp_path, sizes, message):
    path = tmp_path / "w.npz"
    np.savez(path, **dense(12))
    with pytest.raises(TransplantError) as caught:
        onnxgrid.plan_transplant(path, path, TransplantRules.parse(source_sizes=[sizes]))
    assert str(caught.value) == f"{path}: {message}"


def test_dense_resample_says_what_it_would_have_to_know(tmp_path, caplog):
    for name, size in (("coarse", 12), ("fine", 48)):
        np.savez(tmp_path / f"{name}.npz", **dense(size))
    ends = tmp_path / "coarse.npz", tmp_path / "fine.npz"
    rules = {"adapt": ["dense-resample"]}
    onnxgrid.plan_transplant(*ends, TransplantRules.parse(**rules, target_sizes=["dense=4,4,3"]))
    onnxgrid.plan_transplant(*ends, TransplantRules.parse(**rules, source_sizes=["dense=2,2,3"]))
    assert caplog.messages == [
        f"{end}: dense-resample needs to know what the input of 'dense.weight' was before the Flatten: "
        f"give --{which}-graph MODEL.onnx, or --{which}-sizes dense=H,W,C"
        for end, which in zip(ends, ("source", "target"), strict=True)
    ]


def test_galerkin_says_which_kernels_it_leaves(tmp_path, caplog):
    held = {"a.weight": numbered((2, 2, 3, 3)), "b.weight": numbered((2, 2, 7, 7)), "c.weight": numbered((2, 2, 1, 1))}
    path = save_small_model(tmp_path / "m.onnx", held)
    planned = onnxgrid.plan_transplant(path, path, TransplantRules.parse(adapt=["galerkin"]))
    assert [match.target.name for match in planned.plan.adapted] == ["a.weight"]
    assert caplog.messages == [
        f"{path}: galerkin cannot rescale these kernels, which are copied as they are: b.weight (7, 7)"
    ]


@pytest.mark.parametrize("suffix", [".safetensors", ".safetensors.index.json", ".npz", ".pt", ".onnx"])
def test_a_model_in_memory_is_written_as_the_name_of_the_file_says(suffix, tmp_path):
    source, target = (ir.to_proto(small_model(arrays)) for arrays in (COARSE, FINE))
    out = tmp_path / f"out{suffix}"
    onnxgrid.transplant(source, target, out)
    written = {name: weight.read() for name, weight in read_weights(out).items()}
    assert sorted(written) == sorted(FINE)
    for name, values in (FINE | {name: COARSE[name] for name in ("conv.bias", "head.bias")}).items():
        np.testing.assert_array_equal(written[name], values)


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5", ".keras"])
def test_a_converted_model_in_memory_is_written_for_keras(suffix, tmp_path):
    dense = {"class_name": "Dense", "config": {"name": "dense", "units": 3, "batch_input_shape": [None, 4]}}
    network = {"class_name": "Sequential", "config": {"name": "net", "layers": [dense]}}
    (tmp_path / "net.json").write_text(json.dumps(network))
    onnxgrid.convert(tmp_path / "net.json", tmp_path / "net.onnx")
    model_proto = onnx.load(tmp_path / "net.onnx")
    onnxgrid.transplant(model_proto, model_proto, tmp_path / f"out{suffix}")
    written = read_weights(tmp_path / f"out{suffix}")
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model_proto.graph.initializer}
    for name in ("dense.weight", "dense.bias"):
        np.testing.assert_array_equal(written[name].read(), held[name])


def test_a_model_in_memory_is_not_written_to_a_file_of_no_known_kind(tmp_path):
    proto = ir.to_proto(small_model(COARSE))
    with pytest.raises(UserError) as caught:
        onnxgrid.transplant(proto, proto, tmp_path / "out.foo")
    assert str(caught.value) == (
        f"{tmp_path / 'out.foo'}: the suffix '.foo' is not one of a weight file\n"
        "  Use one of: .h5, .hdf5, .keras, .npy, .npz, .pt, .pth, .safetensors, .safetensors.index.json, .weights.h5."
    )
    assert list(tmp_path.iterdir()) == []
