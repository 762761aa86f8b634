"""Weights of safetensors files, alone or in shards; safetensors itself writes them."""

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save, save_file

from converters.errors import WeightFileError
from converters.weights import read_weights

ARRAYS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(4, 3, 2, 1),
    "conv.bias": np.array([1.5, -0.0, np.nan, np.inf], np.float32),
}


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64, np.int8])
def test_each_type_keeps_its_bits(dtype: Any, tmp_path: Path) -> None:
    array = np.array([[1, 3], [-2, 100]]).astype(dtype)
    save_file({"a.weight": array}, tmp_path / "a.safetensors")
    weight = read_weights(tmp_path / "a.safetensors")["a.weight"]
    assert (weight.dtype, weight.shape) == (array.dtype, array.shape)
    assert weight.read().tobytes() == array.tobytes()


def sharded(folder: Path) -> Path:
    """The index of two files with a tensor each."""
    for number, (name, array) in enumerate(ARRAYS.items()):
        save_file({name: array}, folder / f"net-{number}.safetensors")
    index = {"metadata": {}, "weight_map": {name: f"net-{number}.safetensors" for number, name in enumerate(ARRAYS)}}
    (folder / "net.safetensors.index.json").write_text(json.dumps(index))
    return folder / "net.safetensors.index.json"


def test_an_index_gives_the_tensors_of_all_its_files(tmp_path: Path) -> None:
    weights = read_weights(sharded(tmp_path))
    assert list(weights) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert weights[name].read().tobytes() == array.tobytes()


def edited_index(folder: Path, change: dict[str, Any]) -> Path:
    path = sharded(folder)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    return path


BROKEN_INDEXES = {
    "no map": (
        {"weight_map": [1]},
        'is no index of safetensors files: it has no "weight_map" of names',
        "Give the index that was written with the files.",
    ),
    "a path": (
        {"weight_map": {"a": "../other.safetensors"}},
        "names the file '../other.safetensors', which is no safetensors file in its folder",
        "Put the files beside their index.",
    ),
    "an absolute path": (
        {"weight_map": {"a": "/etc/passwd"}},
        "names the file '/etc/passwd', which is no safetensors file in its folder",
        "Put the files beside their index.",
    ),
    "an absent file": (
        {"weight_map": {"a": "net-7.safetensors"}},
        "names the file 'net-7.safetensors', which is not there",
        "Put the files beside their index.",
    ),
}


@pytest.mark.parametrize(("change", "problem", "fix"), BROKEN_INDEXES.values(), ids=BROKEN_INDEXES)
def test_an_index_that_is_refused_says_why(change: dict[str, Any], problem: str, fix: str, tmp_path: Path) -> None:
    path = edited_index(tmp_path, change)
    with pytest.raises(WeightFileError) as caught:
        read_weights(path)
    assert str(caught.value) == f"{path}: {problem}\n  {fix}"


def test_a_tensor_that_its_file_lacks_is_named(tmp_path: Path) -> None:
    path = edited_index(tmp_path, {"weight_map": {"other.weight": "net-0.safetensors"}})
    with pytest.raises(WeightFileError) as caught:
        read_weights(path)
    assert str(caught.value) == (
        f"{path}, tensor 'other.weight': is said to be in 'net-0.safetensors', and is not\n"
        "  Give the files that belong to this index."
    )


def test_a_file_that_links_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    path = sharded(tmp_path / "model")
    (tmp_path / "model/net-1.safetensors").rename(tmp_path / "outside.safetensors")
    (tmp_path / "model/net-1.safetensors").symlink_to(tmp_path / "outside.safetensors")
    with pytest.raises(WeightFileError, match=r"'net-1\.safetensors', which is no safetensors file in its folder"):
        read_weights(path)


def crafted(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def tensor(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


HOSTILE = {
    "a header longer than the file": (2**40).to_bytes(8, "little") + b"{}",
    "a header of no JSON": crafted(b"\xff{}"),
    "offsets beyond the file": crafted({"a": tensor([4], 0, 16)}, bytes(8)),
    "offsets the wrong way round": crafted({"a": tensor([0], 8, 0)}, bytes(8)),
    "a negative offset": crafted({"a": tensor([2], -8, 0)}, bytes(8)),
    "overlapping offsets": crafted({"a": tensor([2], 0, 8), "b": tensor([2], 4, 12)}, bytes(12)),
    "a hole": crafted({"a": tensor([1], 0, 4), "b": tensor([1], 8, 12)}, bytes(12)),
    "trailing bytes": crafted({"a": tensor([1], 0, 4)}, bytes(12)),
    "10^12 elements": crafted({"a": tensor([10**6, 10**6], 0, 8)}, bytes(8)),
    "elements beyond 64 bits": crafted({"a": tensor([2**32, 2**32, 2**32], 0, 8)}, bytes(8)),
    "a pickle": b"\x80\x04\x95" + bytes(40),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightFileError) as caught:
        read_weights(path)
    first, fix = str(caught.value).split("\n")
    assert first.startswith(f"{path}: is not a whole safetensors file (")
    assert fix == "  Give a whole file."


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_damaged_file_raises_a_weight_file_error_only(data: st.DataObject, tmp_path: Path) -> None:
    content = bytearray(save(ARRAYS))
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] = data.draw(st.integers(0, 255))
    (tmp_path / "a.safetensors").write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        for weight in read_weights(tmp_path / "a.safetensors").values():
            weight.read()
    except WeightFileError:
        pass


def test_a_file_that_takes_the_place_of_one_that_was_checked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    for file in (path, other):
        save_file(ARRAYS, file)
    check = safetensors.safe_open

    def replaced(*arguments: Any, **options: Any) -> Any:
        other.replace(path)
        return check(*arguments, **options)

    monkeypatch.setattr(safetensors, "safe_open", replaced)
    with pytest.raises(WeightFileError) as caught:
        read_weights(path)
    assert str(caught.value) == (
        f"{path}: changed since it was opened\n  Leave the file while it is read, and begin anew."
    )
