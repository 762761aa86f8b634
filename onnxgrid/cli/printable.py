"""Names out of files, and tables of them, as a terminal may have them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["print_table", "printable", "printable_lines"]

PIPED_COLUMNS = 200
"""Width of a table where there is no terminal: names of deep networks stay on one line."""


def printable(text: str) -> str:
    """The text with what steers a terminal, or breaks a line, spelt as Python spells it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """The same of each line of a text."""
    return "\n".join(map(printable, text.split("\n")))


def print_table(table: "Table") -> None:
    """Print a table on the standard output, as wide as the terminal; nothing in it is taken for markup."""
    from rich.console import Console  # which commands that print no table need not wait for

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=PIPED_COLUMNS)
    console.print(table)
