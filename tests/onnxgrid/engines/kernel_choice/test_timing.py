"""How often each candidate of a site is run until its time is known."""

from collections import Counter
from collections.abc import Callable

import pytest

from onnxgrid.engines.kernel_choice.timing import fastest_ms

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
    runs = Counter[str]()

    def timed(name: str) -> Callable[[], float]:
        def seconds() -> float:
            runs[name] += 1
            return milliseconds[name] / 1e3

        return seconds

    assert fastest_ms({name: timed(name) for name in milliseconds}) == pytest.approx(milliseconds)
    assert runs == expected
