"""What crosses to a kernel and back, and what is raised after a run: an interrupt, once nothing can be torn."""

import ctypes
import os
import signal
from collections.abc import Iterator

import pytest
import torch

from onnxgrid.engines import aten_bridge
from onnxgrid.engines.aten_bridge import failures_raised
from onnxgrid.engines.kernels import KERNELS


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


def test_an_output_that_is_a_view_of_an_input_has_memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime frees the input behind the node, if nobody else reads it."""
    monkeypatch.setitem(KERNELS, "passed_on", lambda x: (x, x[1:], 2 * x))
    x, outputs = torch.arange(6.0).view(3, 2), (ctypes.c_void_p * 3)()
    inputs = (ctypes.c_void_p * 1)(aten_bridge._managed_from(x))
    aten_bridge._execute(b"passed_on", b"{}", 1, inputs, 3, outputs)
    made = [aten_bridge._tensor_from(outputs[i]) for i in range(3)]
    expected = [x.clone(), x[1:].clone(), 2 * x]
    x.fill_(-1)
    for ours, theirs in zip(made, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
