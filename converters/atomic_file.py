"""Files that appear whole or not at all, alone or with others that belong to them."""

import contextlib
import errno
import logging
import os
import re
import secrets
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from converters.errors import UserError, WritingFailed

__all__ = [
    "not_written",
    "refused_unless_written",
    "replacing",
    "replacing_or_refused",
    "replacing_with_others",
    "temporary_beside",
]

logger = logging.getLogger(__name__)

FREE_SPACE = "Free some space there, or write to another disk."

FIXES_OF_DISKS = {
    errno.ENOSPC: FREE_SPACE,
    errno.EDQUOT: FREE_SPACE,
    errno.EFBIG: "Raise the limit of the size of files, or write to a disk that holds larger ones.",
    errno.EIO: "Look after that disk, or write to another one.",
}
"""What to do where the system could not write a file that may be written."""

PROCESSES = Path("/proc/self/ns/pid")
"""Where Linux tells processes apart that count for themselves, as those of containers do."""


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A path to write to; on success the file is flushed to disk and renamed to `path`, on an exception it is removed.

    The temporary file lies beside `path` (a rename is atomic only within a file system) under a name that starts with a
    dot. Those that killed programs left for this path are removed at last.

    Args:
        durable: whether to wait for the disk, so that a power failure too leaves the old file or the new one whole;
            without it that holds for a killed program only.
    """
    path = path.resolve()  # through a link to the file that it stands for
    if path.exists() and not path.is_file():
        yield path  # a device or a pipe takes what is written, and cannot be replaced
        return
    with _written_beside(path, path.suffix) as temporary:
        yield temporary
        if durable:
            _sync(temporary)
        _take_permissions(temporary, path)
        os.replace(temporary, path)
        if durable:
            _sync(path.parent)
    _remove_abandoned(path)


@contextlib.contextmanager
def replacing_with_others(
    path: Path, names: Callable[[str], Sequence[str]], *, durable: bool = True, obsolete: Sequence[Path] = ()
) -> Iterator[tuple[Path, dict[str, Path]]]:
    """A path to write to in the place of `path`, and by name those of other files in its folder that belong to it.

    The others get names that no file has, and get them first; then `path` is replaced. So at every instant what stands
    at `path` is the old file or the new one, each with its own others beside it.

    Args:
        names: gives the names of the others, with a text in them by which they differ from those of other attempts; the
            first text is empty.
        durable: as of `replacing`.
        obsolete: files that belonged to what stood at `path`; removed at last, which is logged.
    """
    path = path.resolve()
    others = next(n for n in map(names, _attempts()) if not any(os.path.lexists(path.with_name(name)) for name in n))
    placed: list[Path] = []
    try:
        with contextlib.ExitStack() as stack:
            temporary = stack.enter_context(_written_beside(path, path.suffix))
            beside = {name: stack.enter_context(_written_beside(path, Path(name).suffix)) for name in others}
            yield temporary, beside
            if durable:
                for written in (temporary, *beside.values()):
                    _sync(written)
            for name, other in beside.items():
                os.rename(other, path.with_name(name))
                placed.append(path.with_name(name))
            _take_permissions(temporary, path)
            os.replace(temporary, path)
            placed.clear()
    finally:
        for other in placed:
            other.unlink()
    if durable:
        _sync(path.parent)
    for old in obsolete:
        old.unlink(missing_ok=True)
    if obsolete:
        names_of_old = ", ".join(str(old) for old in obsolete)
        logger.warning("removed what belonged to the file that %s replaced: %s", path.name, names_of_old)
    _remove_abandoned(path)


@contextlib.contextmanager
def replacing_or_refused(path: Path, refusal: type[UserError], *, durable: bool = True) -> Iterator[Path]:
    """As `replacing`, for a file that the user names.

    Raises:
        UserError: of the class given, if the file cannot be written there.
        WritingFailed: if the disk is full or broken.
    """
    with refused_unless_written(path, refusal), replacing(path, durable=durable) as temporary:
        yield temporary


@contextlib.contextmanager
def refused_unless_written(path: Path, refusal: type[UserError]) -> Iterator[None]:
    """What the system says while a file is written, told to the user.

    Raises:
        UserError: of the class given, for any OSError of another cause than the disk.
        WritingFailed: for those.
    """
    try:
        yield
    except OSError as error:
        raise not_written(error, path, refusal) from None


def not_written(error: OSError, path: Path, refusal: type[UserError], what: str = "") -> UserError:
    """What tells the user that a file was not written.

    Args:
        refusal: the class of the error, if the file cannot be written there: else it is WritingFailed.
        what: the file, as the subject of the sentence.
    """
    problem = f"{what} cannot be written: {error.strerror or error}".lstrip()
    fix = FIXES_OF_DISKS.get(error.errno or 0)
    if fix is not None:
        return WritingFailed(problem, place=str(path), fix=fix)
    return refusal(problem, place=str(path), fix="Give a file in a folder that exists and can be written.")


def temporary_beside(path: Path, suffix: str) -> Path:
    """A new name for what will stand at `path`, or belong to it. It says which process it is of."""
    return path.with_name(f".{path.name}.{_system()}-{os.getpid()}-{secrets.token_hex(4)}{suffix}")


def _remove_abandoned(path: Path) -> None:
    """Remove files that were begun for `path` by processes of this system that are no more."""
    own = re.compile(rf"\.{re.escape(path.name)}\.{_system()}-(\d+)-[0-9a-f]{{8}}(\..*)?")
    with contextlib.suppress(OSError):  # `path` is written, whatever may be listed or removed beside it
        for name in os.listdir(path.parent):
            found = own.fullmatch(name)
            if found is not None and not _runs(int(found[1])):
                path.with_name(name).unlink(missing_ok=True)


def _system() -> str:
    """What is the same for processes that know each other by number, and differs on machines that share a disk."""
    space = os.readlink(PROCESSES) if os.path.lexists(PROCESSES) else ""
    name = os.uname().nodename if hasattr(os, "uname") else ""
    return f"{zlib.crc32(f'{name} {space}'.encode()):08x}"


def _runs(process: int) -> bool:
    """Whether there is a process of this number, as far as can be told."""
    if os.name != "posix":
        return True  # elsewhere to ask would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@contextlib.contextmanager
def _written_beside(path: Path, suffix: str) -> Iterator[Path]:
    """A new file beside `path`; removed unless it was renamed."""
    temporary = temporary_beside(path, suffix)
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _attempts() -> Iterator[str]:
    yield ""
    number = 2
    while True:
        yield f"-{number}"
        number += 1


def _take_permissions(temporary: Path, path: Path) -> None:
    if path.exists():
        os.chmod(temporary, path.stat().st_mode & 0o777)


def _sync(path: Path) -> None:
    """Make a file survive a power failure, or the names in a folder, where folders can be opened (not on Windows)."""
    if os.name == "posix" or not path.is_dir():
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
