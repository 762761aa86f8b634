"""Weights of torch checkpoints: the layouts that are read, and what is refused."""

import argparse
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from converters.errors import WeightFileError
from converters.weights import Weight, read_weights, rewrite_weights

torch = pytest.importorskip("torch", reason="the reader of .pt files needs torch, which converters does not require")

STATE = {"conv.weight": torch.arange(24.0).reshape(3, 2, 4), "conv.bias": torch.tensor([1.0, float("nan"), -0.0])}

CHANGED = "{path}: changed since it was opened\n  Leave the file while it is read, and begin anew."

LAYOUTS = {
    "flat": STATE,
    "under model": {"model": STATE, "optimizer": {"lr": 0.1}, "epoch": 3},
    "under state_dict": {"state_dict": STATE, "epoch": 3},
    "our checkpoint": {"format": "onnxgrid-checkpoint", "version": 1, "model": STATE, "optimizer": {}, "epoch": 3},
    "with torch's batch counter": STATE | {"norm.num_batches_tracked": torch.tensor(7)},
    "parameters": {name: torch.nn.Parameter(tensor) for name, tensor in STATE.items()},
    "transposed in memory": {
        "conv.weight": STATE["conv.weight"].transpose(0, 2).contiguous().transpose(0, 2),
        "conv.bias": STATE["conv.bias"],
    },
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("content", LAYOUTS.values(), ids=LAYOUTS)
def test_the_state_dict_is_found(content, zipped, tmp_path):
    path = tmp_path / "a.pt"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    weights = read_weights(path)
    assert {name: (w.shape, w.dtype.name) for name, w in weights.items()} == {
        "conv.weight": ((3, 2, 4), "float32"),
        "conv.bias": ((3,), "float32"),
    }
    for name, weight in weights.items():
        assert weight.read().tobytes() == STATE[name].numpy().tobytes()


TYPES = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
    "int64": torch.int64,
}


@pytest.mark.parametrize(("name", "dtype"), TYPES.items(), ids=TYPES)
def test_each_type_keeps_its_bits(name, dtype, tmp_path):
    tensor = torch.tensor([[1, 3], [-2, 100]]).to(dtype)
    torch.save({"a": tensor}, tmp_path / "a.pth")
    weight = read_weights(tmp_path / "a.pth")["a"]
    assert weight.dtype.name == name
    assert weight.read().tobytes() == tensor.contiguous().view(torch.uint8).numpy().tobytes()


def test_bytes_are_mapped_not_read(tmp_path):
    path = tmp_path / "a.pt"
    torch.save(STATE, path)
    assert not np.asarray(read_weights(path)["conv.weight"].read()).flags.owndata


class RunsCode:
    def __reduce__(self):
        return os.mkdir, ("made by a pickle",)


DICT_FIX = "Give a state dict, alone or under 'model' or 'state_dict'."
WHOLE = "is not a whole PyTorch checkpoint that can be read without running code"
SAVE_STATE = "Give a file written by torch.save(model.state_dict(), path)."

REFUSED = {
    "code": (
        {"a": torch.ones(1), "b": RunsCode()},
        "reading it would run code: posix.mkdir\n  Save the state dict alone: torch.save(model.state_dict(), path).",
    ),
    "a module": (
        torch.nn.ReLU(),
        "reading it would run code: torch.nn.modules.activation.ReLU\n"
        "  Save the state dict alone: torch.save(model.state_dict(), path).",
    ),
    "a tensor": (
        torch.ones(1),
        "holds a Tensor, not a state dict\n  Save the state dict: torch.save(model.state_dict(), path).",
    ),
    "nested elsewhere": (
        {"unet_a": STATE},
        f"the entry 'unet_a' is a dict, not a named tensor\n  {DICT_FIX}",
    ),
    "no tensor at all": (
        {"model": {"step": 3, "rate": 0.1}},
        f"the entry 'step' is a int, not a named tensor\n  {DICT_FIX}",
    ),
    "a name that is no text": (
        {3: torch.ones(1)},
        f"the entry 3 is a Tensor, not a named tensor\n  {DICT_FIX}",
    ),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_a_checkpoint_that_is_refused_says_why(content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.pt"
    torch.save(content, path)
    with pytest.raises(WeightFileError) as caught:
        read_weights(path)
    assert str(caught.value) == f"{path}: {message}"
    assert not (tmp_path / "made by a pickle").exists()


def test_an_old_pickle_that_would_run_code_is_refused_unrun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.pt"
    torch.save({"b": RunsCode()}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(WeightFileError) as caught:
        read_weights(path)
    assert str(caught.value) == (
        f"{path}: reading it would run code: posix.mkdir\n"
        "  Save the state dict alone: torch.save(model.state_dict(), path)."
    )
    assert not (tmp_path / "made by a pickle").exists()


TENSORS_REFUSED = {
    "sparse": (lambda: torch.eye(2).to_sparse(), "is stored as torch.sparse_coo\n  Save it dense: tensor.to_dense()."),
    "a type NumPy lacks": (
        lambda: torch.ones(2).to(torch.float8_e4m3fn),
        "is of type torch.float8_e4m3fn, which NumPy lacks\n  Save it as float32.",
    ),
}


@pytest.mark.parametrize(("tensor", "message"), TENSORS_REFUSED.values(), ids=TENSORS_REFUSED)
def test_a_tensor_that_is_refused_says_why(tensor, message, tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"a.weight": tensor()}, path)
    with pytest.raises(WeightFileError) as caught:
        read_weights(path)
    assert str(caught.value) == f"{path}, tensor 'a.weight': {message}"


def test_a_torchscript_archive_is_refused(tmp_path):
    path = tmp_path / "a.pt"
    with pytest.warns(DeprecationWarning, match="is deprecated"):
        torch.jit.save(torch.jit.script(torch.nn.ReLU()), str(path))
    with pytest.raises(WeightFileError) as caught:
        read_weights(path)
    assert str(caught.value) == f"{path}: {WHOLE} (RuntimeError)\n  {SAVE_STATE}"


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_a_truncated_file_raises_a_weight_file_error_only(zipped, tmp_path):
    torch.save(STATE, tmp_path / "whole.pt", _use_new_zipfile_serialization=zipped)
    whole = (tmp_path / "whole.pt").read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / "cut.pt").write_bytes(whole[:length])
        with pytest.raises(WeightFileError):
            read_weights(tmp_path / "cut.pt")


def test_text_in_a_checkpoint_file_is_refused(tmp_path):
    path = tmp_path / "a.pt"
    path.write_text("<html>404</html>")
    with pytest.raises(WeightFileError) as caught:
        read_weights(path)
    assert str(caught.value) == f"{path}: {WHOLE} (UnpicklingError)\n  {SAVE_STATE}"


def test_without_torch_the_error_names_the_extra(tmp_path):
    path = tmp_path / "a.pt"
    torch.save(STATE, path)
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from converters.errors import WeightFileError\n"
        "from converters.weights import read_weights\n"
        "try: read_weights(Path(sys.argv[1]))\n"
        "except WeightFileError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=True, capture_output=True, text=True)
    assert done.stdout == (
        f"{path}: reading a PyTorch checkpoint needs torch, which is not installed\n  pip install 'onnxgrid[train]'\n"
    )


def test_a_tensor_is_found_where_it_lies_in_the_file(tmp_path):
    path = tmp_path / "a.pt"
    base = torch.arange(24.0).reshape(4, 6)
    state = {"whole.weight": base, "part.weight": base[2:], "turned.weight": base.T, "other.bias": torch.ones(3)}
    torch.save({"model": state, "step": 3}, path)
    weights, content = read_weights(path), path.read_bytes()
    assert weights["turned.weight"].range is None
    for name in ("whole.weight", "part.weight", "other.bias"):
        lies = weights[name].range
        assert content[lies.start : lies.start + lies.length] == state[name].numpy().tobytes()
    for name, weight in weights.items():
        np.testing.assert_array_equal(weight.read(), state[name].numpy())


NESTED = {
    "by torch's own name": lambda state: {"model_state_dict": state, "optimizer_state_dict": {}},
    "as timm saves it": lambda state: {"arch": "resnet", "epoch": 3, "state_dict": state, "state_dict_ema": {}},
    "two deep": lambda state: {"model": {"net": state, "version": 3}},
    "of a wrapped model": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "of a model wrapped twice": lambda state: {f"module._orig_mod.{name}": t for name, t in state.items()},
    "beside a configuration": lambda state: {"model": {"depth": 50}, "state_dict": state},
}


@pytest.mark.parametrize("nest", NESTED.values(), ids=NESTED)
def test_a_state_dict_is_found_where_others_keep_it(nest, tmp_path):
    torch.save(nest(STATE), tmp_path / "a.pth")
    weights = read_weights(tmp_path / "a.pth")
    assert list(weights) == list(STATE)
    for name, tensor in STATE.items():
        np.testing.assert_array_equal(weights[name].read(), tensor.numpy())


def test_names_of_which_only_some_are_wrapped_stay_as_they_are(tmp_path):
    torch.save({"module.a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "a.pt")
    assert list(read_weights(tmp_path / "a.pt")) == ["module.a", "b"]


def test_a_checkpoint_that_is_written_anew_keeps_all_but_the_values(tmp_path):
    shared = torch.arange(6.0)
    like = {
        "model": {"module.a": torch.ones(2, 3), "module.b": torch.zeros(4)},
        "optimizer": {"state": {0: {"exp_avg": shared, "again": shared, "half": shared[:3]}}, "betas": (0.9, 0.999)},
        "epoch": 7,
    }
    torch.save(like, tmp_path / "like.pt")
    kept = read_weights(tmp_path / "like.pt")
    new = np.full((2, 3), 5, np.float32)
    rewrite_weights(
        tmp_path / "out.pt", tmp_path / "like.pt", kept, {"a": Weight("a", (2, 3), new.dtype, lambda: new, "memory")}
    )
    found = torch.load(tmp_path / "out.pt", weights_only=True)
    assert (found["epoch"], found["optimizer"]["betas"]) == (7, (0.9, 0.999))
    np.testing.assert_array_equal(found["model"]["module.a"].numpy(), new)
    np.testing.assert_array_equal(found["model"]["module.b"].numpy(), np.zeros(4))
    state = found["optimizer"]["state"][0]
    for name, tensor in like["optimizer"]["state"][0].items():
        np.testing.assert_array_equal(state[name].numpy(), tensor.numpy())
    assert len({tensor.untyped_storage().data_ptr() for tensor in state.values()}) == 1


def test_what_is_no_tensor_is_left_out_and_named(tmp_path, caplog):
    path = tmp_path / "a.pt"
    torch.save({"model": STATE | {"step": 3, 4: "four"}}, path)
    assert list(read_weights(path)) == list(STATE)
    assert caplog.messages == [f"{path}: left out of the weights, as no tensors: 'step' (int), 4 (str)"]


def test_a_tensor_beside_the_state_dict_does_not_stand_for_it(tmp_path):
    torch.save({"model": STATE, "rng_state": torch.get_rng_state()}, tmp_path / "a.pt")
    assert list(read_weights(tmp_path / "a.pt")) == list(STATE)


def test_tensors_are_found_in_the_file_though_others_of_their_size_cannot_be_seen(tmp_path):
    hidden = argparse.Namespace(t=torch.full((16,), 9.0), u=torch.full((16,), 8.0))
    torch.save({"args": hidden, "model": {"a": torch.full((16,), 1.0), "b": torch.full((16,), 2.0)}}, tmp_path / "a.pt")
    weights = read_weights(tmp_path / "a.pt")
    assert [weights[name].read()[0] for name in ("a", "b")] == [1.0, 2.0]


PLAIN = {
    "epoch": np.int64(7),
    "rate": np.float32(0.1),
    "best": np.float64(0.25),
    "done": np.bool_(True),
    "dtype": np.dtype("float16"),
    "args": argparse.Namespace(lr=0.1, betas=(0.9, np.float64(0.99)), name="run"),
    "losses": np.linspace(0, 1, 7),
}


@pytest.mark.parametrize("is_zip", [True, False])
def test_numbers_of_numpy_and_options_beside_the_weights_are_read_and_written_as_they_were(is_zip, tmp_path):
    torch.save({"model": STATE, **PLAIN}, tmp_path / "a.pt", _use_new_zipfile_serialization=is_zip)
    weights = read_weights(tmp_path / "a.pt")
    assert list(weights) == list(STATE)
    rewrite_weights(tmp_path / "b.pt", tmp_path / "a.pt", weights, {})
    written = torch.load(tmp_path / "b.pt", weights_only=False)
    for name, value in PLAIN.items():
        np.testing.assert_array_equal(written[name], value)
        assert type(written[name]) is type(value)


ARRAYS_OF_NUMPY = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "conv.columns first": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
    "bn.running_mean": np.array([1.5, -0.0, np.nan, np.inf], ">f4"),
    "scale": np.array(3.5, np.float16),
    "mask": np.array([[True], [False]]),
    "empty": np.zeros((0, 3), np.int8),
}


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("is_zip", [True, False])
def test_a_state_dict_of_arrays_of_numpy_is_read_and_stays_one(is_zip, nested, tmp_path):
    content = {"state_dict": ARRAYS_OF_NUMPY, "epoch": 3} if nested else ARRAYS_OF_NUMPY
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=is_zip)
    weights = read_weights(tmp_path / "a.pt")
    assert list(weights) == list(ARRAYS_OF_NUMPY)
    for name, array in ARRAYS_OF_NUMPY.items():
        native = array.astype(array.dtype.newbyteorder("="), order="C")
        values = weights[name].read()
        assert (weights[name].shape, values.shape, values.dtype) == (array.shape, array.shape, native.dtype)
        assert values.tobytes() == native.tobytes()
    new = np.full((2, 3, 4), 9, np.float32)
    changed = {"conv.weight": Weight("conv.weight", new.shape, new.dtype, lambda: new, "memory")}
    rewrite_weights(tmp_path / "b.pt", tmp_path / "a.pt", weights, changed)
    written = torch.load(tmp_path / "b.pt", weights_only=False)
    state = written["state_dict"] if nested else written
    for name, array in (ARRAYS_OF_NUMPY | {"conv.weight": new}).items():
        assert type(state[name]) is np.ndarray
        unpickled = pickle.loads(pickle.dumps(array))  # which NumPy brings into the byte order of the machine
        assert (state[name].dtype, state[name].tobytes("A")) == (unpickled.dtype, unpickled.tobytes("A"))


def test_arrays_of_numpy_larger_than_the_list_of_any_tensors_are_read(tmp_path):
    large = np.random.default_rng(0).integers(0, 256, (3, 2**22), np.uint8)
    torch.save({"w": large}, tmp_path / "a.pt")
    np.testing.assert_array_equal(read_weights(tmp_path / "a.pt")["w"].read(), large)


def test_an_array_of_numpy_beside_tensors_of_another_key_does_not_stand_for_them(tmp_path):
    torch.save({"losses": np.ones(3), "model": STATE}, tmp_path / "a.pt")
    assert list(read_weights(tmp_path / "a.pt")) == list(STATE)


def pickled_number(dtype_name: object, state: tuple[object, ...], content: object) -> dict[str, object]:
    """A checkpoint with a number of NumPy, whose type's name and state may be anything."""

    class Dtype:
        def __reduce__(self):
            return np.dtype, (dtype_name, False, True), state

    class Number:
        def __reduce__(self):
            return np.float64(1).__reduce__()[0], (Dtype(), content)

    return {"w": torch.ones(1), "n": Number()}


PLAIN_STATE = (3, "<", None, None, None, -1, -1, 0)

BROKEN_NUMBERS = {
    "an address for an object": ("O8", (3, "|", None, None, None, -1, -1, 0), b"\0" * 8),
    "an object": ("O", (3, "|", None, None, None, -1, -1, 63), "text"),
    "fields": ("V8", (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0), b"\1" * 8),
    "too few bytes": ("f8", PLAIN_STATE, b"\0" * 7),
    "text for bytes": ("f8", PLAIN_STATE, "x" * 8),
    "a number for a name": (8, PLAIN_STATE, b"\0" * 8),
    "no such size": ("f9", PLAIN_STATE, b"\0" * 9),
    "no byte order": ("f8", (3, "?", None, None, None, -1, -1, 0), b"\0" * 8),
    "no state": ("f8", (), b"\0" * 8),
}


@pytest.mark.parametrize(("name", "state", "content"), BROKEN_NUMBERS.values(), ids=BROKEN_NUMBERS)
def test_a_number_of_numpy_that_is_none_is_refused(name, state, content, tmp_path):
    path = tmp_path / "a.pt"
    torch.save(pickled_number(name, state, content), path)
    with pytest.raises(WeightFileError) as caught:
        read_weights(path)
    assert str(caught.value) == f"{path}: {WHOLE} (UnpicklingError)\n  {SAVE_STATE}"


class Reduced:
    """Pickled as a call and a state."""

    def __init__(self, call, arguments, *state):
        self.reduced = (call, arguments, *state)

    def __reduce__(self):
        return self.reduced


RECONSTRUCT = np.ones(1).__reduce__()[0]
FLOAT = np.dtype("f4")
BEGUN = (np.ndarray, (0,), b"b")

BROKEN_ARRAYS = {
    "objects": Reduced(RECONSTRUCT, BEGUN, (1, (1,), np.dtype("O"), False, ["text"])),
    "addresses for objects": Reduced(RECONSTRUCT, BEGUN, (1, (1,), np.dtype("O"), False, bytes(8))),
    "text": np.array(["a", "b"]),
    "fields": np.zeros(2, [("a", "f4")]),
    "too few bytes": Reduced(RECONSTRUCT, BEGUN, (1, (4,), FLOAT, False, bytes(15))),
    "too many bytes": Reduced(RECONSTRUCT, BEGUN, (1, (4,), FLOAT, False, bytes(17))),
    "10^12 elements": Reduced(RECONSTRUCT, BEGUN, (1, (10**6, 10**6), FLOAT, False, bytes(16))),
    "a negative size": Reduced(RECONSTRUCT, BEGUN, (1, (-1, -4), FLOAT, False, bytes(16))),
    "a size that is no number": Reduced(RECONSTRUCT, BEGUN, (1, ("4",), FLOAT, False, bytes(16))),
    "a size that is true": Reduced(RECONSTRUCT, BEGUN, (1, (4, True), FLOAT, False, bytes(16))),
    "a shape that is a number": Reduced(RECONSTRUCT, BEGUN, (1, 4, FLOAT, False, bytes(16))),
    "no type": Reduced(RECONSTRUCT, BEGUN, (1, (16,), "u1", False, bytes(16))),
    "text for bytes": Reduced(RECONSTRUCT, BEGUN, (1, (4,), FLOAT, False, "x" * 16)),
    "a state of no tuple": Reduced(RECONSTRUCT, BEGUN, {"values": 1}),
    "a short state": Reduced(RECONSTRUCT, BEGUN, (1, (4,), FLOAT)),
    "another kind": Reduced(RECONSTRUCT, (np.dtype, (0,), b"b")),
    "another beginning": Reduced(RECONSTRUCT, (np.ndarray, (10**6, 10**6), b"b")),
}


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("array", BROKEN_ARRAYS.values(), ids=BROKEN_ARRAYS)
def test_an_array_of_numpy_that_is_none_of_numbers_is_refused(array, is_zip, tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"w": torch.ones(1), "a": array}, path, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(WeightFileError) as caught:
        read_weights(path)
    assert str(caught.value) == f"{path}: {WHOLE} (UnpicklingError)\n  {SAVE_STATE}"


ARRAY_CALLS = {
    "of a huge shape": Reduced(np.ndarray, ((10**6, 10**6),)),
    "of the memory of another": Reduced(np.ndarray, ((4,), FLOAT, bytes(16))),
    "from a number of bytes": Reduced(RECONSTRUCT, BEGUN, (1, (10**12,), FLOAT, False, Reduced(bytes, (10**12,)))),
}


@pytest.mark.parametrize("array", ARRAY_CALLS.values(), ids=ARRAY_CALLS)
def test_an_array_of_numpy_is_not_made_by_its_class(array, tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"a": array}, path)
    with pytest.raises(WeightFileError) as caught:
        read_weights(path)
    assert str(caught.value) == f"{path}: {WHOLE} (TypeError)\n  {SAVE_STATE}"


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_arrays_of_older_and_newer_numpy_are_read(module, tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"a": np.ones(3, np.float32)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content.replace(RECONSTRUCT.__module__.encode(), module.encode()))
    np.testing.assert_array_equal(read_weights(path)["a"].read(), np.ones(3, np.float32))


def test_a_pickle_that_unpacks_to_a_thousand_times_its_size_is_not_unpacked(tmp_path):
    path = tmp_path / "a.pt"
    size = 2**27
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/version", "3\n")
        archive.writestr("a/data.pkl", bytes(size))
        stored = archive.getinfo("a/data.pkl").compress_size
    with pytest.raises(WeightFileError) as caught:
        read_weights(path)
    assert str(caught.value) == (
        f"{path}, member 'a/data.pkl': would take {size} bytes, and {stored} are in the file: "
        "more than 100 times as many\n  Write the archive anew, without compression."
    )


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_file_that_takes_the_place_of_one_that_was_looked_into_is_refused(is_zip, tmp_path, monkeypatch):
    path, other = tmp_path / "a.pt", tmp_path / "other.pt"
    for file in (path, other):
        torch.save(STATE, file, _use_new_zipfile_serialization=is_zip)
    load = torch.load

    def replaced(*arguments, **options):
        other.replace(path)
        return load(*arguments, **options)

    monkeypatch.setattr(torch, "load", replaced)
    with pytest.raises(WeightFileError) as caught:
        read_weights(path)
    assert str(caught.value) == CHANGED.format(path=path)
