"""Files that belong to another one: where they may lie, so that a stranger's file cannot name one of ours.

They lie in the folder of the file that names them, links followed. The one exception is a Hugging Face cache
(`models--X/snapshots/REVISION/FILE -> ../../blobs/HASH`, as huggingface_hub's cache layout has it): where the file that
names them is such a link, those that it names may be links into the same `blobs`, and nowhere else.
"""

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Companions"]

REPOSITORY_PREFIX = "models--"
SNAPSHOTS = "snapshots"
BLOBS = "blobs"


@dataclass(frozen=True)
class Companions:
    """Where the files that a file names may lie.

    Args:
        folder: of the file, links followed.
        blobs: the folder of a Hugging Face cache that the file itself is a link into; None of any other file.
    """

    folder: str
    blobs: str | None

    @classmethod
    def of(cls, file: Path) -> "Companions":
        """Those of a file. What its folder is now counts, as the working folder may be another later."""
        folder = os.path.realpath(file.parent)
        return cls(folder, _blobs(file, Path(folder)))

    def __contains__(self, folder: str) -> bool:
        return folder in (self.folder, self.blobs)

    def find(self, name: str) -> str | None:
        """The place of the file of a name, links followed; None if it may not be read. It need not be there.

        Args:
            name: relative to the folder, without a NUL.
        """
        named = os.path.normpath(os.path.join(self.folder, name))
        place = os.path.realpath(named)
        if os.path.isabs(name) or not _is_in(self.folder, named):
            return None
        return place if _is_in(self.folder, place) or os.path.dirname(place) == self.blobs else None


def _blobs(file: Path, folder: Path) -> str | None:
    for snapshots in folder.parents:
        repository = snapshots.parent
        if snapshots.name == SNAPSHOTS and repository.name.startswith(REPOSITORY_PREFIX):
            blobs = str(repository / BLOBS)  # not resolved: `blobs` that is itself a link leads out
            return blobs if file.is_symlink() and os.path.dirname(os.path.realpath(file)) == blobs else None
    return None


def _is_in(folder: str, path: str) -> bool:
    return path.startswith(os.path.join(folder, ""))
