"""Errors of the training side: bad input (exit code 2) and work that failed (exit code 1)."""

from converters.errors import UserError, WritingFailed

__all__ = ["ConfigError", "DataError", "EndedElsewhere", "TransplantError", "UserError", "WorkFailed", "WritingFailed"]


class ConfigError(UserError):
    """A run configuration that cannot be used; the place names the file and the key."""


class DataError(UserError):
    """Training or evaluation data that cannot be used."""


class TransplantError(UserError):
    """A transplant that cannot be done as asked."""


class WorkFailed(Exception):
    """Good input, but the work did not succeed. Prints as the problem and, on a second line, the fix."""

    def __init__(self, problem: str, *, fix: str) -> None:
        self.problem, self.fix = problem, fix
        super().__init__(f"{problem}\n  {fix}")


class EndedElsewhere(Exception):
    """The end of a process whose run ends because of an error that another process tells."""

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__("another process of the run tells why it ended")
