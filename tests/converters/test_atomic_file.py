"""Files appear whole, under the name that was asked for, whatever stands there."""

import errno
import os
from pathlib import Path

import pytest

from converters.atomic_file import replacing, replacing_or_refused
from converters.errors import UserError, WeightFileError, WritingFailed


def write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text)


def test_a_link_still_points_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def test_a_pipe_takes_what_is_written_and_stays_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write(tmp_path / "pipe", "new")
    assert os.read(reader, 10) == b"new"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_a_replaced_file_keeps_its_permissions_and_a_new_one_follows_the_umask(tmp_path: Path) -> None:
    (tmp_path / "old").touch(mode=0o600)
    before = os.umask(0o027)
    try:
        write(tmp_path / "old", "new")
        write(tmp_path / "fresh", "new")
    finally:
        os.umask(before)
    assert (tmp_path / "old").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "fresh").stat().st_mode & 0o777 == 0o640


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")

    def interrupted() -> None:
        with replacing(tmp_path / "file") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("durable", [True, False])
def test_only_a_durable_file_waits_for_the_disk(durable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    with replacing(tmp_path / "file", durable=durable) as temporary:
        temporary.write_text("new")
    assert (tmp_path / "file").read_text() == "new"
    assert bool(flushed) == durable


DISKS = {
    errno.ENOSPC: "No space left on device\n  Free some space there, or write to another disk.",
    errno.EDQUOT: "Disk quota exceeded\n  Free some space there, or write to another disk.",
    errno.EFBIG: "File too large\n  Raise the limit of the size of files, or write to a disk that holds larger ones.",
    errno.EIO: "Input/output error\n  Look after that disk, or write to another one.",
}
PLACES = {
    errno.EACCES: "Permission denied",
    errno.EROFS: "Read-only file system",
    errno.ENOENT: "No such file or directory",
}


def refusal(number: int, path: Path) -> UserError:
    def failing() -> None:
        with replacing_or_refused(path, WeightFileError):
            raise OSError(number, os.strerror(number))

    with pytest.raises(UserError) as caught:
        failing()
    assert list(path.parent.iterdir()) == []
    return caught.value


@pytest.mark.parametrize(("number", "said"), DISKS.items())
def test_a_disk_that_fails_is_no_bad_input(number: int, said: str, tmp_path: Path) -> None:
    error = refusal(number, tmp_path / "file")
    assert type(error) is WritingFailed
    assert str(error) == f"{tmp_path / 'file'}: cannot be written: {said}"


@pytest.mark.parametrize(("number", "said"), PLACES.items())
def test_a_place_that_cannot_be_written_is_bad_input(number: int, said: str, tmp_path: Path) -> None:
    error = refusal(number, tmp_path / "file")
    assert type(error) is WeightFileError
    fix = "Give a file in a folder that exists and can be written."
    assert str(error) == f"{tmp_path / 'file'}: cannot be written: {said}\n  {fix}"
