"""Zip archives of strangers (`.keras`, `.npz`): members are read where they lie, and nothing is ever unpacked to disk.

Refused are members with names that lead out of a folder, two of one name, encrypted ones, those that overlap or reach
beyond the file, and those that would become much larger than they are stored.
"""

import os
import weakref
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from threading import Event
from types import MappingProxyType
from typing import Any

import numpy as np

from converters.errors import WeightFileError
from converters.weights.expansion import expansion_problem
from converters.weights.stored import ByteRange, OpenFile
from converters.weights.weight import Array

__all__ = ["Archive", "put_member"]

LOCAL_HEADER_BYTES = 30
LENGTHS_AT = 26
"""Where a local header holds the lengths of the name and of the extra field that follow it, two bytes each."""

ENCRYPTED = 0x1

WRITE_ANEW = "Write the archive anew, without compression."


def put_member(archive: zipfile.ZipFile, like: zipfile.ZipInfo, pieces: Iterable[Any]) -> None:
    """Add a member to an archive that is written, named, dated and compressed as another is.

    Args:
        pieces: its bytes, one after the other.
    """
    member = zipfile.ZipInfo(like.filename, like.date_time)
    member.compress_type, member.external_attr = like.compress_type, like.external_attr
    with archive.open(member, "w", force_zip64=True) as stream:
        for piece in pieces:
            stream.write(piece)


class Archive:
    """The members of a zip file, mapped into memory.

    Raises:
        WeightFileError: if it is no zip archive, or one that cannot be read in good faith.
    """

    def __init__(self, path: Path) -> None:
        self.file = str(path)
        try:
            self._open = OpenFile(path)
            self._bytes: Array = self._open.mapped()
            stream = os.fdopen(os.dup(self._open.descriptor), "rb")
            weakref.finalize(self, stream.close)
            self._zip = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise WeightFileError(
                "is not a zip archive, or only a part of one", place=self.file, fix="Give a whole file."
            ) from error
        self._starts: dict[str, int] = {}
        members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            self._check(info, taken=info.filename in members)
            members[info.filename] = info
        self._refuse_overlaps(members)
        self._members: Mapping[str, zipfile.ZipInfo] = MappingProxyType(members)

    @property
    def open_file(self) -> OpenFile:
        """The file."""
        return self._open

    @property
    def names(self) -> tuple[str, ...]:
        """Of the members, in the order of the archive."""
        return tuple(self._members)

    def size(self, name: str) -> int:
        """The bytes of a member, decompressed."""
        return self._members[name].file_size

    def beginning(self, name: str, count: int) -> bytes:
        """Its first bytes, without the rest of it being decompressed."""
        if self._members[name].compress_type == zipfile.ZIP_STORED:
            return bytes(self.data(name)[:count])
        return self._decompressed(name, count)

    def range(self, name: str) -> ByteRange | None:
        """Where the bytes of a member lie in the file; None if they are compressed."""
        info = self._members[name]
        if info.compress_type != zipfile.ZIP_STORED:
            return None
        return ByteRange(self._open, self._starts[name], info.file_size)

    def info(self, name: str) -> zipfile.ZipInfo:
        """What the archive says of a member."""
        return self._members[name]

    def pieces(self, name: str) -> Iterator[Array]:
        """Its bytes in order, those of one that is stored as it is not all at once."""
        lies = self.range(name)
        yield from [self.data(name)] if lies is None else lies.pieces()

    def data(self, name: str) -> Array:
        """The bytes of a member; those of one that is stored as it is are not read before they are used."""
        info = self._members[name]
        if info.compress_type == zipfile.ZIP_STORED:
            start = self._starts[name]
            self._open.require_unchanged()
            return self._bytes[start : start + info.file_size]
        data = np.frombuffer(self._decompressed(name, info.file_size), np.uint8)
        self._open.require_unchanged()
        if data.size != info.file_size:
            raise self._error(name, f"has {data.size} bytes, and is said to have {info.file_size}")
        return data

    def intact(self, name: str) -> Array:
        """The bytes of a member, all read once to see that they are those that were put in.

        Raises:
            WeightFileError: if they are not.
        """
        with self.proven(name) as data:
            return data

    @contextmanager
    def proven(self, name: str) -> Iterator[Array]:
        """The bytes of a member, all read once meanwhile, in the background, to see that they are those put in.

        Raises:
            WeightFileError: at the end, if they are not; in the place of any error that they caused.
        """
        data, stop = self.data(name), Event()
        with ThreadPoolExecutor(1) as background:
            proof = background.submit(self._require_intact, name, data, stop)
            try:
                yield data
            except Exception:
                proof.result()
                raise
            except BaseException:
                stop.set()
                raise
            proof.result()

    def _require_intact(self, name: str, data: Array, stop: Event) -> None:
        checksum = 0
        for piece in [data] if self.range(name) is None else self.pieces(name):  # which maps no page of the file
            if stop.is_set():
                return
            checksum = zlib.crc32(piece.data, checksum)
        if checksum != self._members[name].CRC:
            raise WeightFileError(
                "is damaged: its bytes are not those that its checksum was made of",
                place=f"{self.file}, member '{name}'",
                fix="Save or copy the file anew.",
            )

    def _decompressed(self, name: str, count: int) -> bytes:
        try:
            with self._zip.open(name) as member:
                return member.read(count)
        except (
            zipfile.BadZipFile,
            zlib.error,
            OSError,
            EOFError,
            ValueError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            self._open.require_unchanged()
            raise self._error(name, f"cannot be decompressed ({error})") from error

    def _check(self, info: zipfile.ZipInfo, *, taken: bool) -> None:
        name = info.filename
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if ".." in parts or parts[:1] == ("/",):
            raise self._error(name, "has a name that leads out of the archive's folder")
        if taken:
            raise self._error(name, "is there twice")
        if info.flag_bits & ENCRYPTED:
            raise self._error(name, "is encrypted")
        problem = expansion_problem(info.file_size, info.compress_size)
        if problem is not None:
            raise self._error(name, problem)
        header = info.header_offset
        lengths = self._bytes[header + LENGTHS_AT : header + LOCAL_HEADER_BYTES]
        start = header + LOCAL_HEADER_BYTES + int(lengths.view("<u2").sum()) if lengths.size == 4 else -1
        stored = info.compress_type == zipfile.ZIP_STORED
        if header < 0 or start < 0 or start + info.compress_size > self._bytes.size:
            raise self._error(name, "reaches beyond the end of the file")
        if stored and info.compress_size != info.file_size:
            raise self._error(name, f"is stored in {info.compress_size} bytes, and is said to have {info.file_size}")
        self._starts[name] = start

    def _refuse_overlaps(self, members: Mapping[str, zipfile.ZipInfo]) -> None:
        end = 0
        for name, info in sorted(members.items(), key=lambda item: item[1].header_offset):
            if info.header_offset < end:
                raise self._error(name, "overlaps the member before it")
            end = self._starts[name] + info.compress_size

    def _error(self, name: str, problem: str) -> WeightFileError:
        return WeightFileError(problem, place=f"{self.file}, member '{name}'", fix=WRITE_ANEW)
