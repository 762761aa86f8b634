"""What goes wrong because of the user's input: one paragraph each, saying what, where and what to do.

Anything else that is raised is a bug of ours and keeps its traceback.
"""

__all__ = ["ConversionError", "JsonError", "UserError", "WeightFileError"]


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


class WeightFileError(UserError):
    """A weight file that cannot be read or written as asked."""
