"""What is raised after a run that calls back: the exception of a kernel, and an interrupt once nothing can be torn."""

import os
import signal

import pytest

from onnxgrid.engines.aten_bridge import failures_raised


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_waits_for_the_end_of_the_run() -> None:
    ended = False
    with pytest.raises(KeyboardInterrupt), failures_raised():
        interrupt()
        ended = True
    assert ended
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_whoever_interrupts_twice_need_not_wait() -> None:
    ended = False
    with pytest.raises(KeyboardInterrupt), failures_raised():
        interrupt()
        interrupt()
        ended = True
    assert not ended
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_handler_of_whoever_embeds_an_engine_is_left_alone() -> None:
    asked = []
    before = signal.signal(signal.SIGINT, lambda *_: asked.append("own"))
    try:
        with failures_raised():
            interrupt()
            assert asked == ["own"]
    finally:
        signal.signal(signal.SIGINT, before)
