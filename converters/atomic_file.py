"""Files that appear whole or not at all."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from converters.errors import UserError

__all__ = ["replacing", "replacing_or_refused"]


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
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{path.suffix}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        yield temporary
        if durable:
            os.fsync(handle)
        if path.exists():
            os.chmod(temporary, path.stat().st_mode & 0o777)
        os.replace(temporary, path)
        if durable:
            _sync_folder(path.parent)
    finally:
        os.close(handle)
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_or_refused(path: Path, refusal: type[UserError], *, durable: bool = True) -> Iterator[Path]:
    """As `replacing`, for a file that the user names.

    Raises:
        UserError: of the class given, if the file cannot be written.
    """
    try:
        with replacing(path, durable=durable) as temporary:
            yield temporary
    except OSError as error:
        raise refusal(
            f"cannot be written: {error.strerror or error}",
            place=str(path),
            fix="Give a file in a folder that exists and can be written.",
        ) from None


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power failure, where folders can be opened (not on Windows)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
