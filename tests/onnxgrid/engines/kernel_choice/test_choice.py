"""Choosing: what is measured, what is remembered, and that what was chosen is chosen again."""

import json
import logging
from pathlib import Path

import pytest
import torch

from onnxgrid.engines.kernel_choice import KernelTime, KernelTimes, environment
from onnxgrid.engines.kernel_choice.site import NATIVE
from onnxgrid.engines.kernel_options import KernelChoice, KernelOptions
from onnxgrid.engines.options import DEFAULT_OPTIONS, EngineOptions
from onnxgrid.engines.ort_engine import OrtEngine
from onnxgrid.losses import MeanSquaredError
from tests.onnxgrid.engines.kernel_choice.graphs import network, sites_of

GRAPH = network(
    'c = Conv <pads = [1, 1, 1, 1]> (p, "w.weight") r = Relu (c) m = MaxPool <kernel_shape = [2, 2]> (r) '
    'y = Conv (m, "v.weight")',
    w_weight=(5, 4, 3, 3),
    v_weight=(2, 5, 3, 3),
)
X = torch.randn(3, 4, 11, 14, generator=torch.Generator().manual_seed(0))
Y = torch.zeros(3, 2, 8, 11)
CPU = torch.device("cpu")
SITES = {site.key: site for site in sites_of(GRAPH, tuple(X.shape), tuple(Y.shape))}


def stepped(kernels: KernelOptions, options: EngineOptions = DEFAULT_OPTIONS) -> OrtEngine:
    """An engine after its first step."""
    engine = OrtEngine(GRAPH, MeanSquaredError(), seed=0, kernels=kernels, options=options)
    engine.step(X, Y, number=0)
    return engine


def calm(milliseconds: float) -> KernelTime:
    return KernelTime(busy=False, milliseconds=milliseconds)


def busy(milliseconds: float) -> KernelTime:
    return KernelTime(busy=True, milliseconds=milliseconds)


def times_that_favour(path: Path, favourite: str) -> None:
    """Write a file of times in which this candidate, where there is it, is by far the fastest."""
    times = {
        key: {c.name: calm(0.1 if c.name == favourite else 100.0) for c in site.candidates}
        for key, site in SITES.items()
    }
    KernelTimes(path, environment(CPU)).add(times)


def test_a_relu_is_one_site_with_its_convolution() -> None:
    assert [(site.op, [part.nodes for part in site.parts]) for site in SITES.values()] == [
        ("Conv", [("c", "r")]),
        ("MaxPool", [("m",), ("m_Grad/MaxPoolGrad_0",)]),
        ("Conv", [("y",)]),
        ("ConvGrad", [("y_Grad/ConvGrad_0",)]),
        ("ConvGrad", [("r_Grad/ReluGrad_0", "c_Grad/ConvGrad_0")]),
    ]


@pytest.mark.parametrize(
    ("choice", "expected"),
    {
        KernelChoice.NATIVE: [NATIVE, "aten", NATIVE, NATIVE, NATIVE],
        KernelChoice.ATEN: ["aten", "aten", "aten", "aten", "aten"],
    }.items(),
)
def test_a_choice_by_name_is_followed_and_nothing_is_measured(
    choice: KernelChoice, expected: list[str], tmp_path: Path
) -> None:
    assert stepped(KernelOptions(choice, times=tmp_path / "times.json")).kernels == dict(
        zip(SITES, expected, strict=True)
    )
    assert not (tmp_path / "times.json").exists()


def test_bf16_kernels_are_taken_where_asked_for(tmp_path: Path) -> None:
    engine = stepped(KernelOptions(KernelChoice.ATEN, times=tmp_path / "times.json"), EngineOptions(precision="bf16"))
    assert list(engine.kernels.values()) == ["bf16", "aten", "bf16", "bf16", "bf16"]


def test_what_was_measured_is_kept_and_decides_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "times.json"
    first = stepped(KernelOptions(times=path))
    content = json.loads(path.read_text())
    measured = content["times"][environment(CPU)]
    for key, site in SITES.items():
        wanted = {c.name for c in site.candidates if not c.low_precision and not c.on_request_only}
        assert measured[key].keys() == wanted
    second = stepped(KernelOptions(times=path))
    assert json.loads(path.read_text()) == content
    assert second.kernels == first.kernels
    assert torch.equal(second.gradients.flat, first.gradients.flat)


@pytest.mark.parametrize("favourite", ["aten, channels last", "aten", NATIVE, "reordered", "flipped"])
def test_the_fastest_is_chosen(favourite: str, tmp_path: Path) -> None:
    times_that_favour(tmp_path / "times.json", favourite)
    engine = stepped(KernelOptions(times=tmp_path / "times.json"))
    for key, site in SITES.items():
        if favourite in [c.name for c in site.candidates]:
            assert engine.kernels[key] == favourite
    plain = stepped(KernelOptions(KernelChoice.ATEN))
    torch.testing.assert_close(engine.gradients.flat, plain.gradients.flat, rtol=1e-3, atol=1e-5)


def test_a_difference_that_may_be_noise_changes_nothing(tmp_path: Path) -> None:
    times = {key: dict.fromkeys((c.name for c in site.candidates), calm(0.97)) for key, site in SITES.items()}
    for key, site in SITES.items():
        times[key][site.candidates[0].name] = calm(1.0)
    KernelTimes(tmp_path / "times.json", environment(CPU)).add(times)
    engine = stepped(KernelOptions(times=tmp_path / "times.json"))
    assert engine.kernels == {key: site.candidates[0].name for key, site in SITES.items()}


def test_decided_kernels_are_taken_whatever_is_faster_now(tmp_path: Path) -> None:
    times_that_favour(tmp_path / "times.json", NATIVE)
    decided = {key: site.candidates[-1].name for key, site in SITES.items()}
    assert stepped(KernelOptions(KernelChoice.AUTO, decided, tmp_path / "times.json")).kernels == decided


def test_the_debug_log_says_what_was_chosen_and_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    times_that_favour(tmp_path / "times.json", "reordered")
    with caplog.at_level(logging.DEBUG, logger="onnxgrid.engines.kernel_choice.choose"):
        stepped(KernelOptions(times=tmp_path / "times.json"))
    line = next(message for message in caplog.messages if message.startswith("m: "))
    assert line == (
        "m: reordered  (reordered 0.10 ms, aten 100.00 ms, aten, channels last 100.00 ms)  "
        '[MaxPool 3x5x11x14 3x5x10x13 {"dilation": [1, 1], "kernel": [2, 2], "padding": [0, 0], "stride": [1, 1]}]'
    )


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "else", "version": 1, "times": {}}'])
def test_a_file_that_is_not_ours_is_written_anew(
    content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "times.json"
    path.write_text(content)
    times = KernelTimes(path, "here")
    times.add({"site": {"aten": calm(1.5)}})
    assert caplog.messages == [f"{path} does not hold times of kernels; it is written anew"] * 2
    assert KernelTimes(path, "here").of("site") == {"aten": calm(1.5)}
    assert KernelTimes(path, "elsewhere").of("site") == {}


def test_calm_entries_of_the_file_are_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    early, late = KernelTimes(path, "here"), KernelTimes(path, "here")
    early.add({"site": {"aten": calm(2.0)}})
    late.add({"site": {"aten": calm(1.0), NATIVE: calm(3.0)}, "other": {"aten": calm(4.0)}})
    assert late.of("site") == KernelTimes(path, "here").of("site") == {"aten": calm(2.0), NATIVE: calm(3.0)}
    assert late.of("other") == {"aten": calm(4.0)}


@pytest.mark.parametrize(
    ("known", "new", "kept"),
    [
        (busy(2.0), calm(3.0), calm(3.0)),
        (busy(2.0), busy(1.0), busy(2.0)),
        (busy(2.0), busy(3.0), busy(2.0)),
        (calm(2.0), busy(1.0), calm(2.0)),
    ],
)
def test_what_a_busy_machine_gave_gives_way_to_what_a_calm_one_gives(
    known: KernelTime, new: KernelTime, kept: KernelTime, tmp_path: Path
) -> None:
    path = tmp_path / "times.json"
    for time in (known, new):
        KernelTimes(path, "here").add({"site": {"aten": time}})
    assert KernelTimes(path, "here").of("site") == {"aten": kept}


def test_times_of_the_first_version_count_as_of_a_busy_machine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "times.json"
    old = {"format": "onnxgrid-kernel-times", "version": 1, "times": {"here": {"site": {"aten": 1.5, NATIVE: 2.5}}}}
    path.write_text(json.dumps(old))
    times = KernelTimes(path, "here")
    assert times.of("site") == {"aten": busy(1.5), NATIVE: busy(2.5)}
    times.add({"site": {"aten": calm(3.5)}})
    assert KernelTimes(path, "here").of("site") == {"aten": calm(3.5), NATIVE: busy(2.5)}
    assert json.loads(path.read_text()) == {
        "format": "onnxgrid-kernel-times",
        "version": 2,
        "times": {
            "here": {
                "site": {
                    "aten": {"busy": False, "milliseconds": 3.5},
                    NATIVE: {"busy": True, "milliseconds": 2.5},
                }
            }
        },
    }
    assert caplog.messages == []


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "times.json"
    times = KernelTimes(path, "here")
    times.add({"site": {"aten": calm(1.0)}})
    assert times.of("site") == {"aten": calm(1.0)}
    assert caplog.messages == [
        f"times of kernels cannot be kept in {path} (File exists): the next run measures again, and may choose other "
        "kernels"
    ]
