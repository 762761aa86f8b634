"""What is raised after a run that calls back: an interrupt, once nothing can be torn."""

import os
import signal
from collections.abc import Iterator

import pytest

from onnxgrid.engines.aten_bridge import failures_raised


@pytest.fixture(autouse=True)
def _python_s_own_handler() -> Iterator[None]:
    """A shell has processes in its background ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def run(interrupts: int) -> list[str]:
    """What a run that is interrupted so often came to."""
    done = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012  how far the block comes is what is tested
        with failures_raised():
            for _ in range(interrupts):
                os.kill(os.getpid(), signal.SIGINT)
            done.append("the run")
        done.append("what follows")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return done


def test_an_interrupt_waits_for_the_end_of_the_run() -> None:
    assert run(interrupts=1) == ["the run"]


def test_whoever_interrupts_twice_need_not_wait() -> None:
    assert run(interrupts=2) == []


def test_the_handler_of_whoever_embeds_an_engine_is_left_alone() -> None:
    asked = []
    signal.signal(signal.SIGINT, lambda *_: asked.append("own"))
    with failures_raised():
        os.kill(os.getpid(), signal.SIGINT)
        assert asked == ["own"]
