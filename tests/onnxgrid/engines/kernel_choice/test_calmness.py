"""Whether a machine was calm, by made-up clocks: what is on the clock, and what the calling thread had of it."""

from collections.abc import Iterator

import pytest
import torch

from onnxgrid.engines.kernel_choice.calmness import (
    Clocks,
    KernelTime,
    clearly_faster,
    machine_is_calm,
    timed,
    together,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)

CASES = {  # -> device, threads, milliseconds on the clock, those of the thread, what counts
    "all the time is ours": (CPU, 2, 10, 10, KernelTime(busy=False, milliseconds=10)),
    "nearly all": (CPU, 2, 10, 9.5, KernelTime(busy=False, milliseconds=10)),
    "others had the processor for half of it": (CPU, 2, 10, 5, KernelTime(busy=True, milliseconds=5)),
    "one thread's own time is known": (CPU, 1, 10, 5, KernelTime(busy=False, milliseconds=5)),
    "a GPU computes while the thread waits": (CUDA, 2, 10, 1, KernelTime(busy=False, milliseconds=10)),
}


@pytest.fixture
def threads() -> Iterator[None]:
    """The number of torch's threads comes back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def clocks(wall_ms: float, own_ms: float) -> Clocks:
    """Clocks that are asked before and after a run of this length."""
    wall, own = iter([7.0, 7 + wall_ms / 1e3]), iter([3.0, 3 + own_ms / 1e3])
    return Clocks(lambda: next(wall), lambda: next(own))


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(("device", "count", "wall", "own", "expected"), CASES.values(), ids=CASES)
def test_a_run_that_waits_is_told_apart(
    device: torch.device, count: int, wall: float, own: float, expected: KernelTime
) -> None:
    torch.set_num_threads(count)
    found = timed(lambda: None, device, clocks(wall, own))
    assert found.busy == expected.busy
    assert found.milliseconds == pytest.approx(expected.milliseconds)
    assert machine_is_calm(device, clocks(wall, own)) == (not expected.busy)


@pytest.mark.usefixtures("threads")
def test_by_the_clock_a_run_that_waits_is_none() -> None:
    torch.set_num_threads(2)
    found = timed(lambda: None, CPU, clocks(10, 5), by_clock=True)
    assert not found.busy
    assert found.milliseconds == pytest.approx(10)


FASTER = {  # (busy, milliseconds) of one and of the other -> whether the first is clearly faster
    "shorter": ((False, 1), (False, 2), True),
    "a little shorter": ((False, 1.95), (False, 2), False),
    "a shorter guess than a guess": ((True, 1), (True, 2), True),
    "a shorter guess": ((True, 1), (False, 2), False),
    "shorter than a guess": ((False, 1), (True, 2), True),
    "longer than a guess": ((False, 2), (True, 1), False),
}


@pytest.mark.parametrize(("one", "other", "expected"), FASTER.values(), ids=FASTER)
def test_what_is_clearly_faster(one: tuple[bool, float], other: tuple[bool, float], expected: bool) -> None:
    assert clearly_faster(KernelTime(*one), KernelTime(*other)) == expected


def test_a_sum_with_a_guess_is_one() -> None:
    calm, busy = KernelTime(busy=False, milliseconds=1), KernelTime(busy=True, milliseconds=2)
    assert together([calm, calm]) == KernelTime(busy=False, milliseconds=2)
    assert together([calm, busy]) == KernelTime(busy=True, milliseconds=3)
    assert together([]) == KernelTime(busy=False, milliseconds=0)
