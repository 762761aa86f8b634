"""Bytes that go from file to file: by the system, or without its help; and files that end too early."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.errors import WeightFileError, WritingFailed
from converters.weights import Weight, read_weights, write_weights
from converters.weights.stored import PIECE_BYTES, ByteRange, OpenFile
from tests.small_models import numbered

CONTENT = np.random.default_rng(0).bytes(PIECE_BYTES + 1000)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").write_bytes(CONTENT)
    return tmp_path / "source"


def copied(source: Path, start: int, length: int) -> bytes:
    out = source.with_name("out")
    out.write_bytes(b"before")
    with out.open("r+b") as file:
        file.seek(6)
        ByteRange(OpenFile(source), start, length).tofile(file)
        file.write(b"behind")
    return out.read_bytes()


def refuses(error: int) -> Any:
    def copy_file_range(*_arguments: Any) -> int:
        raise OSError(error, os.strerror(error))

    return copy_file_range


def stops_halfway(source: int, target: int, count: int, start: int, place: int) -> int:
    """As file systems may: some bytes, then none, without an error."""
    if start > 10:
        return 0
    return os.pwrite(target, os.pread(source, count // 2, start), place)


SYSTEMS = {
    "copies": os.copy_file_range,
    "has no such call": None,
    "cannot between these file systems": refuses(errno.EXDEV),
    "does not know it": refuses(errno.ENOSYS),
    "stops halfway": stops_halfway,
}


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_a_range_is_copied_whatever_the_system_can(system: Any, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if system is None:
        monkeypatch.delattr(os, "copy_file_range")
    else:
        monkeypatch.setattr(os, "copy_file_range", system)
    length = PIECE_BYTES + 500
    assert copied(source, 10, length) == b"before" + CONTENT[10 : 10 + length] + b"behind"


def test_a_file_that_ends_before_says_where(source: Path) -> None:
    with pytest.raises(WeightFileError) as caught:
        copied(source, 1000, len(CONTENT))
    assert str(caught.value) == (
        f"{source}: ends at byte {len(CONTENT)}, and byte {min(1000 + len(CONTENT), len(CONTENT) + PIECE_BYTES)} is "
        "needed\n  Give a whole file, and leave it while it is read."
    )


def test_what_is_read_is_what_was_there_when_the_file_was_opened(source: Path) -> None:
    opened = OpenFile(source)
    source.unlink()
    source.write_bytes(b"another file of the same name")
    assert opened.read(5, 20).tobytes() == CONTENT[5:25]


def test_pieces_follow_on_each_other(source: Path) -> None:
    lies = ByteRange(OpenFile(source), 3, PIECE_BYTES + 100)
    pieces = [piece.tobytes() for piece in lies.pieces()]
    assert [len(piece) for piece in pieces] == [PIECE_BYTES, 100]
    assert b"".join(pieces) == CONTENT[3 : PIECE_BYTES + 103]


def test_a_cast_is_made_in_pieces_and_counts_all_that_overflows(tmp_path: Path) -> None:
    array = numbered((PIECE_BYTES // 4 + 10,))
    array[[0, -1]] = 1e9
    np.save(tmp_path / "a.npy", array)
    weight = read_weights(tmp_path / "a.npy")["a"]
    cast = weight.cast(np.float64)
    assert [len(piece) for piece in cast.pieces()] == [PIECE_BYTES // 4, 10]
    np.testing.assert_array_equal(np.concatenate(list(cast.pieces())), array)
    half = weight.cast(np.float16)
    with pytest.raises(WeightFileError) as caught:
        list(half.pieces())
    with pytest.raises(WeightFileError) as whole:
        half.read()
    assert str(caught.value) == str(whole.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".npy", ".pt"])
def test_a_full_disk_is_said_and_nothing_is_left(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: Any, **_options: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Weight, "tofile", full)
    monkeypatch.setattr(Weight, "pieces", full)
    array = numbered((3,))
    path = tmp_path / f"a{suffix}"
    with pytest.raises(WritingFailed) as caught:
        write_weights(path, {"a": Weight("a", array.shape, array.dtype, lambda: array, "memory")})
    assert str(caught.value) == (
        f"{path}: cannot be written: No space left on device\n  Free some space there, or write to another disk."
    )
    assert list(tmp_path.iterdir()) == []
