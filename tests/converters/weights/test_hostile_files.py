"""ONNX models, torch checkpoints and indexes that someone crafted: each is refused, saying why, in little memory."""

import json
import os
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import safetensors.numpy
import torch

from converters.errors import WeightFileError
from converters.weights import read_weights
from tests.small_models import numbered, small_model

MIB = 2**20

Edit = Callable[[onnx.TensorProto], None]

ARRAYS = {"conv.weight": numbered((3, 2, 3, 5)), "conv.bias": numbered((3,), 100)}
WEIGHT_BYTES = 360


def read_all(path: Path) -> None:
    for weight in read_weights(path).values():
        weight.read()


def refusal(path: Path) -> str:
    """What is said of a file, or of one of its weights; that it took less than 64 MiB to find out is asserted."""
    tracemalloc.start()
    with pytest.raises(WeightFileError) as caught:
        read_all(path)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * MIB
    return str(caught.value)


def said(**changes: str) -> Edit:
    """An edit of what a tensor says of its external data."""

    def edit(tensor: onnx.TensorProto) -> None:
        entries = {entry.key: entry.value for entry in tensor.external_data} | changes
        del tensor.external_data[:]
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)

    return edit


def of_shape(*shape: int) -> Edit:
    def edit(tensor: onnx.TensorProto) -> None:
        tensor.dims[:] = shape

    return edit


def inline(count: int) -> Edit:
    """Of 10^12 elements, and with so many bytes in the model itself."""

    def edit(tensor: onnx.TensorProto) -> None:
        tensor.ClearField("external_data")
        tensor.data_location = onnx.TensorProto.DEFAULT
        tensor.dims[:] = (10**6, 10**6)
        tensor.raw_data = bytes(count)

    return edit


def of_unknown_type(tensor: onnx.TensorProto) -> None:
    tensor.data_type = 99


OUTSIDE = (
    "{path}, tensor 'conv.weight': its external data file '{location}' is not in the folder of the model\n"
    "  Give the whole model, with its external data files beside it."
)
NO_PLACE = (
    "{path}, tensor 'conv.weight': has no place that external data can have: location '%s', offset '%s', length '%s'\n"
    "  Export the model anew."
)
WHOLE_MODEL = "\n  Give the whole model, with its external data files beside it."

MODELS: dict[str, tuple[Edit, str]] = {
    "a path that leads out": (said(location="../outside.bin"), OUTSIDE),
    "a path that leads out on a detour": (said(location="sub/../../outside.bin"), OUTSIDE),
    "an absolute path": (said(location="/etc/hostname"), OUTSIDE),
    "a link that leads out": (said(location="link.bin"), OUTSIDE),
    "a linked folder": (said(location="linked/outside.bin"), OUTSIDE),
    "the folder itself": (said(location="."), OUTSIDE),
    "a path with a NUL": (said(location="w\0.bin"), NO_PLACE % ("w\\0.bin", "0", "360")),
    "no path": (said(location=""), NO_PLACE % ("", "0", "360")),
    "a pipe": (
        said(location="pipe"),
        "{path}, tensor 'conv.weight': its external data file 'pipe' is no regular file" + WHOLE_MODEL,
    ),
    "a negative offset": (said(offset="-8"), NO_PLACE % ("w.bin", "-8", "360")),
    "a negative length": (said(length="-8"), NO_PLACE % ("w.bin", "0", "-8")),
    "an offset that is no number": (said(offset="1e3"), NO_PLACE % ("w.bin", "1e3", "360")),
    "an offset of thirty digits": (said(offset="9" * 30), NO_PLACE % ("w.bin", "9" * 30, "360")),
    "an offset beyond the file": (
        said(offset="1000"),
        "{path}, tensor 'conv.weight': its external data file 'w.bin' is {size} bytes long, the tensor ends at byte "
        "1360" + WHOLE_MODEL,
    ),
    "overlapping tensors": (
        said(offset="4"),
        "{path}, tensor 'conv.bias': its external data overlap those of 'conv.weight'\n  Export the model anew.",
    ),
    "a negative size": (
        of_shape(-3, 5),
        "{path}, tensor 'conv.weight': has the shape (-3, 5), which none can have\n  Export the model anew.",
    ),
    "10^12 elements and no data": (
        inline(0),
        "{path}, tensor 'conv.weight': its data cannot be read (cannot reshape array of size 0 into shape "
        "(1000000,1000000))" + WHOLE_MODEL,
    ),
    "10^12 elements and 100 kB": (
        inline(100_000),
        "{path}, tensor 'conv.weight': has 100000 bytes of data, and its shape (1000000, 1000000) needs 4000000000000\n"
        "  Give a whole model.",
    ),
    "an unknown type": (
        of_unknown_type,
        "{path}: is an ONNX model with a broken graph (99 is not a valid DataType)\n  Give a whole .onnx file.",
    ),
}


@pytest.mark.parametrize(("edit", "message"), MODELS.values(), ids=MODELS)
def test_a_model_is_refused(edit: Edit, message: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "outside.bin").write_bytes(bytes(1000))
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    path = folder / "a.onnx"
    ir.save(small_model(ARRAYS), path, external_data="w.bin", size_threshold_bytes=0)
    proto = onnx.load(path, load_external_data=False)
    weight = next(tensor for tensor in proto.graph.initializer if tensor.name == "conv.weight")
    edit(weight)
    location = next((entry.value for entry in weight.external_data if entry.key == "location"), "")
    onnx.save(proto, path)
    size = (folder / "w.bin").stat().st_size
    assert refusal(path) == message.format(path=path, location=location, size=size)


def test_a_file_of_eight_gigabytes_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    with path.open("wb") as file:
        file.write(b"\x3a\xff\xff\xff\xff\x1f")  # a graph of 2^33 - 1 bytes
        file.truncate(2**33)
    assert refusal(path) == f"{path}: is not an ONNX model, or only a part of one\n  Give a whole .onnx file."


def rezipped(path: Path, edit: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> None:
    """The archive with other members."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, edit(name, content))


def short_storage(path: Path) -> None:
    torch.save({"a.weight": torch.ones(10)}, path)
    rezipped(path, lambda name, content: content[:8] if "/data/" in name else content)


def bomb(path: Path) -> None:
    torch.save({"a.weight": torch.zeros(2**25)}, path)
    rezipped(path, lambda _name, content: content, zipfile.ZIP_DEFLATED)


def compressed(path: Path) -> None:
    torch.save({"a.weight": torch.zeros(100)}, path)
    rezipped(path, lambda _name, content: content, zipfile.ZIP_DEFLATED)


def expanded(path: Path) -> None:
    torch.save({"a.weight": torch.zeros(1).expand(10**6, 10**6)}, path)


def without_values(path: Path) -> None:
    torch.save({"a.weight": torch.empty(10**6, 10**6, device="meta")}, path)


def long_pickle(path: Path) -> None:
    torch.save({"a.weight": torch.ones(1)}, path)
    rezipped(path, lambda name, content: b"(" * (2**24 + 1) if name.endswith("data.pkl") else content)


def many_operations(path: Path) -> None:
    path.write_bytes(b"\x80\x02" + b"(" * 10**6)


class RunsCode:
    def __reduce__(self) -> Any:
        return os.mkdir, ("made by a pickle",)


def pickled_code(path: Path) -> None:
    path.write_bytes(pickle.dumps({"a.weight": RunsCode()}, protocol=4))


STATE_DICT = "\n  Save the state dict alone: torch.save(model.state_dict(), path)."
NOT_WHOLE = (
    "{path}: holds tensors that need more bytes than are stored for them, or compressed ones\n"
    "  Give a whole file written by torch.save."
)
SHAPE = "{path}, tensor 'a.weight': has the shape (1000000, 1000000), which needs 4000000000000 bytes, and %d of data\n"

CHECKPOINTS: dict[Callable[[Path], None], str] = {
    short_storage: NOT_WHOLE,
    compressed: NOT_WHOLE,
    bomb: "{path}, member 'a/data/0': would take 134217728 bytes, and {stored} are in the file: more than 100 times as "
    "many\n  Write the archive anew, without compression.",
    expanded: SHAPE % 4 + "  Save it with its values: tensor.contiguous().",
    without_values: SHAPE % 0 + "  Save it with its values: tensor.contiguous().",
    long_pickle: "{path}, member 'a/data.pkl': has 16777217 bytes, more than the list of any network's tensors"
    + STATE_DICT,
    many_operations: "{path}: is a pickle of 1000000 operations or more, which the list of no network's tensors takes"
    + STATE_DICT,
    pickled_code: "{path}: reading it would run code: posix.mkdir" + STATE_DICT,
}


@pytest.mark.parametrize(("craft", "message"), CHECKPOINTS.items(), ids=[craft.__name__ for craft in CHECKPOINTS])
def test_a_checkpoint_is_refused(
    craft: Callable[[Path], None], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.pt"
    craft(path)
    stored = 0
    if zipfile.is_zipfile(path):
        stored = max(info.compress_size for info in zipfile.ZipFile(path).infolist())
    assert refusal(path) == message.format(path=path, stored=stored)
    assert not (tmp_path / "made by a pickle").exists()


def test_a_name_that_an_index_has_twice_is_refused(tmp_path: Path) -> None:
    safetensors.numpy.save_file({"a": np.ones(1, np.float32)}, tmp_path / "one.safetensors")
    path = tmp_path / "a.safetensors.index.json"
    path.write_text('{"weight_map": {"a": "one.safetensors", "a": "other.safetensors"}}')
    assert refusal(path) == (f"{path}, tensor 'a': two tensors have this name\n  Write the file anew, each name once.")


def test_a_file_name_with_a_nul_in_an_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"a": "one\0.safetensors"}}))
    assert refusal(path) == (
        f"{path}: names the file 'one\0.safetensors', which is no safetensors file in its folder\n"
        "  Put the files beside their index."
    )


@pytest.mark.parametrize("suffix", [".pt", ".npz", ".safetensors"])
def test_what_is_cut_off_anywhere_is_refused(suffix: str, tmp_path: Path) -> None:
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    arrays = {name: np.ascontiguousarray(array) for name, array in ARRAYS.items()}
    if suffix == ".pt":
        torch.save({name: torch.from_numpy(array.copy()) for name, array in arrays.items()}, whole)
    elif suffix == ".npz":
        np.savez(whole, **arrays)
    else:
        safetensors.numpy.save_file(arrays, whole)
    content = whole.read_bytes()
    for length in range(1, len(content), 61):
        path.write_bytes(content[:length])
        with pytest.raises(WeightFileError):
            read_weights(path)
