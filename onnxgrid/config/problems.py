"""What is wrong in a configuration: where, in which words, and what to do. Sections raise it, `read.py` prints it."""

import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

__all__ = ["KeyPath", "Problem", "dotted", "fault", "fault_at", "quoted", "shown"]

KeyPath = tuple[str | int, ...]
"""The way to a value from the object `neural_network`: ("data", "slicers", 1, "sizes")."""

MAX_SHOWN = 60
"""A longer value is cut, so that an error stays one paragraph."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `text` goes on after the path ("is 0"); `fix` is a sentence."""

    path: KeyPath
    text: str
    fix: str


def dotted(path: KeyPath) -> str:
    """The path as users write it: data.slicers[1].sizes."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def shown(value: Any) -> str:
    """A value as JSON, cut to a readable length."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


def quoted(words: "tuple[str, ...] | list[str]") -> str:
    """The words in double quotes, separated by commas."""
    return ", ".join(f'"{word}"' for word in words)


def fault(text: str, fix: str) -> PydanticCustomError:
    """The error that a validator raises about its own value."""
    return PydanticCustomError("fault", "{text}", {"text": text, "fix": fix})


def fault_at(key: str, text: str, fix: str) -> ValidationError:
    """The error that the validator of a section raises about one of its keys."""
    return ValidationError.from_exception_data(
        "section", [InitErrorDetails(type=fault(text, fix), loc=(key,), input=None)]
    )
