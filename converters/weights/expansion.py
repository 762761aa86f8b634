"""How much larger what a file holds may become in memory than it is in the file."""

__all__ = ["MAX_FREE_EXPANSION_BYTES", "expansion_problem"]

MAX_EXPANSION = 100
"""How many times larger than stored something may become."""

MAX_FREE_EXPANSION_BYTES = 2**26
"""What is no larger than this is taken however small it is stored."""


def expansion_problem(size: int, stored: int) -> str | None:
    """Why `size` bytes cannot come of `stored` ones in good faith, or None."""
    if size > MAX_FREE_EXPANSION_BYTES and size > MAX_EXPANSION * stored:
        return f"would take {size} bytes, and {stored} are in the file: more than {MAX_EXPANSION} times as many"
    return None
