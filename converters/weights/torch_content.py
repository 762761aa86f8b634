"""What a torch checkpoint holds, read as data: nothing in it is run, and it takes no more than it seems to.

torch's own reader for strangers' files (`weights_only=True`) names no code before it meets it, takes a storage that is
shorter than its tensor for whole, and walks through a pickle one operation at a time. So files are looked into before.
"""

import io
import pickle
import pickletools
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from mmap import PAGESIZE
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from converters.errors import WeightFileError
from converters.weights.archive import Archive
from converters.weights.stored import ByteRange, OpenFile
from converters.weights.torch_plain import PLAIN, plain_taken

if TYPE_CHECKING:
    import torch

__all__ = ["TorchContent", "load_content"]

PICKLE_MEMBER = "data.pkl"
STORAGE_FOLDER = "data/"

MAX_PICKLE_BYTES = 2**24
"""Of a checkpoint whose storages lie beside its pickle: that of 50 000 tensors takes some 10 MB. In a longer one, the
operations are counted before it is read."""

MAX_OPCODES = 10**6
"""Of a pickle that holds its storages, as torch before 1.6 wrote it, or arrays of NumPy."""

PICKLES = 4
"""In such a file: a number, a version, the system, the content."""

HARMLESS = ("torch.", "collections.OrderedDict", "_codecs.encode", "__builtin__.bytes", *PLAIN)

STATE_DICT_ALONE = "Save the state dict alone: torch.save(model.state_dict(), path)."


@dataclass(frozen=True)
class TorchContent:
    """What a checkpoint holds.

    Args:
        content: dicts, lists, numbers, arrays of NumPy (`PlainArray`) and tensors, which of a zip archive are mapped
            into memory.
        file: the archive; None of an older file, which was read whole, or if it cannot be told where tensors lie in it.
        shift: the address of a storage, less its place in the archive.
    """

    content: Any
    file: OpenFile | None = None
    shift: int = 0

    def locate(self, tensor: "torch.Tensor") -> ByteRange | None:
        """Where the values of a tensor lie in the file in one piece, in C order; None if they do not."""
        if self.file is None or not tensor.is_contiguous() or tensor.is_neg() or tensor.is_conj():
            return None
        return ByteRange(self.file, tensor.data_ptr() - self.shift, tensor.numel() * tensor.element_size())


def load_content(path: Path) -> TorchContent:
    """What a checkpoint holds.

    Raises:
        WeightFileError: if the file is broken, would run code, or is not what it says.
    """
    import torch

    archive = Archive(path) if zipfile.is_zipfile(path) else None
    file = OpenFile(path) if archive is None else archive.open_file
    if archive is not None:
        _require_small_pickle(archive)
    else:
        _require_few_operations(path)
    try:
        with (
            plain_taken(),
            warnings.catch_warnings(),
        ):  # about TorchScript archives and old pickles: the error says more
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=archive is not None)
    except pickle.UnpicklingError as error:
        code = _code_needed(path, is_zip=archive is not None)
        if code:
            raise WeightFileError(
                f"reading it would run code: {', '.join(code)}", place=str(path), fix=STATE_DICT_ALONE
            ) from None
        raise _broken(path, error) from error
    except Exception as error:  # the bytes of a pickle are a program: a broken one can raise anything
        raise _broken(path, error) from error
    file.require_at_path()  # what torch read of the path is what was looked into before
    return TorchContent(content) if archive is None else _mapped(content, archive)


def _require_small_pickle(archive: Archive) -> None:
    """Nothing, if the archive's pickle is small, or is large as it holds arrays of NumPy, in few operations."""
    for name in archive.names:
        if name.endswith(f"/{PICKLE_MEMBER}") and archive.size(name) > MAX_PICKLE_BYTES:
            if _operations(io.BytesIO(archive.data(name).tobytes())) < MAX_OPCODES:
                continue
            raise WeightFileError(
                f"has {archive.size(name)} bytes, more than the list of any network's tensors",
                place=f"{archive.file}, member '{name}'",
                fix=STATE_DICT_ALONE,
            )


def _operations(file: IO[bytes]) -> int:
    """How many operations the pickles at the beginning of a file consist of, as far as `MAX_OPCODES`."""
    return sum(1 for _opcode in islice(_opcodes(file), MAX_OPCODES))


def _require_few_operations(path: Path) -> None:
    with path.open("rb") as file:
        count = _operations(file)
    if count == MAX_OPCODES:
        raise WeightFileError(
            f"is a pickle of {MAX_OPCODES} operations or more, which the list of no network's tensors takes",
            place=str(path),
            fix=STATE_DICT_ALONE,
        )


def _mapped(content: Any, archive: Archive) -> TorchContent:
    """The content of an archive, and where its storages lie in the file; without that where it cannot be told.

    torch does not say which member a storage was mapped from. It maps the file in one piece, which begins at a page, so
    the distances between storages are those between their members. Where these fit at several places, as lengths that
    repeat can, none is taken.

    Raises:
        WeightFileError: if a storage is not as long as a member that lies there.
    """
    held = {storage.data_ptr(): storage.nbytes() for storage in _storages(content) if storage.nbytes()}
    ranges = {name: archive.range(name) for name in archive.names if f"/{STORAGE_FOLDER}" in name}
    members = {lies.start: lies.length for lies in ranges.values() if lies is not None}
    if not held:
        return TorchContent(content, archive.open_file)
    first = min(held)
    shifts = [first - start for start in members if (first - start) % PAGESIZE == 0]
    fitting = [s for s in shifts if all(members.get(place - s) == size for place, size in held.items())]
    if not fitting:
        raise WeightFileError(
            "holds tensors that need more bytes than are stored for them, or compressed ones",
            place=archive.file,
            fix="Give a whole file written by torch.save.",
        )
    return TorchContent(content, archive.open_file, fitting[0]) if len(fitting) == 1 else TorchContent(content)


def _storages(content: Any) -> Iterator["torch.UntypedStorage"]:
    import torch

    left, seen = [content], set()
    while left:
        value = left.pop()
        if isinstance(value, torch.Tensor):
            if value.layout == torch.strided and not value.is_meta:
                yield value.untyped_storage()
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            left += value.values() if isinstance(value, Mapping) else value


def _code_needed(path: Path, *, is_zip: bool) -> list[str]:
    """What of Python the file names that is not among what torch takes for harmless."""
    if is_zip:
        from torch.serialization import get_unsafe_globals_in_checkpoint

        with plain_taken():
            return sorted(get_unsafe_globals_in_checkpoint(str(path)))
    with path.open("rb") as file:
        return sorted({name for name in _globals(file) if not name.startswith(HARMLESS)})


def _globals(file: IO[bytes]) -> Iterator[str]:
    """The names of Python that pickles refer to."""
    texts: list[str] = []
    for opcode, argument in islice(_opcodes(file), MAX_OPCODES):
        if opcode == "GLOBAL":
            yield str(argument).replace(" ", ".")
        elif opcode == "STACK_GLOBAL" and len(texts) > 1:
            yield ".".join(texts[-2:])
        elif isinstance(argument, str):
            texts.append(argument)


def _opcodes(file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    """The operations of the pickles at the beginning of a file, as far as they are whole."""
    try:
        for _pickle in range(PICKLES):
            for opcode, argument, _position in pickletools.genops(file):
                yield opcode.name, argument
    except (ValueError, IndexError, MemoryError, OverflowError):
        return  # here they break off


def _broken(path: Path, error: Exception) -> WeightFileError:
    return WeightFileError(
        f"is not a whole PyTorch checkpoint that can be read without running code ({type(error).__name__})",
        place=str(path),
        fix="Give a file written by torch.save(model.state_dict(), path).",
    )
