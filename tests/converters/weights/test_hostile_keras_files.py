"""Files of Keras' formats that no Keras wrote: each is refused with a sentence, in little memory and time."""

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.errors import WeightFileError
from converters.weights import read_weights
from converters.weights.archive import Archive

WRITE_ANEW = "Save the weights anew, as Keras does it: each array whole, in this one file."
WHOLE = "Give a whole file."
DATA = Path(__file__).parents[1] / "data" / "keras2"

KERNEL = "layers/dense/vars/0"


def with_file(craft: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            craft(file)

    write.__name__ = craft.__name__
    return write


@with_file
def external_link(file: h5py.File) -> None:
    file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/hostname", "/0")


@with_file
def soft_link(file: h5py.File) -> None:
    file["layers/dense/vars/0"] = h5py.SoftLink("/elsewhere")


@with_file
def external_data(file: h5py.File) -> None:
    group = file.create_group("layers/dense/vars")
    group.create_dataset("0", shape=(2, 3), dtype="<f4", external=[("/etc/hostname", 0, 24)])


@with_file
def virtual_dataset(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((2, 3), "<f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (2, 3))
    file.create_group("layers/dense/vars").create_virtual_dataset("0", layout)


@with_file
def never_written(file: h5py.File) -> None:
    file.create_dataset(KERNEL, shape=(2, 3), dtype="<f4")


@with_file
def huge_and_never_written(file: h5py.File) -> None:
    file.create_dataset(KERNEL, shape=(10**6, 10**6), dtype="<f4")


@with_file
def missing_chunks(file: h5py.File) -> None:
    file.create_dataset(KERNEL, shape=(4, 4), chunks=(2, 2), dtype="<f4")[:2, :2] = 1


@with_file
def shape_bomb(file: h5py.File) -> None:
    file.create_dataset(KERNEL, shape=(10**6, 10**6), chunks=(1000, 1000), dtype="<f4", compression=9)[:1000, :1000] = 0


@with_file
def texts(file: h5py.File) -> None:
    file.create_dataset(KERNEL, data=["a", "b"])


@with_file
def records(file: h5py.File) -> None:
    file.create_dataset(KERNEL, data=np.zeros(3, dtype=[("a", "<f4"), ("b", "<i4")]))


@with_file
def groups_in_a_circle(file: h5py.File) -> None:
    file.create_group("layers/a/layers")
    file["layers/a/layers/a"] = file["layers/a"]


@with_file
def groups_without_end(file: h5py.File) -> None:
    file.create_group("/".join(["layers", "a"] * 40))


@with_file
def not_of_keras(file: h5py.File) -> None:
    file["x"] = np.ones(3)


@with_file
def empty_file(file: h5py.File) -> None:
    pass


@with_file
def listed_layer_that_is_missing(file: h5py.File) -> None:
    file.attrs["layer_names"] = ["a"]


@with_file
def listed_weight_that_is_missing(file: h5py.File) -> None:
    file.attrs["layer_names"] = ["a"]
    file.create_group("a").attrs["weight_names"] = ["a/kernel:0"]


@with_file
def listed_weight_that_is_a_group(file: h5py.File) -> None:
    file.attrs["layer_names"] = ["a"]
    file.create_group("a").attrs["weight_names"] = ["a"]
    file.create_group("a/a")


@with_file
def two_of_one_name(file: h5py.File) -> None:
    file.attrs["layer_names"] = ["a", "a"]
    file.create_group("a").attrs["weight_names"] = ["a/kernel:0"]
    file["a/a/kernel:0"] = np.ones((2, 3), np.float32)


def a_pickle(path: Path) -> None:
    path.write_bytes(b"\x80\x04\x95" + bytes(100))


def half(path: Path) -> None:
    content = (DATA / "seq.weights_legacy.h5").read_bytes()
    path.write_bytes(content[: len(content) // 2])


def tensor(problem: str, fix: str = WRITE_ANEW, name: str = KERNEL) -> str:
    return f"{{path}}, tensor '{name}': {problem}\n  {fix}"


REFUSED = {
    external_link: tensor("is a link (ExternalLink), which is not followed"),
    soft_link: tensor("is a link (SoftLink), which is not followed"),
    external_data: tensor("keeps its data in another file, '/etc/hostname'"),
    virtual_dataset: tensor("is a virtual dataset, put together from other files"),
    never_written: tensor("has the shape (2, 3) but no data"),
    huge_and_never_written: tensor("has the shape (1000000, 1000000) but no data"),
    missing_chunks: tensor("has 1 of its 4 chunks of data"),
    shape_bomb: tensor("would take 4000000000000 bytes, and {stored} are in the file: more than 100 times as many"),
    texts: tensor("is of type object, which is no array of numbers"),
    records: tensor("is of type [('a', '<f4'), ('b', '<i4')], which is no array of numbers"),
    groups_in_a_circle: "{path}: its groups are nested without end\n  Give a file written by Keras' save_weights.",
    groups_without_end: "{path}: its groups are nested without end\n  Give a file written by Keras' save_weights.",
    not_of_keras: (
        "{path}: holds no weights in a layout of Keras\n  Give a file written by model.save or save_weights."
    ),
    empty_file: "{path}: holds no weights in a layout of Keras\n  Give a file written by model.save or save_weights.",
    listed_layer_that_is_missing: "{path}: lists the layer 'a', and has no list of its weights\n  Give a whole file.",
    listed_weight_that_is_missing: (
        "{path}: lists the weight 'a/kernel:0' of layer 'a', and has no data\n  Give a whole file."
    ),
    listed_weight_that_is_a_group: "{path}: lists the weight 'a' of layer 'a', and has no data\n  Give a whole file.",
    two_of_one_name: tensor("two tensors have this name", "Write the file anew, each name once.", "a/kernel:0"),
    a_pickle: "{path}: is not an HDF5 file, or only a part of one\n  Give a whole file.",
    half: "{path}: is not an HDF5 file, or only a part of one\n  Give a whole file.",
}


@pytest.mark.parametrize(("craft", "message"), REFUSED.items(), ids=[craft.__name__ for craft in REFUSED])
def test_an_hdf5_file_that_is_refused_says_why(craft: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    craft(path)
    with pytest.raises(WeightFileError) as caught:
        read_weights(path)
    stored = stored_bytes(path) if "{stored}" in message else 0  # depends on the version of zlib
    assert str(caught.value) == message.format(path=path, stored=stored)


def stored_bytes(path: Path) -> int:
    with h5py.File(path) as file:
        return int(file[KERNEL].id.get_storage_size())


@pytest.mark.parametrize("craft", REFUSED, ids=[craft.__name__ for craft in REFUSED])
def test_the_same_in_an_archive_is_refused(craft: Callable[[Path], None], tmp_path: Path) -> None:
    craft(tmp_path / "a.h5")
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.write(tmp_path / "a.h5", "model.weights.h5")
    with pytest.raises(WeightFileError, match=str(tmp_path / "a.keras")):
        read_weights(tmp_path / "a.keras")


def weights_member() -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file[KERNEL] = np.arange(6, dtype=np.float32).reshape(2, 3)
        file["layers/dense/vars"].attrs["name"] = "d"
    return stream.getvalue()


def archive_of(*members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def patched(content: bytes, at: int, value: bytes, *, member: bool = False) -> bytes:
    """The archive with bytes of its first central (or local) header replaced."""
    start = content.index(b"PK\x03\x04" if member else b"PK\x01\x02") + at
    return content[:start] + value + content[start + len(value) :]


def compressed(content: bytes) -> int:
    return zipfile.ZipFile(io.BytesIO(content)).infolist()[0].compress_size


GOOD = archive_of(("model.weights.h5", weights_member()))
TWO = archive_of(("a", bytes(50)), ("b", bytes(50)))
BOMB = archive_of(("model.weights.h5", bytes(2**27)), compression=zipfile.ZIP_DEFLATED)
ANEW = "Write the archive anew, without compression."

ARCHIVES = {
    "no zip": (weights_member(), "{path}: is not a zip archive, or only a part of one\n  Give a whole file."),
    "cut": (GOOD[:-30], "{path}: is not a zip archive, or only a part of one\n  Give a whole file."),
    "no weights": (
        archive_of(("config.json", b"{}")),
        "{path}: holds no 'model.weights.h5'\n  Give a file written by model.save of Keras 3.",
    ),
    "a name that leads out": (
        archive_of(("../model.weights.h5", weights_member())),
        "{path}, member '../model.weights.h5': has a name that leads out of the archive's folder\n  " + ANEW,
    ),
    "an absolute name": (
        archive_of(("/model.weights.h5", weights_member())),
        "{path}, member '/model.weights.h5': has a name that leads out of the archive's folder\n  " + ANEW,
    ),
    "a bomb": (
        BOMB,
        f"{{path}}, member 'model.weights.h5': would take 134217728 bytes, and {compressed(BOMB)} are in the file: "
        "more than 100 times as many\n  " + ANEW,
    ),
    "an encrypted member": (
        patched(GOOD, 8, b"\x01"),
        "{path}, member 'model.weights.h5': is encrypted\n  " + ANEW,
    ),
    "a member beyond the end": (
        patched(GOOD, 20, (10**6).to_bytes(4, "little") * 2),
        "{path}, member 'model.weights.h5': reaches beyond the end of the file\n  " + ANEW,
    ),
    "sizes that differ": (
        patched(GOOD, 24, (17).to_bytes(4, "little")),
        f"{{path}}, member 'model.weights.h5': is stored in {len(weights_member())} bytes, and is said to have 17\n  "
        + ANEW,
    ),
    "members that overlap": (
        patched(TWO, 20, (60).to_bytes(4, "little") * 2),
        "{path}, member 'b': overlaps the member before it\n  " + ANEW,
    ),
    "a wrong length": (
        patched(archive_of(("model.weights.h5", weights_member()), compression=zipfile.ZIP_DEFLATED), 24, b"\xff\xff"),
        f"{{path}}, member 'model.weights.h5': has {len(weights_member())} bytes, and is said to have 65535\n  " + ANEW,
    ),
}


@pytest.mark.parametrize(("content", "message"), ARCHIVES.values(), ids=ARCHIVES)
def test_an_archive_that_is_refused_says_why(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "inner" / "a.keras"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(WeightFileError) as caught:
        read_weights(path)
    assert str(caught.value) == message.format(path=path)
    assert [found.name for found in tmp_path.iterdir()] == ["inner"]


@pytest.mark.parametrize("place", [0, -1], ids=["where HDF5 tells what it is", "in a value"])
def test_bytes_that_are_not_those_of_the_checksum_are_refused(place: int, tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    member = weights_member()
    whole = archive_of(("model.weights.h5", member))
    at = whole.index(member) + place % len(member)
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
    with pytest.raises(WeightFileError) as error:
        read_weights(path)
    assert str(error.value) == (
        f"{path}, member 'model.weights.h5': is damaged: its bytes are not those that its checksum was made of\n"
        "  Save or copy the file anew."
    )


def test_an_interrupt_does_not_wait_for_the_checksum(tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    whole = archive_of(("model.weights.h5", weights_member()))
    path.write_bytes(whole)
    with pytest.raises(KeyboardInterrupt), Archive(path).proven("model.weights.h5"):
        raise KeyboardInterrupt


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.keras"
    with pytest.warns(UserWarning, match="Duplicate name"):
        path.write_bytes(archive_of(("model.weights.h5", weights_member()), ("model.weights.h5", b"x")))
    with pytest.raises(WeightFileError, match=r"member 'model\.weights\.h5': is there twice"):
        read_weights(path)


def test_a_compressed_archive_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.keras"
    path.write_bytes(archive_of(("model.weights.h5", weights_member()), compression=zipfile.ZIP_DEFLATED))
    (weight,) = read_weights(path).values()
    assert (weight.name, weight.read().tolist()) == ("d.weight", [[0, 3], [1, 4], [2, 5]])


@pytest.mark.parametrize("config", [b"{", b"[" * 100_000, b'{"config": {"layers": [{"config": 3}, 7]}}', b"\xff"])
def test_a_configuration_that_says_nothing_is_passed_over(config: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.keras"
    path.write_bytes(archive_of(("config.json", config), ("model.weights.h5", weights_member())))
    assert list(read_weights(path)) == ["d.weight"]


LIMITED = """
import resource, sys
from pathlib import Path
from converters.errors import WeightFileError
from converters.weights import read_weights
from converters.weights.archive import Archive
resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30))
try:
    [weight.read() for weight in read_weights(Path(sys.argv[1])).values()]
except WeightFileError:
    sys.exit(0)
sys.exit(1)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of memory are POSIX'")
@pytest.mark.parametrize("craft", [shape_bomb, huge_and_never_written], ids=lambda craft: craft.__name__)
def test_what_is_too_large_is_refused_in_little_memory(craft: Callable[[Path], None], tmp_path: Path) -> None:
    craft(tmp_path / "a.h5")
    subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path / "a.h5")], check=True, timeout=60)


@pytest.mark.parametrize("name", ["seq.weights_legacy.h5", "unet.model_legacy.h5"])
def test_a_truncated_file_is_whole_weights_or_a_weight_file_error(name: str, tmp_path: Path) -> None:
    whole = (DATA / name).read_bytes()
    path = tmp_path / "a.h5"
    for length in range(1, len(whole), 509):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightFileError):
            [weight.read() for weight in read_weights(path).values()]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_damaged_file_raises_a_weight_file_error_only(data: st.DataObject, tmp_path: Path) -> None:
    content = bytearray(GOOD)
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a.keras").write_bytes(content)
    try:
        for weight in read_weights(tmp_path / "a.keras").values():
            weight.read()
    except WeightFileError:
        pass


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of torch, while Keras saves
def test_an_archive_that_is_never_closed_does_not_crash_the_program(tmp_path: Path) -> None:
    """HDF5 closes its files after Python is gone: it must not need Python for that."""
    path = tmp_path / "net.keras"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)]).save(path)
    program = """
import gc, sys
from pathlib import Path
from converters.weights import read_weights
from converters.weights.archive import Archive
kept = [read_weights(Path(sys.argv[1]))]
kept.append(kept)
gc.freeze()
"""
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
