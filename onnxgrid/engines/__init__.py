"""Engines: what computes loss and gradients of a network.

`create_engine` picks one; the training loop sees only the protocol.
"""

import importlib.util
import logging
import sys
from typing import TYPE_CHECKING

from onnxgrid.engines.freed_memory import keep_freed_memory
from onnxgrid.engines.kernel_options import DEFAULT_KERNELS, KernelChoice, KernelOptions
from onnxgrid.engines.options import DEFAULT_OPTIONS, DEVICES, PRECISIONS, EngineOptions
from onnxgrid.errors import ConfigError, WorkFailed
from onnxgrid.processes import ALONE, Processes

if TYPE_CHECKING:
    import onnx_ir as ir

    from onnxgrid.engines.engine import Engine, Predict
    from onnxgrid.engines.trainable_graph import TrainableGraph
    from onnxgrid.losses import Loss

__all__ = [
    "DEVICES",
    "ENGINES",
    "PRECISIONS",
    "EngineOptions",
    "KernelChoice",
    "KernelOptions",
    "create_engine",
    "create_predictor",
    "default_engine",
    "require_ort",
]

ENGINES = ("ort", "torch")

logger = logging.getLogger(__name__)


def default_engine() -> str:
    """ "ort" where ONNX Runtime's training build is installed; otherwise "torch", with a warning that says why."""
    reason = _why_no_ort()
    if reason is None:
        return "ort"
    logger.warning("%s; training with the torch engine.", reason)
    return "torch"


def create_engine(
    name: str,
    graph: "TrainableGraph",
    loss: "Loss",
    *,
    seed: int,
    options: EngineOptions = DEFAULT_OPTIONS,
    kernels: KernelOptions = DEFAULT_KERNELS,
    processes: Processes = ALONE,
) -> "Engine":
    """The engine of this name for a network and a loss.

    Args:
        seed: of everything random in a step (dropout masks).
        kernels: how the ort engine chooses its kernels.
        processes: those that take each step together: batch statistics are those of all, and so are the kernels.

    Raises:
        WorkFailed: if the engine's library is not installed.
        ConfigError: if there is no such engine, it has no such option, or the network holds an op that it does not
            know.
    """
    _require_known(name, options)
    keep_freed_memory()
    if name == "torch":
        from onnxgrid.engines.torch_engine import TorchEngine

        return TorchEngine(graph, loss, seed=seed, options=options, processes=processes)
    require_ort()
    from onnxgrid.engines.ort_engine import OrtEngine

    return OrtEngine(graph, loss, seed=seed, options=options, kernels=kernels, processes=processes)


def create_predictor(name: str, model: "ir.Model", place: str, options: EngineOptions = DEFAULT_OPTIONS) -> "Predict":
    """The network as a function, with its weights as they are, by the engine of this name.

    Raises as `create_engine`.
    """
    _require_known(name, options)
    if name == "torch":
        from onnxgrid.engines.torch_engine import torch_predictor

        return torch_predictor(model, place, options)
    require_ort()
    from onnxgrid.engines.ort_engine import ort_predictor

    return ort_predictor(model, options)


def _require_known(name: str, options: EngineOptions) -> None:
    if name not in ENGINES:
        raise ConfigError(f"there is no engine '{name}'", place="engine", fix=f"Use one of: {', '.join(ENGINES)}.")
    if options.precision not in PRECISIONS:
        raise ConfigError(
            f"there is no precision '{options.precision}'",
            place="precision",
            fix=f"Use one of: {', '.join(PRECISIONS)}.",
        )
    if name == "ort" and options.compile:
        raise ConfigError(
            "the ort engine has nothing to compile", place="compile", fix="Use --engine torch, or leave --compile out."
        )


def require_ort() -> None:
    """Nothing, if ONNX Runtime's training build can be used.

    Raises:
        WorkFailed: saying why it cannot.
    """
    reason = _why_no_ort()
    if reason is not None:
        raise WorkFailed(f"The ort engine cannot run: {reason}.", fix="Install what is missing, or use --engine torch.")


def _why_no_ort() -> str | None:
    if importlib.util.find_spec("onnxruntime") is None:
        if sys.version_info >= (3, 12):
            return "onnxruntime-training 1.19.2 has no wheel for Python 3.12 and newer"
        return "onnxruntime-training-cpu is not installed (pip install 'onnxgrid[train]')"
    from onnxruntime.capi import _pybind_state

    if not hasattr(_pybind_state, "GradientGraphBuilder"):
        return (
            "the installed onnxruntime is an inference build, which hides the training build; "
            "uninstall onnxruntime and reinstall onnxruntime-training-cpu==1.19.2"
        )
    return None
