"""Files that appear whole or not at all, alone or with others that belong to them."""

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from converters.errors import UserError

__all__ = ["refused_unless_written", "replacing", "replacing_or_refused", "replacing_with_others"]


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A path to write to; on success the file is flushed to disk and renamed to `path`, on an exception it is removed.

    The temporary file lies beside `path` (a rename is atomic only within a file system) under a name that starts with a
    dot.

    Args:
        durable: whether to wait for the disk, so that a power failure too leaves the old file or the new one whole;
            without it that holds for a killed program only.
    """
    path = path.resolve()  # through a link to the file that it stands for
    if path.exists() and not path.is_file():
        yield path  # a device or a pipe takes what is written, and cannot be replaced
        return
    with _written_beside(path) as temporary:
        yield temporary
        if durable:
            _sync(temporary)
        _take_permissions(temporary, path)
        os.replace(temporary, path)
        if durable:
            _sync(path.parent)


@contextlib.contextmanager
def replacing_with_others(
    path: Path, names: Callable[[str], Sequence[str]], *, durable: bool = True, obsolete: Iterable[Path] = ()
) -> Iterator[tuple[Path, dict[str, Path]]]:
    """A path to write to in the place of `path`, and by name those of other files in its folder that belong to it.

    The others get names that no file has, and get them first; then `path` is replaced. So at every instant what stands
    at `path` is the old file or the new one, each with its own others beside it.

    Args:
        names: gives the names of the others, with a text in them by which they differ from those of other attempts; the
            first text is empty.
        durable: as of `replacing`.
        obsolete: files that belonged to what stood at `path`; removed at last.
    """
    path = path.resolve()
    others = next(n for n in map(names, _attempts()) if not any(os.path.lexists(path.with_name(name)) for name in n))
    placed: list[Path] = []
    try:
        with contextlib.ExitStack() as stack:
            temporary = stack.enter_context(_written_beside(path))
            beside = {name: stack.enter_context(_written_beside(path.with_name(name))) for name in others}
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


@contextlib.contextmanager
def replacing_or_refused(path: Path, refusal: type[UserError], *, durable: bool = True) -> Iterator[Path]:
    """As `replacing`, for a file that the user names.

    Raises:
        UserError: of the class given, if the file cannot be written.
    """
    with refused_unless_written(path, refusal), replacing(path, durable=durable) as temporary:
        yield temporary


@contextlib.contextmanager
def refused_unless_written(path: Path, refusal: type[UserError]) -> Iterator[None]:
    """What the system says while a file is written, told to the user.

    Raises:
        UserError: of the class given, for any OSError.
    """
    try:
        yield
    except OSError as error:
        raise refusal(
            f"cannot be written: {error.strerror or error}",
            place=str(path),
            fix="Give a file in a folder that exists and can be written.",
        ) from None


@contextlib.contextmanager
def _written_beside(path: Path) -> Iterator[Path]:
    """A new file beside `path`; removed unless it was renamed."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{path.suffix}")
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
