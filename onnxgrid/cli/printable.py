"""Names out of files, as a terminal may have them."""

__all__ = ["printable"]


def printable(text: str) -> str:
    """The text with what steers a terminal, or breaks a line, spelt as Python spells it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
