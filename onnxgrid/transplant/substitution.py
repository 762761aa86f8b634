"""Regular expressions of a user, applied to names in bounded time.

Python's `re` backtracks, for some expressions without end, and nothing in the same process can stop it everywhere. So
an expression that may do so is applied by another process, which can be ended. Other libraries are no way out: RE2
knows no look-around and no references back, and `regex` takes all memory for counts of counts.
"""

import json
import re
import sys
from collections.abc import Sequence
from functools import lru_cache

__all__ = ["substituted"]

MAX_SECONDS = 10.0
"""For all names of one file: those of the largest take milliseconds."""

MAY_BACKTRACK = re.compile(r"[*+?{|]")
"""One of these alone is tried at each place of a name and for each length, and no more: that is soon done."""

APPLY = """
import json, re, sys
regex, flags, replacement, names = json.load(sys.stdin)
pattern = re.compile(regex, flags)
json.dump([pattern.subn(replacement, name) for name in names], sys.stdout)
"""


@lru_cache(maxsize=32)  # a plan asks for the same several times
def substituted(pattern: re.Pattern[str], replacement: str, names: tuple[str, ...]) -> Sequence[tuple[str, int]]:
    """For each name, what becomes of it, and how often the pattern matched.

    Raises:
        TimeoutError: if that takes longer than `MAX_SECONDS`.
    """
    if len(MAY_BACKTRACK.findall(pattern.pattern)) < 2:
        return [pattern.subn(replacement, name) for name in names]
    import subprocess  # which few transplants need

    given = json.dumps([pattern.pattern, pattern.flags, replacement, names])
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", APPLY],
            input=given.encode(),
            capture_output=True,
            timeout=MAX_SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"more than {MAX_SECONDS:g} seconds") from None
    return [(name, count) for name, count in json.loads(done.stdout)]
