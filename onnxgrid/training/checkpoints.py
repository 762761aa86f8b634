"""Checkpoints: `model_checkpoint_N.onnx`, deployable as it is, and `model_checkpoint_N.pt`, from which a run goes on.

Each file appears whole or not at all; the `.pt` is written last, so a pair that is complete in name is complete in
fact.
"""

import logging
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch

from converters import save_model
from converters.atomic_file import replacing
from converters.weights.onnx import initializer_weights, write_initializers
from onnxgrid.engines.engine import Engine
from onnxgrid.errors import ConfigError

__all__ = ["Checkpoint", "RunState", "newest_checkpoint", "restore_optimizer", "restore_weights", "save_checkpoint"]

FORMAT, VERSION = "onnxgrid-checkpoint", 1

READ_ERRORS = (OSError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile, pickle.UnpicklingError)
"""What torch.load raises for a file that is cut off or something else, and `_read` for one that is not ours."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunState:
    """Where a run stands after an epoch.

    Data order and dropout masks are functions of these numbers, so nothing else is random.
    """

    epoch: int
    """Finished epochs."""
    step: int
    """Finished steps."""
    seed: int
    seconds: float
    """Time spent in training."""
    engine: str


def save_checkpoint(
    folder: Path, state: RunState, model: ir.Model, engine: Engine, optimizer: torch.optim.Optimizer
) -> Path:
    """Write the pair for a state and return the path of its `.onnx` file.

    `model` gives the graph, the engine the values.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trained = write_initializers(model, {**engine.parameters.arrays(), **engine.statistics.arrays()})
    onnx_path = folder / f"model_checkpoint_{state.epoch}.onnx"
    save_model(trained, onnx_path)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "model": {
            name: torch.from_numpy(weight.read().copy())
            for name, weight in initializer_weights(trained, str(onnx_path)).items()
        },
        "optimizer": optimizer.state_dict(),
        **vars(state),
    }
    with replacing(onnx_path.with_suffix(".pt")) as temporary:
        torch.save(content, temporary)
    return onnx_path


@dataclass(frozen=True)
class Checkpoint:
    """A `.pt` file of ours, read."""

    path: Path
    state: RunState
    model: Mapping[str, torch.Tensor]
    optimizer: dict[str, Any]


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest whole pair in a folder, or None.

    An older pair is taken, with a warning, where a newer one is damaged.
    """
    numbered = {}
    for path in folder.glob("model_checkpoint_*.pt"):
        match = re.fullmatch(r"model_checkpoint_(\d+)\.pt", path.name)
        if match and path.with_suffix(".onnx").exists():
            numbered[int(match[1])] = path
    for _, path in sorted(numbered.items(), reverse=True):
        try:
            return _read(path)
        except READ_ERRORS as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            logger.warning("%s is not a whole checkpoint (%s); looking for an older one.", path, reason)
    return None


def _read(path: Path) -> Checkpoint:
    content = torch.load(path, weights_only=True)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError("it was not written by onnxgrid train")
    missing = {"model", "optimizer", *(field.name for field in fields(RunState))} - content.keys()
    if missing:
        raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    state = RunState(**{field.name: content[field.name] for field in fields(RunState)})
    return Checkpoint(path, state, content["model"], content["optimizer"])


def restore_weights(checkpoint: Checkpoint, model: ir.Model) -> ir.Model:
    """A copy of the model with the checkpoint's weights and statistics, those of frozen layers too.

    Raises:
        ConfigError: if the checkpoint belongs to another network.
    """
    network = {name: weight.shape for name, weight in initializer_weights(model, str(checkpoint.path)).items()}
    saved = {name: tuple(tensor.shape) for name, tensor in checkpoint.model.items()}
    different = [
        f"{name}: {saved.get(name, 'absent')} in the checkpoint, {network.get(name, 'absent')} in the network"
        for name in sorted(network.keys() | saved.keys())
        if network.get(name) != saved.get(name)
    ]
    if different:
        raise ConfigError(
            "\n  ".join(["the checkpoint is not of this network", *different]),
            place=str(checkpoint.path),
            fix="Resume with the network the run began with; checkpoints.load carries weights to another.",
        )
    return write_initializers(model, {name: tensor.numpy() for name, tensor in checkpoint.model.items()})


def restore_optimizer(checkpoint: Checkpoint, optimizer: torch.optim.Optimizer) -> None:
    """Load the optimizer's state.

    Raises:
        ConfigError: if the checkpoint was made with another optimizer, or with other layers frozen.
    """
    try:
        saved = checkpoint.optimizer["state"].get(0, {})
        size = optimizer.param_groups[0]["params"][0].numel()
        if any(isinstance(value, torch.Tensor) and value.dim() and value.numel() != size for value in saved.values()):
            raise ValueError("its state has another size")
        options = [_options(group) for group in (checkpoint.optimizer["param_groups"][0], optimizer.param_groups[0])]
        if options[0] != options[1]:
            raise ValueError("its options are others")
        optimizer.load_state_dict(checkpoint.optimizer)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"the checkpoint does not fit the optimizer of this run ({error})",
            place=str(checkpoint.path),
            fix="Resume with the optimizer and the frozen layers the run began with.",
        ) from error


def _options(group: Mapping[str, Any]) -> dict[str, Any]:
    """What a run cannot change on the way: all but the learning rate, which every epoch sets anew."""
    return {name: value for name, value in group.items() if name not in ("lr", "params")}
