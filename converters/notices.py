"""What the user should know about a network that converts all the same.

Each subject is logged once, however many layers it concerns.
"""

import logging
from dataclasses import dataclass

__all__ = ["Notices"]

logger = logging.getLogger(__name__)


@dataclass
class _Notice:
    text: str
    layers: set[str]


class Notices:
    """Collects notices while a network is read; `log` gives them to the logger as warnings."""

    def __init__(self) -> None:
        self._notices: dict[str, _Notice] = {}

    def add(self, subject: str, text: str, layer: str) -> None:
        """Change the collection: keep the text of a subject's first notice, count the layers of the others."""
        self._notices.setdefault(subject, _Notice(text, set())).layers.add(layer)

    def log(self) -> None:
        """Log one warning per subject, in the order of their first notices."""
        for notice in self._notices.values():
            others = len(notice.layers) - 1
            more = f" (and so in {others} more layer{'s' if others > 1 else ''})" if others else ""
            logger.warning("%s%s", notice.text, more)
