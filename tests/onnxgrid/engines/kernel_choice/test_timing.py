"""How often each candidate of a site is run until its time is known, and which of its runs counts."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from onnxgrid.engines.kernel_choice.calmness import KernelTime
from onnxgrid.engines.kernel_choice.timing import fastest_times

RUNS: dict[str, tuple[dict[str, float], dict[str, int]]] = {  # what happens -> {candidate: ms}, {candidate: runs}
    "a beaten candidate is run twice, a hopeless one once": (
        {"fast": 10, "near": 12, "beaten": 20, "hopeless": 100},
        {"fast": 5, "near": 5, "beaten": 2, "hopeless": 1},
    ),
    "a winner without rivals is run twice": ({"fast": 10, "beaten": 20}, {"fast": 2, "beaten": 2}),
    "one that has no rival from the first is run once": ({"fast": 10, "hopeless": 100}, {"fast": 1, "hopeless": 1}),
    "slow ones are run until enough time is spent": ({"a": 60, "b": 61}, {"a": 2, "b": 2}),
    "a candidate alone is run again": ({"only": 10}, {"only": 5}),
}


@pytest.mark.parametrize(("milliseconds", "expected"), RUNS.values(), ids=RUNS)
def test_candidates_are_run_as_often_as_it_matters(milliseconds: dict[str, float], expected: dict[str, int]) -> None:
    runs, now = Counter[str](), [0.0]

    def timed(name: str) -> Callable[[], KernelTime]:
        def time() -> KernelTime:
            runs[name] += 1
            now[0] += milliseconds[name] / 1e3
            return KernelTime(busy=False, milliseconds=milliseconds[name])

        return time

    times = fastest_times({name: timed(name) for name in milliseconds}, clock=lambda: now[0])
    assert {name: time.milliseconds for name, time in times.items()} == milliseconds
    assert runs == expected


COUNTS: dict[str, tuple[list[tuple[bool, float]], tuple[bool, float]]] = {  # -> (busy, ms) of each run, what counts
    "the shortest run": ([(False, 9), (False, 3), (False, 2), (False, 4), (False, 3)], (False, 2)),
    "the first run does not, were it the only calm one": (
        [(False, 1), (True, 3), (True, 2), (True, 4), (True, 3)],
        (True, 2),
    ),
    "a calm run before a shorter one that waited": (
        [(True, 9), (True, 1), (False, 3), (True, 2), (False, 4)],
        (False, 3),
    ),
}


@pytest.mark.parametrize(("runs", "expected"), COUNTS.values(), ids=COUNTS)
def test_of_the_runs_of_a_candidate_counts(runs: list[tuple[bool, float]], expected: tuple[bool, float]) -> None:
    left: Iterator[tuple[bool, float]] = iter(runs)
    times = fastest_times({"only": lambda: KernelTime(*next(left))}, clock=lambda: 0.0)
    assert times == {"only": KernelTime(*expected)}
    assert next(left, None) is None


def test_a_low_guess_beats_no_candidate_whose_time_is_known() -> None:
    runs = Counter[str]()

    def timed(name: str, *, busy: bool, milliseconds: float) -> Callable[[], KernelTime]:
        def time() -> KernelTime:
            runs[name] += 1
            return KernelTime(busy=busy, milliseconds=milliseconds)

        return time

    fastest_times(
        {
            "guess": timed("guess", busy=True, milliseconds=1),
            "known": timed("known", busy=False, milliseconds=40),
            "near": timed("near", busy=False, milliseconds=44),
            "slower guess": timed("slower guess", busy=True, milliseconds=200),
        },
        clock=lambda: 0.0,
    )
    assert runs == {"guess": 5, "known": 5, "near": 5, "slower guess": 1}
