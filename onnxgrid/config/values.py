"""The kinds of values that sections are made of. Each has words for what it allows, so that no error speaks pydantic.

Numbers, strings and booleans are strict: "64" is not 64.
"""

import difflib
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from onnxgrid.config.problems import fault, quoted, shown

__all__ = [
    "AnyInteger",
    "Count",
    "Factor",
    "Flag",
    "Fraction",
    "Number",
    "OpenFraction",
    "Text",
    "WholeNumber",
    "array_of",
    "choose",
    "nearest",
    "select",
]

Choice = TypeVar("Choice", bound=Enum)


def _allowed(what: str) -> WrapValidator:
    """Say "Give `what`." whatever is wrong with the value."""

    def check(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validate(value)
        except ValidationError:
            raise fault(f"is {shown(value)}", f"Give {what}.") from None

    return WrapValidator(check)


Count = Annotated[int, Field(strict=True, ge=1, lt=2**31), _allowed("an integer of 1 or more, below 2**31")]
WholeNumber = Annotated[int, Field(strict=True, ge=0, lt=2**63), _allowed("an integer of 0 or more, below 2**63")]
AnyInteger = Annotated[int, Field(strict=True), _allowed("an integer")]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False), _allowed("a number")]
Factor = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0), _allowed("a number of 0 or more")]
Fraction = Annotated[float, Field(strict=True, ge=0, lt=1), _allowed("a number from 0 to below 1")]
OpenFraction = Annotated[float, Field(strict=True, gt=0, lt=1), _allowed("a number between 0 and 1")]
Flag = Annotated[bool, Field(strict=True), _allowed("true or false")]
Text = Annotated[str, Field(strict=True, min_length=1), _allowed("a string that is not empty")]


def array_of(what: str) -> BeforeValidator:
    """Accepts an array with at least one item; the items are checked one by one, by their own type."""

    def check(value: Any) -> Any:
        if not isinstance(value, list | tuple) or not value:
            raise fault(f"is {shown(value)}", f"Give an array of {what}.")
        return tuple(value)

    return BeforeValidator(check)


def choose(value: Any, members: Mapping[str, Choice], *, unsupported: tuple[str, ...]) -> Choice:
    """The enum member that the value names, in any case; a member passes as it is. Raises as `select` does."""
    if isinstance(value, Enum):
        value = value.value
    return members[select(value, tuple(members), unsupported)]


def select(value: Any, allowed: tuple[str, ...], unsupported: tuple[str, ...]) -> str:
    """The one of `allowed` that the value spells, in any case.

    Raises:
        PydanticCustomError: if it is none of them, with the nearest; or one that this version lacks.
    """
    spellings = {name.casefold(): name for name in (*allowed, *unsupported)}
    name = spellings.get(value.casefold()) if isinstance(value, str) else None
    if name in allowed:
        return name
    if name is not None:
        raise fault(f"is {shown(value)}, which this version does not support", f"Use one of: {quoted(allowed)}.")
    suggestion = nearest(value, allowed) if isinstance(value, str) else None
    hint = "" if suggestion is None else f'Did you mean "{suggestion}"? '
    raise fault(f"is {shown(value)}", f"{hint}Allowed: {quoted(allowed)}.")


def nearest(word: str, known: tuple[str, ...]) -> str | None:
    """The known word that looks most like this one, whatever the case; None if none does."""
    spellings = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word.casefold(), spellings, n=1)
    return spellings[found[0]] if found else None
