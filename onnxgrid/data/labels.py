"""The loader of class labels: the class of a sample is the name of a directory above its file."""

from collections.abc import Sequence
from pathlib import Path

from onnxgrid.errors import DataError

__all__ = ["class_indices", "class_labels", "class_names"]

MAX_CLASSES_SHOWN = 10


def class_labels(files: Sequence[Path], *, tag: str | None) -> list[str]:
    """The class name of each sample, given its file.

    Without a tag that is the directory of the file; with one, the directory right below the (innermost) directory
    that is called like the tag, anywhere in the path.

    Raises:
        DataError: if the tag is not in a path, or has no directory below it.
    """
    return [_class_of(file.absolute(), tag) for file in files]


def _class_of(file: Path, tag: str | None) -> str:
    if tag is None:
        return file.parent.name
    folders = file.parent.parts
    for tagged, below in zip(folders[-2::-1], folders[:0:-1], strict=True):
        if tagged == tag:
            return below
    raise DataError(
        f'no directory of this path lies below one called "{tag}"',
        place=str(file),
        fix="Give as tag the directory whose subdirectories are the classes.",
    )


def class_names(labels: Sequence[str]) -> tuple[str, ...]:
    """The classes that occur, in byte order: a class's index is its position here."""
    return tuple(sorted(set(labels), key=lambda name: name.encode(errors="surrogateescape")))


def class_indices(labels: Sequence[str], classes: tuple[str, ...], files: Sequence[Path]) -> list[int]:
    """The index of each label.

    Raises:
        DataError: for a label that is no class.
    """
    index = {name: position for position, name in enumerate(classes)}
    for label, file in zip(labels, files, strict=True):
        if label not in index:
            shown = ", ".join(classes[:MAX_CLASSES_SHOWN]) + (", ..." if len(classes) > MAX_CLASSES_SHOWN else "")
            raise DataError(
                f'its class is "{label}", which the training data does not have',
                place=str(file),
                fix=f"Name its directory like one of the {len(classes)} classes: {shown}.",
            )
    return [index[label] for label in labels]
