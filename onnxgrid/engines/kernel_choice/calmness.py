"""Whether the machine was calm while something was timed on it.

A thread that computes has the processor for as long as it takes. If it had it for clearly less, other programs had it
meanwhile, or one of the threads that share the work was kept waiting. What the clock says of such a run is no property
of what was run: with four programs on two cores, runs of a millisecond have been seen to take a hundred.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

__all__ = ["Clocks", "KernelTime", "machine_is_calm", "timed"]

CALM = 0.9
"""Of a run's time, the share that the calling thread computes on a calm machine: there it is 0.98 and more."""

PROBE_SIZE, PROBE_RUNS = 2**18, 100
"""A computation of this many elements, this often, is to find out: a few hundredths of a second, long enough for other
programs to get their turn."""


@dataclass(frozen=True, order=True)
class KernelTime:
    """How long something takes. The smaller of two is the better one: of a calm machine, then the shorter."""

    busy: bool
    """Whether other programs kept it waiting: `milliseconds` is then a guess."""
    milliseconds: float


@dataclass(frozen=True)
class Clocks:
    """Seconds since some moment: on the clock, and of a processor's time that went to the calling thread."""

    wall: Callable[[], float] = time.perf_counter
    own: Callable[[], float] = time.thread_time


REAL = Clocks()


def timed(run: Callable[[], object], device: torch.device, clocks: Clocks = REAL) -> KernelTime:
    """The time of one run; of one that was kept waiting, the time that it computed itself, which is much nearer.

    One thread's time is never a guess. On CUDA the thread waits for the device: what it computes says nothing.
    """
    wall, own = clocks.wall(), clocks.own()
    run()
    wall, own = clocks.wall() - wall, clocks.own() - own
    if device.type == "cuda":
        return KernelTime(busy=False, milliseconds=1e3 * wall)
    alone = torch.get_num_threads() == 1
    waited = own < CALM * wall
    return KernelTime(busy=waited and not alone, milliseconds=1e3 * (own if waited or alone else wall))


def machine_is_calm(device: torch.device, clocks: Clocks = REAL) -> bool:
    """Whether all of torch's threads have the processor to themselves now."""
    x = torch.zeros(PROBE_SIZE)

    def probe() -> None:
        for _ in range(PROBE_RUNS):
            torch.exp(x)

    return not timed(probe, device, clocks).busy
