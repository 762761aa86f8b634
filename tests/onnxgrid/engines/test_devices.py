"""Devices: which one an engine gets, what it is told when it cannot have CUDA, and that everything of a step is on it.

No GPU is at hand where the tests run. What a step puts where is seen on torch's device "meta", whose tensors have no
values: whoever reads one fails, as every such read on a GPU would make the step wait. `OneDevice` sees to it that no
call mixes tensors of two devices, which a GPU would refuse.
"""

import ctypes
import importlib.metadata
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from onnxgrid.data.batches import Batch
from onnxgrid.engines import cuda_libraries, devices, ort_session
from onnxgrid.engines.devices import choose_device, device_name
from onnxgrid.engines.options import EngineOptions
from onnxgrid.engines.torch_engine import TorchEngine
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.errors import WorkFailed
from onnxgrid.losses import MeanSquaredError, NegativeLogLikelihood
from tests.onnxgrid.engines.test_foreign_networks import BODIES, foreign_model

Gpu = SimpleNamespace
"""The wheels of CUDA 11 by name, and the folder of their files."""

WHEELS = {
    "nvidia-cuda-runtime-cu11": ["libcudart.so.11.0"],
    "nvidia-cublas-cu11": ["libcublasLt.so.11", "libcublas.so.11"],
    "nvidia-cufft-cu11": ["libcufft.so.10"],
    "nvidia-curand-cu11": ["libcurand.so.10"],
    "nvidia-cudnn-cu11": ["libcudnn.so.8"],
}


class OneDevice(TorchDispatchMode):
    """No call takes tensors of two devices, but for copies from one to the other."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if func not in (torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default):
            assert len({tensor.device for tensor in tensors}) <= 1, f"{func} mixes devices"
        return func(*args, **(kwargs or {}))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A machine with everything that both engines need for CUDA: its wheels, and the folder of their files."""
    wheels = dict(WHEELS)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    for names in WHEELS.values():
        for name in names:
            (tmp_path / name).touch()

    def files(distribution: str) -> list[SimpleNamespace]:
        if distribution not in wheels:
            raise importlib.metadata.PackageNotFoundError(distribution)
        return [SimpleNamespace(name=name, locate=lambda name=name: tmp_path / name) for name in wheels[distribution]]

    monkeypatch.setattr(importlib.metadata, "files", files)
    return SimpleNamespace(folder=tmp_path, wheels=wheels)


@pytest.mark.parametrize("engine", ["ort", "torch"])
@pytest.mark.parametrize(("wanted", "given"), [("auto", "cuda"), ("cuda", "cuda"), ("cpu", "cpu")])
def test_an_engine_gets_cuda_where_it_can_use_it(
    gpu: Gpu, engine: str, wanted: str, given: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert choose_device(engine, wanted) == given
    assert not caplog.messages


def lacking(monkeypatch: pytest.MonkeyPatch, gpu: Gpu, what: str) -> None:
    match what:
        case "torch with CUDA":
            monkeypatch.setattr(torch.version, "cuda", None)
            monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        case "a device":
            monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        case "the CUDA build of ONNX Runtime":
            monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
        case "libraries":
            (gpu.folder / "libcudnn.so.8").unlink()
            del gpu.wheels["nvidia-cublas-cu11"]


REASONS = {
    "torch with CUDA": ("torch", f"the installed torch {torch.__version__} is a build without CUDA"),
    "a device": ("torch", "torch finds no CUDA device"),
    "the CUDA build of ONNX Runtime": (
        "ort",
        "the installed onnxruntime is a build for the CPU; "
        "uninstall onnxruntime-training-cpu and install 'onnxgrid[train-gpu]'",
    ),
    "libraries": (
        "ort",
        "libcublasLt.so.11, libcublas.so.11, libcudnn.so.8 not found "
        "(pip install nvidia-cublas-cu11 nvidia-cudnn-cu11)",
    ),
}


@pytest.mark.parametrize("what", REASONS)
def test_what_keeps_an_engine_from_cuda_is_said(gpu: Gpu, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking(monkeypatch, gpu, what)
    engine, reason = REASONS[what]
    with pytest.raises(WorkFailed) as caught:
        choose_device(engine, "cuda")
    assert str(caught.value) == (
        f"The {engine} engine cannot use CUDA: {reason}.\n  Install what is missing, or use --device cpu."
    )


@pytest.mark.parametrize("what", REASONS)
def test_auto_falls_to_the_cpu_and_says_so_where_there_is_a_gpu(
    gpu: Gpu, what: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(devices, "NVIDIA_DRIVER", gpu.folder)
    lacking(monkeypatch, gpu, what)
    engine, reason = REASONS[what]
    with caplog.at_level(logging.WARNING):
        assert choose_device(engine, "auto") == "cpu"
    assert caplog.messages == [
        f"there is a GPU, but the {engine} engine cannot use it: {reason}; computing on the CPU."
    ]


def test_auto_is_silent_where_there_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(devices, "NVIDIA_DRIVER", tmp_path / "absent")
    assert choose_device("torch", "auto") == "cpu"
    assert not caplog.messages


def test_the_log_calls_a_device_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Accelerator {device.index}")
    assert device_name("cpu") == "CPU"
    assert device_name("cuda:1") == "GPU: Accelerator 1"


def test_the_libraries_are_loaded_by_path_in_the_order_they_need(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[tuple[str, int]] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda path, mode: loaded.append((path, mode)))
    cuda_libraries.load_cuda_libraries.__wrapped__()
    names = [name for wheel in WHEELS.values() for name in wheel]
    assert loaded == [(str(gpu.folder / name), ctypes.RTLD_GLOBAL) for name in names]


def test_onnx_runtime_runs_in_the_stream_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=4711))
    assert ort_session.providers(torch.device("cuda:1")) == [
        ("CUDAExecutionProvider", {"device_id": "1", "user_compute_stream": "4711"}),
        "CPUExecutionProvider",
    ]
    assert ort_session.providers(torch.device("cpu")) == ["CPUExecutionProvider"]


NETWORKS = {name: body for name, body in BODIES.items() if "Dropout" not in body}
"""All that draw no random numbers, which need a real device."""


@pytest.mark.parametrize("body", NETWORKS.values(), ids=NETWORKS)
def test_everything_of_a_step_is_on_the_device(body: str) -> None:
    graph = TrainableGraph.from_model(foreign_model(body), "net.onnx")
    shape = TorchEngine(graph, MeanSquaredError(), seed=0).predict(torch.zeros(3, 2, 7, 6)).shape
    engine = TorchEngine(graph, MeanSquaredError(), seed=0, options=EngineOptions(device="meta"))
    with OneDevice():
        result = engine.step(torch.zeros(3, 2, 7, 6), torch.zeros(shape), number=0)
    assert {tensor.device.type for tensor in (result.loss, result.outputs, engine.gradients.flat)} == {"meta"}
    assert result.outputs.shape == engine.predict(torch.zeros(3, 2, 7, 6)).shape == shape


def test_class_weights_are_on_the_device() -> None:
    loss = NegativeLogLikelihood((1.0, 2.0, 3.0))
    y = torch.zeros(2, 3, device="meta", requires_grad=True)
    assert loss.in_torch(y, torch.zeros(2, dtype=torch.int64, device="meta")).device.type == "meta"


def test_a_batch_for_a_gpu_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor + 1)
    pinned = Batch(torch.zeros(2), torch.ones(2), torch.arange(2)).pin_memory()
    assert (pinned.inputs.tolist(), pinned.targets.tolist()) == ([1, 1], [2, 2])  # type: ignore[union-attr]
    assert pinned.indices.tolist() == [0, 1]
    assert Batch(torch.zeros(2), None, torch.arange(2)).pin_memory().targets is None


def test_a_step_that_mixes_devices_is_seen() -> None:
    """What the tests above rely on."""
    graph = TrainableGraph.from_model(foreign_model(BODIES["convolutions"]), "net.onnx")
    engine = TorchEngine(graph, MeanSquaredError(), seed=0)
    engine._run.device = torch.device("meta")  # the batch goes there, the weights are on the CPU
    with OneDevice(), pytest.raises(AssertionError, match="mixes devices"):
        engine.step(torch.zeros(3, 2, 7, 6), torch.zeros(3, 2, 7, 5), number=0)
