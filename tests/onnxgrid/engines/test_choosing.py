"""Which engine a run gets, and what it is told when that engine cannot run."""

import importlib.util
import logging
import sys
from importlib.machinery import ModuleSpec

import onnx
import onnx_ir as ir
import pytest
from onnxruntime.capi import _pybind_state

from onnxgrid.engines import create_engine, create_predictor, default_engine
from onnxgrid.engines.options import EngineOptions
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.errors import ConfigError, WorkFailed
from onnxgrid.losses import MeanSquaredError

MODEL = ir.from_proto(
    onnx.parser.parse_model("""<ir_version: 9, opset_import: ["" : 17]>
    net (float[N, 2] x) => (float[N, 2] y) <float[2] w = {1, 2}> { y = Mul (x, w) }""")
)
GRAPH = TrainableGraph.from_model(MODEL, "net.onnx")

NOT_INSTALLED = "onnxruntime-training-cpu is not installed (pip install 'onnxgrid[train]')"
NO_WHEEL = "onnxruntime-training 1.19.2 has no wheel for Python 3.12 and newer"
INFERENCE_BUILD = (
    "the installed onnxruntime is an inference build, which hides the training build; "
    "uninstall onnxruntime and reinstall onnxruntime-training-cpu==1.19.2"
)


@pytest.fixture(
    params=[((3, 10), NOT_INSTALLED), ((3, 13), NO_WHEEL), (None, INFERENCE_BUILD)], ids=lambda p: p[1][:30]
)
def reason(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Why the ort engine cannot run, on a system where that is so."""
    version, text = request.param
    if version is None:
        monkeypatch.delattr(_pybind_state, "GradientGraphBuilder")
        return text
    find_spec = importlib.util.find_spec

    def without_onnxruntime(name: str) -> ModuleSpec | None:
        return None if name == "onnxruntime" else find_spec(name)

    monkeypatch.setattr(importlib.util, "find_spec", without_onnxruntime)
    monkeypatch.setattr(sys, "version_info", version)
    return text


def test_the_default_is_ort(caplog: pytest.LogCaptureFixture) -> None:
    assert default_engine() == "ort"
    assert not caplog.messages


def test_without_the_training_build_the_default_is_torch_and_a_warning_says_why(
    reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert default_engine() == "torch"
    assert caplog.messages == [f"{reason}; training with the torch engine."]


def test_asking_for_ort_without_the_training_build_fails_and_says_why(reason: str) -> None:
    expected = f"The ort engine cannot run: {reason}.\n  Install what is missing, or use --engine torch."
    with pytest.raises(WorkFailed) as caught:
        create_engine("ort", GRAPH, MeanSquaredError(), seed=0)
    assert str(caught.value) == expected
    with pytest.raises(WorkFailed) as caught:
        create_predictor("ort", MODEL, "net.onnx")
    assert str(caught.value) == expected


def test_an_engine_that_does_not_exist_is_refused() -> None:
    expected = "engine: there is no engine 'jax'\n  Use one of: ort, torch."
    with pytest.raises(ConfigError) as caught:
        create_engine("jax", GRAPH, MeanSquaredError(), seed=0)
    assert str(caught.value) == expected
    with pytest.raises(ConfigError) as caught:
        create_predictor("jax", MODEL, "net.onnx")
    assert str(caught.value) == expected


OPTIONS_REFUSED = {
    "a precision that does not exist": (
        "torch",
        EngineOptions(precision="fp8"),
        "precision: there is no precision 'fp8'\n  Use one of: fp32, bf16.",
    ),
    "compiling ONNX Runtime": (
        "ort",
        EngineOptions(compile=True),
        "compile: the ort engine has nothing to compile\n  Use --engine torch, or leave --compile out.",
    ),
}


@pytest.mark.parametrize(("engine", "options", "message"), OPTIONS_REFUSED.values(), ids=OPTIONS_REFUSED)
def test_an_option_that_an_engine_has_not_is_refused(engine: str, options: EngineOptions, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        create_engine(engine, GRAPH, MeanSquaredError(), seed=0, options=options)
    assert str(caught.value) == message
    with pytest.raises(ConfigError) as caught:
        create_predictor(engine, MODEL, "net.onnx", options)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["ort", "torch"])
def test_an_engine_knows_its_name(name: str) -> None:
    assert create_engine(name, GRAPH, MeanSquaredError(), seed=0).name == name
