"""Kernels that are chosen while other programs run: how long they stay, by a made-up clock and a made-up load."""

import json
import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx_ir as ir
import pytest
import torch

from onnxgrid.engines.kernel_choice import environment, timing
from onnxgrid.engines.kernel_choice.calmness import Clocks, KernelTime, timed
from onnxgrid.engines.kernel_choice.site import NATIVE
from onnxgrid.engines.kernel_options import KernelOptions
from onnxgrid.engines.ort_engine import OrtEngine
from onnxgrid.engines.training_mode import ATEN_DOMAIN
from onnxgrid.losses import MeanSquaredError
from tests.onnxgrid.engines.kernel_choice.graphs import network

GRAPH = network('c = Conv (p, "w.weight") y = Abs (c)', w_weight=(5, 4, 3, 3))
X = torch.randn(3, 4, 11, 14, generator=torch.Generator().manual_seed(0))
Y = torch.zeros(3, 5, 9, 12)
CPU = torch.device("cpu")


class Machine:
    """Runs of ONNX Runtime's own kernels take a millisecond (2^-10 s, so that sums are exact), all others two. Where
    other programs run, each waits four times as long as it computes, and ONNX Runtime's wait for each other as well.
    """

    def __init__(self) -> None:
        self.busy = False
        self.calm_for = math.inf
        """How often the machine is found calm: other programs begin after the last time."""
        self.callers_share = 1.0
        """What the calling thread computes while torch's kernels run, as a share: other threads do the rest."""
        self._wall = self._own = 0.0

    def run(self, model: ir.Model, *, by_clock: bool) -> KernelTime:
        clocks = Clocks(lambda: self._wall, lambda: self._own)
        return timed(lambda: self._compute(model), CPU, clocks, by_clock=by_clock)

    def is_calm(self, _device: torch.device) -> bool:
        found = not self.busy
        self.calm_for -= 1
        self.busy = self.busy or self.calm_for <= 0
        return found

    def _compute(self, model: ir.Model) -> None:
        ours = any(node.domain == ATEN_DOMAIN for node in model.graph)
        seconds = 2**-9 if ours else 2**-4 if self.busy else 2**-10
        self._own += seconds * self.callers_share if ours else seconds
        self._wall += 5 * seconds if self.busy else seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """What runs of candidates are timed on, with two threads."""
    made_up, threads = Machine(), torch.get_num_threads()

    class Run:
        def __init__(self, model: ir.Model, _tensors: Mapping[str, torch.Tensor]) -> None:
            self._model = model

        def time(self) -> KernelTime:
            return made_up.run(self._model, by_clock=False)

        def time_by_clock(self) -> KernelTime:
            return made_up.run(self._model, by_clock=True)

    monkeypatch.setattr(timing, "_Run", Run)
    monkeypatch.setattr(timing, "machine_is_calm", made_up.is_calm)
    torch.set_num_threads(2)
    yield made_up
    torch.set_num_threads(threads)


def chosen(path: Path, decided: Mapping[str, str] | None = None) -> dict[str, str]:
    """{op: kernel} after the first step of a run, all of whose kernels go on from `decided`."""
    return {site.split()[0]: name for site, name in stepped(path, decided).kernels.items()}


def stepped(path: Path, decided: Mapping[str, str] | None = None) -> OrtEngine:
    engine = OrtEngine(GRAPH, MeanSquaredError(), seed=0, kernels=KernelOptions(decided=decided or {}, times=path))
    engine.step(X, Y, number=0)
    return engine


def guesses(path: Path) -> set[bool]:
    """What the file says of its times: whether the machine was busy."""
    sites = json.loads(path.read_text())["times"][environment(CPU)]
    return {time["busy"] for times in sites.values() for time in times.values()}


BAD, GOOD = {"Conv": "aten", "ConvGrad": "aten"}, {"Conv": NATIVE, "ConvGrad": NATIVE}


def test_bad_kernels_of_a_busy_machine_are_gone_in_the_first_run_that_finds_it_calm(
    machine: Machine, tmp_path: Path
) -> None:
    path = tmp_path / "times.json"
    machine.busy = True
    assert chosen(path) == BAD
    assert guesses(path) == {True}
    taken = path.read_text()
    assert chosen(path) == BAD, "still busy: the same kernels, so the same bits"
    assert path.read_text() == taken
    machine.busy = False
    assert chosen(path) == GOOD
    assert guesses(path) == {False}
    taken = path.read_text()
    for machine.busy in (False, True):
        assert chosen(path) == GOOD, "times of a calm machine stand"
        assert path.read_text() == taken


def test_a_resumed_run_keeps_its_kernels_on_a_calm_machine(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    machine.busy = True
    first = stepped(path)
    machine.busy = False
    assert chosen(path, first.kernels) == BAD
    assert guesses(path) == {True}, "it measures nothing"


def test_kernels_of_a_first_version_file_are_used_on_a_busy_machine_and_timed_again_on_a_calm_one(
    machine: Machine, tmp_path: Path
) -> None:
    path = tmp_path / "times.json"
    machine.busy = True
    stepped(path)
    content = json.loads(path.read_text())
    content["version"] = 1
    for times in content["times"][environment(CPU)].values():
        for name in times:
            times[name] = 0.001 if name == "flipped" else 9.0
    path.write_text(json.dumps(content))
    assert chosen(path) == {"Conv": NATIVE, "ConvGrad": "flipped"}
    machine.busy = False
    assert chosen(path) == GOOD


def test_kernels_that_wait_for_their_threads_are_timed_by_the_clock_where_it_is_calm(
    machine: Machine, tmp_path: Path
) -> None:
    path = tmp_path / "times.json"
    machine.callers_share = 0.25  # half a millisecond of two, and ONNX Runtime's own kernels take one
    assert chosen(path) == GOOD
    assert guesses(path) == {False}
    taken = path.read_text()
    assert chosen(path) == GOOD
    assert path.read_text() == taken, "nothing is measured again"


def test_times_by_the_clock_are_not_kept_where_other_programs_begin_meanwhile(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    machine.callers_share, machine.calm_for = 0.25, 2
    first = chosen(path)
    assert guesses(path) == {False, True}, "ONNX Runtime's own kernel was timed before, for one op"
    machine.busy, machine.calm_for = False, math.inf
    assert chosen(path) == GOOD != first
    assert guesses(path) == {False}


def test_a_guess_is_not_replaced_by_a_lower_one(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    machine.busy = True
    assert chosen(path) == BAD
    taken = path.read_text()
    for machine.callers_share in (0.5, 0.25):
        machine.busy, machine.calm_for = False, 1
        assert chosen(path) == BAD
        assert machine.busy
        assert path.read_text() == taken, "it was found calm, and then measured beside others"


MIXED: dict[
    str, tuple[dict[str, tuple[bool, float]], str]
] = {  # (busy, ms) of candidates, others guesses of 9 -> taken
    "a guess before a calm time that is four times as long": ({NATIVE: (False, 4), "aten": (True, 1)}, NATIVE),
    "a guess of the other layout": ({NATIVE: (False, 4), "aten, channels last": (True, 1)}, NATIVE),
    "the default is a guess": ({NATIVE: (True, 1), "aten": (False, 4)}, "aten"),
    "the shorter of calm times": ({NATIVE: (False, 4), "aten": (False, 3), "aten, channels last": (True, 1)}, "aten"),
    "the shortest of guesses": ({NATIVE: (True, 4), "aten": (True, 1)}, "aten"),
}


@pytest.mark.parametrize(("known", "taken"), MIXED.values(), ids=MIXED)
def test_a_guess_wins_against_guesses_alone(
    known: dict[str, tuple[bool, float]], taken: str, machine: Machine, tmp_path: Path
) -> None:
    path = tmp_path / "times.json"
    machine.busy = True
    stepped(path)
    content = json.loads(path.read_text())
    for times in content["times"][environment(CPU)].values():
        for name in times:
            busy, milliseconds = known.get(name, (True, 9.0))
            times[name] = {"busy": busy, "milliseconds": milliseconds}
    path.write_text(json.dumps(content))
    assert chosen(path) == {"Conv": taken, "ConvGrad": taken}


def test_the_debug_log_says_which_times_are_guesses(
    machine: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine.busy = True
    with caplog.at_level(logging.DEBUG, logger="onnxgrid.engines.kernel_choice.choose"):
        stepped(tmp_path / "times.json")
    assert caplog.messages[-3:] == [
        "c: aten  (aten 1.95 ms (busy), aten, channels last 1.95 ms (busy), native 62.50 ms (busy))  "
        '[Conv 3x4x11x14 5x4x3x3 {"dilation": [1, 1], "groups": 1, "output_padding": [0, 0], "padding": [0, 0], '
        '"relu": false, "stride": [1, 1], "transposed": false}]',
        "c_Grad/ConvGrad_0: aten  (aten 1.95 ms (busy), flipped 1.95 ms (busy), aten, channels last 1.95 ms (busy), "
        "native 62.50 ms (busy))  "
        '[ConvGrad 3x5x9x12 3x4x11x14 5x4x3x3 {"dilation": [1, 1], "groups": 1, "output_padding": [0, 0], '
        '"padding": [0, 0], "relu": false, "stride": [1, 1], "transposed": false, "wanted": [true, true, false]}]',
        "7 times are of a busy machine: the next run that finds it calm takes them again",
    ]
