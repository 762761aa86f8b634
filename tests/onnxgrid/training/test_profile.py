"""`--profile`: the table and the trace of a few steps, on both engines, in a run that goes on as without it."""

import csv
import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

import onnxgrid
from onnxgrid.engines import create_engine
from onnxgrid.engines.profiling import RecordedEngine, StepProfile, create_recorder
from onnxgrid.engines.recorded_work import Work
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.errors import ConfigError
from onnxgrid.losses import MeanSquaredError
from onnxgrid.training.foreign import ready_for_training
from onnxgrid.training.profile import ProfileRow, profile_rows

ENGINES = ("ort", "torch")
STEPS = 3

LAYERS = {
    "conv": ("Conv2D", {"filters": 4, "kernel_size": 3, "padding": "same"}),
    "norm": ("BatchNormalization", {}),
    "act": ("ReLU", {}),
    "pool": ("MaxPooling2D", {"pool_size": 2}),
    "drop": ("Dropout", {"rate": 0.25}),
    "flat": ("Flatten", {}),
    "dense": ("Dense", {"units": 3}),
}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of two epochs of four steps."""
    monkeypatch.chdir(tmp_path)
    given: dict[str, Any] = {"name": "x", "batch_input_shape": [None, 6, 6, 1]}
    layers = [{"class_name": "InputLayer", "config": given}]
    layers += [{"class_name": kind, "config": {"name": name, **rest}} for name, (kind, rest) in LAYERS.items()]
    Path("net.json").write_text(json.dumps(layers))
    random = np.random.default_rng(0)
    for folder, shape in (("x", (1, 6, 6)), ("t", (3,))):
        Path(folder).mkdir()
        for i in range(16):
            np.save(f"{folder}/{i:02}.npy", random.normal(size=shape).astype(np.float32))
    run = {
        "layers": "net.json",
        "num_epochs": 2,
        "data": {"type": "numpy", "input_path": "x", "target_path": "t", "batch_size": 4},
        "optimizer": {"type": "SGD", "learning_rate": 0.1},
        "loss": {"function": "MSE"},
    }
    Path("run.json").write_text(json.dumps({"neural_network": run}))
    return Path("run.json")


NUMBER = r" +\d+\.\d{3}"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_is_profiled_and_goes_on_as_without_it(engine: str, config: Path) -> None:
    lines: list[str] = []
    profiled = onnxgrid.train(config, engine=engine, profile="made/profile", log=lines.append)
    plain = onnxgrid.train(config, engine=engine)
    assert [e.train_loss for e in profiled.epochs] == [e.train_loss for e in plain.epochs]

    with open("made/profile/layers.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["layer", "forward_ms", "backward_ms", "share", "calls", "forward_mb", "backward_mb"]
    *layers, rest = rows
    assert rest["layer"] == "(between nodes)"
    worked = {row["layer"] for row in layers}
    assert worked <= {*LAYERS, "(loss)", "(other)"}
    assert worked >= {"conv", "norm", "act", "pool", "drop", "dense", "(loss)"} - (
        {"act"} if engine == "ort" else set()
    )
    assert sum(float(row["share"]) for row in rows) == pytest.approx(1, abs=1e-4)
    both_ways = {row["layer"] for row in layers if float(row["forward_ms"]) and float(row["backward_ms"])}
    assert both_ways >= {"conv", "norm", "dense", "(loss)"}
    times = [float(row["forward_ms"]) + float(row["backward_ms"]) for row in layers]
    assert times == sorted(times, reverse=True)

    trace = json.loads(Path("made/profile/trace.json").read_text())
    events = trace if isinstance(trace, list) else trace["traceEvents"]
    named = {"ort": "model_run", "torch": "onnxgrid/step"}[engine]
    assert len([e for e in events if e["name"] == named and e.get("cat") in ("Session", "user_annotation")]) == STEPS

    start = lines.index("------------------ Profile ------------------")
    block = lines[start + 1 : lines.index("-" * 45, start)]
    width = max(len(row["layer"]) for row in rows)
    assert re.fullmatch(r"   Steps: 3, of \d+\.\d ms each", block[0])
    assert block[1] == f"   {'Layer':<{width}}  Forward ms  Backward ms   Share  Calls  Forward MB  Backward MB"
    for line, row in zip(block[2:-2], rows, strict=True):
        name = re.escape(f"   {row['layer']:<{width}}")
        assert re.fullmatch(rf"{name}{NUMBER}{NUMBER} +\d+\.\d% +\d+{NUMBER}{NUMBER}", line)
    assert block[-2:] == ["   All layers: made/profile/layers.csv", "   Chrome trace: made/profile/trace.json"]
    after = re.compile(r"Train Epoch \[  2/  2\] : Batch \[    3/    4\]")
    assert after.match(lines[start - 1]) is None
    assert any(after.match(line) for line in lines[start:])


@pytest.mark.parametrize("steps_taken", [1, 3])
def test_a_short_run_says_that_it_has_no_profile(
    steps_taken: int, config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "onnxgrid"):
        overrides = ["num_epochs=1", f"data.batch_size={ {1: 16, 3: 6}[steps_taken] }"]
        onnxgrid.train(config, engine="ort", profile="profile", overrides=overrides)
    assert caplog.messages == ["the run was too short to be profiled: 3 steps come before those that are"]
    assert list(Path("profile").iterdir()) == []


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing is trained": (
        {
            "engine": "torch",
            "overrides": [
                "data.input_path=null",
                "data.target_path=null",
                "data.test_input_path=x",
                "checkpoints.load=net.json",
            ],
        },
        "--profile: has nothing to measure: the run does not train\n  Set data.input_path, or leave it out.",
    ),
    "compiled steps": (
        {"engine": "torch", "compile": True},
        "--profile: cannot tell the layers of compiled steps apart\n  Leave --compile out, or --profile.",
    ),
    "no folder": (
        {"engine": "torch", "profile": "net.json/profile"},
        "--profile: is 'net.json/profile', where no folder can be made or written\n  Give a folder.",
    ),
}


@pytest.mark.parametrize(("options", "message"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_profiled_is_refused(options: dict[str, Any], message: str, config: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        onnxgrid.train(config, **{"profile": "profile", **options})
    assert str(caught.value) == message


def test_onnx_runtime_on_a_gpu_is_refused(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxgrid.training.setup.choose_device", lambda engine, wanted: "cuda")
    with pytest.raises(ConfigError) as caught:
        onnxgrid.train(config, engine="ort", profile="profile")
    assert str(caught.value) == (
        "--profile: cannot measure ONNX Runtime on a GPU: its profiler sees when work is handed over, not when it is "
        "done\n  Use --engine torch or --device cpu."
    )


FOREIGN = """<ir_version: 9, opset_import: ["": 17]>
net (float[N, 2, 4, 4] x) => (float[N, 3, 4, 4] y)
<float[3, 2, 1, 1] w = {1, 0, 0, 1, 1, 1}, float[3] b = {0, 0, 0}>
{ h = Conv (x, w, b) s = Sigmoid (h) y = Add (h, s) }"""


@pytest.mark.parametrize("engine_name", ENGINES)
def test_nodes_without_layers_are_rows_of_their_own(engine_name: str, tmp_path: Path) -> None:
    """`h` has two readers, so its gradient is a sum, which counts for who makes `h`; names are as they are."""
    model = ir.from_onnx_text(FOREIGN)
    names = ['say "conv"', "back\\slash/last/x", "node_Grad"]
    for node, name in zip(model.graph, names, strict=True):
        node.name = name
    ready_for_training(model)
    graph, profiles = TrainableGraph.from_model(model, "net.onnx"), list[StepProfile | None]()
    engine = create_engine(engine_name, graph, MeanSquaredError(), seed=0)
    recorded = RecordedEngine(engine, create_recorder(engine, graph), tmp_path / "trace.json", profiles.append)
    for number in range(8):
        recorded.step(torch.ones(5, 2, 4, 4), torch.zeros(5, 3, 4, 4), number=number)
    recorded.end()
    (profile,) = profiles
    assert profile is not None
    assert profile.steps == STEPS
    assert {work.layer for work in profile.work} - {"(loss)", "(other)"} == set(names)
    forward = {work.node: work for work in profile.work if not work.backward}
    assert forward['say "conv"'].bytes == 4 * 5 * 3 * 4 * 4
    assert {work.layer for work in profile.work if work.backward} >= set(names[:2])
    assert sum(work.seconds for work in profile.work) <= profile.seconds
    json.loads((tmp_path / "trace.json").read_text())


def test_rows_add_up_to_the_step() -> None:
    """Two steps of 50 ms."""
    work = [
        *[Work("conv", "conv", backward=False, seconds=0.010, bytes=3_000_000)] * 2,
        *[Work("conv", "conv_Grad", backward=True, seconds=0.020, bytes=1_000_000)] * 4,
        *[Work("(loss)", "loss", backward=False, seconds=0.001, bytes=0)] * 2,
    ]
    rows = profile_rows(StepProfile(2, 0.1, work))
    assert [row.layer for row in rows] == ["conv", "(loss)", "(between nodes)"]
    expected = [(10, 40, 1.0, 3, 3, 2), (1, 0, 0.02, 1, 0, 0), (0, 0, 0, 0, 0, 0)]
    for row, numbers in zip(rows, expected, strict=True):
        assert _numbers(row) == pytest.approx(numbers)


def _numbers(row: ProfileRow) -> tuple[float, ...]:
    return row.forward_ms, row.backward_ms, row.share, row.calls, row.forward_mb, row.backward_mb
