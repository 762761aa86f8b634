"""Finding the files of a data set."""

import logging
import os
from pathlib import Path

from onnxgrid.errors import DataError

__all__ = ["find_files"]

logger = logging.getLogger(__name__)


def find_files(root: Path, suffixes: frozenset[str], *, what: str) -> dict[str, Path]:
    """The files under a directory, or the one file, by their path relative to it; sorted by that in byte order.

    Other suffixes (compared in lower case) are left out with one warning. Links to directories are followed.

    Args:
        what: the plural of what is looked for, for messages.

    Raises:
        DataError: if there is none.
    """
    found = {root.name: root} if root.is_file() else _walk(root)
    fitting = {name: path for name, path in found.items() if path.suffix.lower() in suffixes}
    known = ", ".join(sorted(suffixes))
    if not fitting:
        problem = f"this file is none of the {what}" if root.is_file() else f"the directory holds no {what}"
        raise DataError(problem, place=str(root), fix=f"Give files of these kinds: {known}.")
    others = [name for name in found if name not in fitting]
    if others:
        logger.warning("%s: skipping %d files that are no %s, such as %s", root, len(others), what, min(others))
    return dict(sorted(fitting.items(), key=lambda item: os.fsencode(item[0])))


def _walk(root: Path) -> dict[str, Path]:
    """All files under the directory by their relative path. A link back to a directory above itself is not entered."""
    found = {}
    for folder, subfolders, files in os.walk(root, followlinks=True):
        above = os.path.join(os.path.realpath(folder), "")
        subfolders[:] = [name for name in subfolders if not above.startswith(_real(folder, name))]
        for name in files:
            path = Path(folder, name)
            found[path.relative_to(root).as_posix()] = path
    return found


def _real(folder: str, name: str) -> str:
    return os.path.join(os.path.realpath(os.path.join(folder, name)), "")
