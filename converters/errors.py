"""What goes wrong because of the user's input: one paragraph each, saying what, where and what to do.

Anything else that is raised is a bug of ours and keeps its traceback.
"""

from collections.abc import Sequence

__all__ = [
    "ConversionError",
    "ConversionErrors",
    "JsonError",
    "UserError",
    "WeightFileError",
    "WritingFailed",
    "joined",
]


class UserError(Exception):
    """Bad input. Prints as `place: problem` and, on a second line, the `fix`.

    Args:
        problem: what is wrong, naming the value.
        place: where, as `file`, `file:line:column` or `file, tensor 'name'`.
        fix: what to do about it, as a sentence.
    """

    def __init__(self, problem: str, *, place: str, fix: str) -> None:
        self.problem, self.place, self.fix = problem, place, fix
        super().__init__(f"{place}: {problem}\n  {fix}")


class JsonError(UserError):
    """A file that is not the JSON it should be."""


class ConversionError(UserError):
    """A network that cannot be converted; `layer` and `class_name` name the layer where there is one."""

    def __init__(self, problem: str, *, place: str, fix: str, layer: str = "", class_name: str = "") -> None:
        self.layer, self.class_name = layer, class_name
        prefix = f"layer '{layer}' ({class_name}): " if layer else ""
        super().__init__(prefix + problem, place=place, fix=fix)


class ConversionErrors(ConversionError):
    """Several errors of one network, told at once: each thing once, and advice that neighbours share once.

    Args:
        errors: two or more that differ.
        place: of the whole that they are parts of.
    """

    def __init__(self, errors: Sequence[ConversionError], *, place: str) -> None:
        self.errors = tuple(errors)
        lines: list[str] = []
        for index, error in enumerate(errors):
            lines.append(f"  {error.place}: {error.problem}")
            if index + 1 == len(errors) or errors[index + 1].fix != error.fix:
                lines.append(f"    {error.fix}")
        of_layers = len({error.layer for error in errors if error.layer}) == len(errors)
        what = "layers cannot be converted" if of_layers else "problems"
        problem = "\n".join([f"{len(errors)} {what}", *lines])
        super().__init__(problem, place=place, fix="Mend them all; nothing was converted.")


def joined(errors: Sequence[ConversionError], place: str) -> ConversionError:
    """One error for some, at least one, of which each may stand for several. `place` is that of the network."""
    single = [part for error in errors for part in (error.errors if isinstance(error, ConversionErrors) else (error,))]
    different = list({str(error): error for error in single}.values())
    return different[0] if len(different) == 1 else ConversionErrors(different, place=place)


class WeightFileError(UserError):
    """A weight file that cannot be read or written as asked."""


class WritingFailed(UserError):
    """A file that could not be written whole, as the disk is full or broken: what was asked for was no mistake."""
