"""Paths. Those of inputs are looked up in the working directory, then beside the configuration; spellings are kept."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import PlainValidator, ValidationInfo

from onnxgrid.config.problems import fault, shown

__all__ = ["InputFile", "InputPath", "InputPlace", "Lookup", "OutputPath"]


@dataclass(frozen=True)
class InputPath:
    """A path that existed when the configuration was read: `given` as it was written, `path` where it was found."""

    given: str
    path: Path


@dataclass(frozen=True)
class Lookup:
    """The validation context: the folder of the configuration file."""

    folder: Path


def find_place(given: Any, info: ValidationInfo) -> InputPath:
    """The file or directory of that name."""
    if isinstance(given, InputPath):
        return given
    if not isinstance(given, str) or not given:
        raise fault(f"is {shown(given)}", "Give a path, as a string.")
    places = [Path(given)]
    if isinstance(info.context, Lookup) and not places[0].is_absolute():
        places.append(info.context.folder / given)
    for place in places:
        if place.exists():
            return InputPath(given, place)
    tried = " nor ".join(dict.fromkeys(str(place) for place in places))
    both = "neither " if " nor " in tried else ""
    raise fault(
        f"is {shown(given)}, but {both}{tried} exists" if both else f"is {shown(given)}, which does not exist",
        "Give a path relative to the working directory or to the folder of the configuration.",
    )


def find_file(given: Any, info: ValidationInfo) -> InputPath:
    """The file of that name."""
    found = find_place(given, info)
    if found.path.is_dir():
        raise fault(f"is {shown(found.given)}, which is a directory", "Give the path of a file.")
    return found


def output_path(given: Any) -> Path:
    """A path to write to, relative to the working directory; nothing need be there."""
    if isinstance(given, Path):
        return given
    if not isinstance(given, str) or not given:
        raise fault(f"is {shown(given)}", "Give a path, as a string.")
    return Path(given)


InputPlace = Annotated[InputPath, PlainValidator(find_place)]
InputFile = Annotated[InputPath, PlainValidator(find_file)]
OutputPath = Annotated[Path, PlainValidator(output_path)]
