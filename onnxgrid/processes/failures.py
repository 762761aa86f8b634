"""One message when a run of several processes fails, whichever failed first, and an end for all of them.

A process that fails says so in the store that all processes share, then closes its connections, which ends the exchange
that the others wait in. An error that all of them meet, such as a loss that is not finite, is told by one. A process
that was killed says nothing: the others call the roll, and name who does not answer.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from onnxgrid.errors import EndedElsewhere, UserError, WorkFailed

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

__all__ = ["LostConnection", "ended_together"]

GRACE_S = 3.0
"""How long processes wait for each other's last words: the store may lie in the first of them to go."""
POLL_S = 0.02

FAILURE = "failure"
INTERRUPTED = 130


class LostConnection(Exception):
    """An exchange that another process does not take part in any more."""


@contextmanager
def ended_together(store: "Store", rank: int, size: int) -> Iterator[None]:
    """Around the work of one process: an error ends all of them, and one of them tells it.

    Raises:
        EndedElsewhere: in place of an error that another process tells.
        WorkFailed: naming the processes that are gone, if none tells why.
    """
    store.set_timeout(timedelta(seconds=GRACE_S))
    try:
        yield
    except LostConnection as lost:
        raise _explained(lost, store, rank, size) from lost
    except BaseException as error:
        code, text = _exit_code(error), str(error)
        first = _claimed(store, rank, code, text)
        _call_roll(store, rank, size)
        if first is not None and first != rank:
            raise EndedElsewhere(code) from error
        raise


def _exit_code(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return 2 if isinstance(error, UserError) else 1


def _claimed(store: "Store", rank: int, code: int, text: str) -> int | None:
    """Tell the failure, unless it is told: the rank of who told the same one first; None if the first was another."""
    mine = json.dumps([rank, code, text])
    try:
        first_rank, first_code, first_text = json.loads(store.compare_set(FAILURE, "", mine))
    except RuntimeError:  # the store went with the process that it lay in
        return None
    return int(first_rank) if [first_code, first_text] == [code, text] else None


def _explained(lost: LostConnection, store: "Store", rank: int, size: int) -> Exception:
    missing = _call_roll(store, rank, size)
    try:
        if store.check([FAILURE]):
            return EndedElsewhere(json.loads(store.get(FAILURE))[1])
    except RuntimeError:
        missing = [0] if rank else []
    survivors = [other for other in range(size) if other not in missing]
    if rank != survivors[0]:
        return EndedElsewhere(1)
    gone = f": no answer from process {', '.join(map(str, missing))} of {size}" if missing else ""
    return WorkFailed(
        f"The processes of the run lost each other{gone}.",
        fix="It was killed, or its machine or network is gone. Go on from the last checkpoint with --resume.",
    )


def _call_roll(store: "Store", rank: int, size: int) -> list[int]:
    """The ranks that have not ended as well after a while."""
    missing = [other for other in range(size) if other != rank]
    try:
        store.set(f"ended/{rank}", "1")
        deadline = time.monotonic() + GRACE_S
        while missing and time.monotonic() < deadline:
            missing = [other for other in missing if not store.check([f"ended/{other}"])]
            time.sleep(POLL_S)
    except RuntimeError:
        return [0] if rank else []
    return missing
