"""Which name of the source stands for which name of the target: the user's renames, in order."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from onnxgrid.errors import TransplantError
from onnxgrid.transplant.substitution import substituted

__all__ = ["Rename", "common_prefix", "prefix_rename", "rename_all", "unused_renames"]

ARROW = "=>"

MAX_SHOWN = 200
"""Characters of a rename that an error shows."""


@dataclass(frozen=True)
class Rename:
    """Every match of `pattern` in a name becomes `replacement` (as `re.sub`)."""

    pattern: re.Pattern[str]
    replacement: str

    @classmethod
    def parse(cls, text: str) -> "Rename":
        r"""The rename written `REGEX=>REPLACEMENT`, as in `^enc_(\d)\.=>down_\1.`.

        Raises:
            TransplantError: if it is not so written, or Python's `re` refuses either side.
        """
        regex, arrow, replacement = text.rpartition(ARROW)
        if not arrow or not regex:
            raise _not_a_rename(f"is not of the form REGEX{ARROW}REPLACEMENT", text)
        try:
            pattern = re.compile(regex)
        except re.error as error:
            raise _not_a_rename(f"has a regular expression that is wrong: {error}", text) from None
        except (RecursionError, OverflowError):
            raise _not_a_rename("has a regular expression that is nested too deeply, or counts too far", text) from None
        try:
            pattern.sub(replacement, "")  # re checks the template even where nothing matches
        except (re.error, IndexError) as error:
            raise _not_a_rename(f"has a replacement that is wrong: {error}", text) from None
        return cls(pattern, replacement)

    def __str__(self) -> str:
        return f"{self.pattern.pattern}{ARROW}{self.replacement}"

    def apply(self, names: Iterable[str]) -> Sequence[tuple[str, int]]:
        """For each name, what becomes of it, and how often the pattern matches it.

        Raises:
            TransplantError: if the pattern does not come to an end.
        """
        try:
            return substituted(self.pattern, self.replacement, tuple(names))
        except TimeoutError as error:
            raise TransplantError(
                f"takes {error}: its regular expression backtracks, it seems without end",
                place=_place(str(self)),
                fix="Write it without repetitions of repetitions, as '^a+$' for '^(a+)+$'.",
            ) from None


def _not_a_rename(problem: str, text: str) -> TransplantError:
    return TransplantError(problem, place=_place(text), fix=r"Write for example '^enc_(\d)\.=>down_\1.'.")


def _place(text: str) -> str:
    return f"rename '{text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + '...'}'"


def rename_all(names: Iterable[str], renames: Sequence[Rename]) -> dict[str, str]:
    """Renamed name -> name, in the order of the names.

    Raises:
        TransplantError: if two names become the same, or a rename does not come to an end.
    """
    before = list(names)
    after = before
    for rename in renames:
        after = [new for new, _count in rename.apply(after)]
    renamed: dict[str, str] = {}
    for name, new in zip(before, after, strict=True):
        if new in renamed:
            raise TransplantError(
                f"'{renamed[new]}' and '{name}' of the source would both be '{new}'",
                place=f"renames {', '.join(repr(str(rename)) for rename in renames)}",
                fix="Make the regular expressions match fewer names.",
            )
        renamed[new] = name
    return renamed


def unused_renames(names: Iterable[str], renames: Sequence[Rename]) -> list[Rename]:
    """Those that match none of the names, as these are when their turn comes. Raises as `rename_all`."""
    unused, current = [], list(names)
    for rename in renames:
        done = rename.apply(current)
        if not any(count for _new, count in done):
            unused.append(rename)
        current = [new for new, _count in done]
    return unused


def common_prefix(names: Sequence[str], wanted: Collection[str]) -> str:
    """What stands before all names, and without which most of them are wanted; empty if there is no such thing, or one
    is wanted as it is.

    Checkpoints hold a model within another object so, as Lightning's `model.`.
    """
    if not names or any(name in wanted for name in names):
        return ""
    prefix = _best_prefix(names, wanted)
    stripped = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
    enough = len(stripped) == len(names) and 2 * sum(name in wanted for name in stripped) > len(names)
    return prefix if enough else ""


def prefix_rename(names: Sequence[str], wanted: Collection[str]) -> str:
    """The rename that takes off, or puts before the names, what most of them are not wanted for; empty if none does."""
    prefix = _best_prefix(names, wanted)
    if prefix:
        return f"^{re.escape(prefix)}{ARROW}"
    prefix = _best_prefix(list(wanted), set(names))
    return f"^{ARROW}{prefix}" if prefix else ""


def _best_prefix(names: Sequence[str], wanted: Collection[str]) -> str:
    """The prefix, of whole parts between dots, without which most names are wanted; empty if without any none is."""
    found: Counter[str] = Counter()
    for name in names:
        for dot in re.finditer(r"\.", name):
            if name[dot.end() :] in wanted:
                found[name[: dot.end()]] += 1
    return found.most_common(1)[0][0] if found else ""
