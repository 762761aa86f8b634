"""Whether the machine was calm while something was timed on it.

A thread that computes has the processor for as long as it takes. If it had it for clearly less, other programs had it
meanwhile, or one of the threads that share the work was kept waiting. What the clock says of such a run is no property
of what was run: with four programs on two cores, runs of a millisecond have been seen to take a hundred. What the
thread computed itself is no such property either: that long it takes at least, but longer if it has to wait for the
threads that help it. Where these do most of the work, it looks disturbed on a calm machine as well: there the clock is
right.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

__all__ = ["Clocks", "KernelTime", "clearly_faster", "machine_is_calm", "timed", "together"]

CALM = 0.9
"""Of a run's time, the share that the calling thread computes on a calm machine: there it is 0.98 and more."""

CLEARLY_FASTER = 0.95
"""Something is faster where its time is below this share of the other's: less is noise."""

PROBE_SIZE, PROBE_RUNS = 2**18, 100
"""A computation of this many elements, this often, is to find out: a few hundredths of a second, long enough for other
programs to get their turn."""


@dataclass(frozen=True, order=True)
class KernelTime:
    """How long something takes. The smaller of two is the better one: of a calm machine, then the shorter."""

    busy: bool
    """Whether other programs kept it waiting: `milliseconds` is then a guess, and it takes that long at least."""
    milliseconds: float


def clearly_faster(one: KernelTime, other: KernelTime) -> bool:
    """Whether one time is clearly shorter than another. A guess is so beside guesses alone, as it may be too short."""
    return one.busy <= other.busy and one.milliseconds < CLEARLY_FASTER * other.milliseconds


def together(times: Iterable[KernelTime]) -> KernelTime:
    """The sum; with a guess in it, it is one."""
    each = list(times)
    return KernelTime(any(time.busy for time in each), sum(time.milliseconds for time in each))


@dataclass(frozen=True)
class Clocks:
    """Seconds since some moment: on the clock, and of a processor's time that went to the calling thread."""

    wall: Callable[[], float] = time.perf_counter
    own: Callable[[], float] = time.thread_time


REAL = Clocks()


def timed(
    run: Callable[[], object], device: torch.device, clocks: Clocks = REAL, *, by_clock: bool = False
) -> KernelTime:
    """The time of one run; of one that was kept waiting, the time that it computed itself, which is much nearer.

    One thread's time is never a guess. On CUDA the thread waits for the device: what it computes says nothing. Nor does
    it on a machine that is known to be calm: there a run may be timed by the clock alone.
    """
    wall, own = clocks.wall(), clocks.own()
    run()
    wall, own = clocks.wall() - wall, clocks.own() - own
    if device.type == "cuda" or by_clock:
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
