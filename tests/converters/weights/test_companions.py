"""Files that belong to another, in a cache as huggingface_hub lays it out, and in folders that pose as one."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from safetensors.numpy import save_file

from converters.errors import WeightFileError
from converters.weights import read_weights, rewrite_weights
from converters.weights.onnx import embed_external_data, initializer_tensor, open_onnx
from tests.small_models import numbered, small_model

ARRAYS = {"conv.weight": numbered((4, 3, 3, 3)), "conv.bias": numbered((4,), 100)}

INDEX = "net.safetensors.index.json"
MODEL = "onnx/model.onnx"


def write_files(folder: Path) -> None:
    """An index with two files, and a model with external data in a folder below."""
    for number, (name, array) in enumerate(ARRAYS.items()):
        save_file({name: array}, folder / f"net-{number}.safetensors")
    places = {name: f"net-{number}.safetensors" for number, name in enumerate(ARRAYS)}
    (folder / INDEX).write_text(json.dumps({"weight_map": places}))
    (folder / "onnx").mkdir()
    ir.save(small_model(ARRAYS), folder / MODEL, external_data="model.onnx_data", size_threshold_bytes=0)


def cache(root: Path, repository: str = "models--someone--net") -> Path:
    """The snapshot of a cache: links to blobs that are named by hashes."""
    snapshot, blobs = root / repository / "snapshots/0a1b2c", root / repository / "blobs"
    for folder in (snapshot, blobs):
        folder.mkdir(parents=True)
    write_files(snapshot)
    for number, file in enumerate(sorted(path for path in snapshot.rglob("*") if path.is_file())):
        file.rename(blobs / f"hash{number}")
        file.symlink_to(os.path.relpath(blobs / f"hash{number}", file.parent))
    return snapshot


def relink(file: Path, to: Path) -> None:
    """Make a link of a file that stands for another, which gets what it stood for."""
    real = file.resolve()
    file.unlink()
    to.parent.mkdir(parents=True, exist_ok=True)
    real.rename(to)
    file.symlink_to(to)


def data_of(path: Path) -> Path:
    return path.parent / ("model.onnx_data" if path.suffix == ".onnx" else "net-1.safetensors")


@pytest.mark.parametrize("name", [INDEX, MODEL])
def test_a_cache_is_read(name: str, tmp_path: Path) -> None:
    weights = read_weights(cache(tmp_path) / name)
    assert {name: weight.read().tobytes() for name, weight in weights.items()} == {
        name: array.tobytes() for name, array in ARRAYS.items()
    }


def test_a_cache_in_a_folder_that_is_a_link_is_read(tmp_path: Path) -> None:
    cache(tmp_path / "disk")
    (tmp_path / "hub").symlink_to(tmp_path / "disk")
    weights = read_weights(tmp_path / "hub/models--someone--net/snapshots/0a1b2c" / INDEX)
    np.testing.assert_array_equal(weights["conv.bias"].read(), ARRAYS["conv.bias"])


def test_a_model_of_a_cache_is_opened_with_its_data(tmp_path: Path) -> None:
    path = cache(tmp_path) / MODEL
    model = open_onnx(path)
    embed_external_data(model, str(path))
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(initializer_tensor(model, name).numpy(), array)


@pytest.mark.parametrize("name", [INDEX, MODEL])
def test_a_copy_of_what_lies_in_a_cache_can_be_written_elsewhere(name: str, tmp_path: Path) -> None:
    path, out = cache(tmp_path) / name, tmp_path / Path(name).name
    kept = read_weights(path)
    rewrite_weights(out, path, kept, {"conv.bias": kept["conv.bias"]})
    np.testing.assert_array_equal(read_weights(out)["conv.weight"].read(), ARRAYS["conv.weight"])
    assert not any(file.is_symlink() for file in tmp_path.iterdir())


@pytest.mark.parametrize("name", [INDEX, MODEL])
def test_a_cache_is_not_written_into(name: str, tmp_path: Path) -> None:
    path = cache(tmp_path) / name
    before = sorted(path.parent.iterdir())
    kept = read_weights(path)
    with pytest.raises(WeightFileError) as caught:
        rewrite_weights(path, path, kept, {})
    assert str(caught.value) == (
        f"{path}: is a link to {path.resolve()}, and other files would have to lie beside both\n"
        "  Give the file that the link stands for."
    )
    assert sorted(path.parent.iterdir()) == before


def outside(path: Path, root: Path) -> None:
    relink(data_of(path), root / "outside")


def elsewhere_in_the_repository(path: Path, root: Path) -> None:
    relink(data_of(path), root / "models--someone--net/refs/main")


def below_the_blobs(path: Path, root: Path) -> None:
    relink(data_of(path), root / "models--someone--net/blobs/deep/hash")


def blobs_of_another_repository(path: Path, root: Path) -> None:
    relink(data_of(path), root / "models--someone--other/blobs/hash")


def blobs_that_are_a_link(path: Path, root: Path) -> None:
    blobs = root / "models--someone--net/blobs"
    blobs.rename(root / "far")
    blobs.symlink_to(root / "far")


def a_chain_of_links(path: Path, root: Path) -> None:
    relink(data_of(path), root / "outside")
    (root / "models--someone--net/blobs/chain").symlink_to(root / "outside")
    data_of(path).unlink()
    data_of(path).symlink_to(root / "models--someone--net/blobs/chain")


def a_file_that_is_no_link(path: Path, root: Path) -> None:
    real = path.resolve()
    path.unlink()
    real.rename(path)


def a_link_from_elsewhere(path: Path, root: Path) -> None:
    relink(path, root / "models--someone--net/elsewhere")


HOSTILE: dict[str, Callable[[Path, Path], None]] = {
    "data outside": outside,
    "data elsewhere in the repository": elsewhere_in_the_repository,
    "data below the blobs": below_the_blobs,
    "data in blobs of another repository": blobs_of_another_repository,
    "blobs that are a link": blobs_that_are_a_link,
    "a blob that is a link": a_chain_of_links,
    "the file is no link": a_file_that_is_no_link,
    "the file is a link to elsewhere": a_link_from_elsewhere,
}


def read_all(path: Path) -> None:
    for weight in read_weights(path).values():
        weight.read()


def refusal(path: Path) -> str:
    with pytest.raises(WeightFileError) as caught:
        read_all(path)
    return str(caught.value)


def expected(path: Path, number: int = 1) -> str:
    if path.suffix == ".onnx":
        return (
            f"{path}, tensor 'conv.weight': its external data file 'model.onnx_data' is not in the folder of the "
            "model\n  Give the whole model, with its external data files beside it."
        )
    return (
        f"{path}: names the file 'net-{number}.safetensors', which is no safetensors file in its folder\n"
        "  Put the files beside their index."
    )


@pytest.mark.parametrize("name", [INDEX, MODEL])
@pytest.mark.parametrize("case", HOSTILE)
def test_what_poses_as_a_cache_is_refused(case: str, name: str, tmp_path: Path) -> None:
    path = cache(tmp_path) / name
    HOSTILE[case](path, tmp_path)
    first = 0 if case in {"blobs that are a link", "the file is no link", "the file is a link to elsewhere"} else 1
    assert refusal(path) == expected(path, first)


@pytest.mark.parametrize("name", [INDEX, MODEL])
def test_a_folder_that_is_no_repository_of_models_is_no_cache(name: str, tmp_path: Path) -> None:
    path = cache(tmp_path, "net") / name
    assert refusal(path) == expected(path, 0)


@pytest.mark.parametrize("file", ["../../blobs/hash0.safetensors", "../0a1b2d/net-1.safetensors", "/net-1.safetensors"])
def test_an_index_in_a_cache_names_files_beside_it(file: str, tmp_path: Path) -> None:
    path = cache(tmp_path) / INDEX
    path.resolve().write_text(json.dumps({"weight_map": {"conv.weight": file}}))
    assert refusal(path) == expected(path).replace("net-1.safetensors", file)
