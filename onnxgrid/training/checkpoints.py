"""Checkpoints: `model_checkpoint_N.onnx`, deployable as it is, and `model_checkpoint_N.pt`, from which a run goes on.

Each file appears whole or not at all. `checkpoints.json` lists the epochs of the run that wrote last, so that files of
an earlier run in the same folder are not taken for its own. A pair is written in this order: an older pair of that
number goes, the epoch is listed, the `.onnx` and then the `.pt` appear; so a listed pair that is complete in name is
complete in fact.
"""

import hashlib
import json
import logging
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch

from converters import save_model
from converters.atomic_file import replacing
from converters.model_suffix import MODEL_SUFFIX
from converters.weights.onnx import initializer_weights, write_initializers
from onnxgrid.checkpoint_format import FORMAT, VERSION, epoch_of, stem_of
from onnxgrid.engines.engine import Engine
from onnxgrid.engines.options import EngineOptions
from onnxgrid.errors import ConfigError, WorkFailed

__all__ = [
    "Checkpoint",
    "RunState",
    "checkpoint_path",
    "forget_checkpoints",
    "newest_checkpoint",
    "restore_optimizer",
    "restore_weights",
    "save_checkpoint",
    "weight_sums",
]

INDEX = "checkpoints.json"

READ_ERRORS = (OSError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile, pickle.UnpicklingError)
"""What torch.load raises for a file that is cut off or something else."""

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
    device: str = "cpu"
    """As torch names it."""
    precision: str = "fp32"
    compile: bool = False

    @property
    def options(self) -> EngineOptions:
        return EngineOptions(self.device, self.precision, self.compile)


def save_checkpoint(
    folder: Path,
    state: RunState,
    model: ir.Model,
    engine: Engine,
    optimizer: torch.optim.Optimizer,
    *,
    settings: Mapping[str, Any],
    first_of_run: bool,
) -> Path:
    """Write the pair for a state and return the path of its `.onnx` file.

    Args:
        model: gives the graph; the engine gives the values.
        settings: what decides the run's numbers (`onnxgrid.training.settings`).
        first_of_run: whether the run has saved nothing before, here or before it was resumed.

    Raises:
        WorkFailed: if a weight is not finite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not torch.isfinite(engine.parameters.flat).all() or not torch.isfinite(engine.statistics.flat).all():
        raise WorkFailed(
            f"The weights are not finite after epoch {state.epoch}; they are not saved.",
            fix="Lower optimizer.learning_rate, and go on from the last checkpoint with --resume.",
        )
    trained = write_initializers(model, {**engine.parameters.arrays(), **engine.statistics.arrays()})
    onnx_path = checkpoint_path(folder, state.epoch)
    for old in (onnx_path.with_suffix(".pt"), onnx_path):
        old.unlink(missing_ok=True)
    _list_epoch(folder, state, first_of_run=first_of_run)
    save_model(trained, onnx_path)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "model": {
            name: torch.from_numpy(weight.read().copy())
            for name, weight in initializer_weights(trained, str(onnx_path)).items()
        },
        "optimizer": optimizer.state_dict(),
        "trainable": list(engine.parameters.views),
        "settings": json.dumps(settings),
        "kernels": json.dumps(dict(engine.kernels)),
        **vars(state),
    }
    with replacing(onnx_path.with_suffix(".pt")) as temporary:
        torch.save(content, temporary)
    return onnx_path


def checkpoint_path(folder: Path, epoch: int) -> Path:
    """The `.onnx` file of a checkpoint."""
    return folder / f"{stem_of(epoch)}.onnx"


def weight_sums(engine: Engine) -> dict[str, str]:
    """Checksums by which processes find out whether their weights are the same, bit for bit."""
    tensors = {"the checksum of the weights": engine.parameters, "the checksum of the statistics": engine.statistics}
    return {
        what: hashlib.blake2b(tensor.flat.cpu().numpy().tobytes(), digest_size=8).hexdigest()
        for what, tensor in tensors.items()
    }


def forget_checkpoints(folder: Path) -> None:
    """Make what lies in the folder that of an earlier run: `newest_checkpoint` does not find it any more."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_index(folder, [])


def _list_epoch(folder: Path, state: RunState, *, first_of_run: bool) -> None:
    epochs = [] if first_of_run else [epoch for epoch in _listed_epochs(folder) if epoch < state.epoch]
    _write_index(folder, [*epochs, state.epoch])


def _write_index(folder: Path, epochs: list[int]) -> None:
    with replacing(folder / INDEX) as temporary:
        temporary.write_text(json.dumps({"epochs": epochs}) + "\n")


def _listed_epochs(folder: Path) -> list[int]:
    """The epochs that `checkpoints.json` lists; without the file, those of all pairs in the folder."""
    try:
        listed = json.loads((folder / INDEX).read_text())["epochs"]
        return [int(epoch) for epoch in listed]
    except FileNotFoundError:
        epochs = (epoch_of(path.stem) for path in folder.glob("*.pt"))
        return sorted(epoch for epoch in epochs if epoch is not None)
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            "is not a list of epochs that onnxgrid train wrote",
            place=str(folder / INDEX),
            fix="Delete it: the checkpoint of the highest number in the folder is then the newest.",
        ) from None


@dataclass(frozen=True)
class Checkpoint:
    """A `.pt` file of ours, read."""

    path: Path
    state: RunState
    model: Mapping[str, torch.Tensor]
    optimizer: dict[str, Any]
    settings: dict[str, Any]
    kernels: dict[str, str]
    """`kernels` of the engine that trained."""


class _NotWhole(Exception):
    """Why a file is not a whole checkpoint of ours."""


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest whole pair in a folder, or None.

    An older pair is taken, with a warning, where a newer one is damaged.
    """
    for epoch in reversed(_listed_epochs(folder)):
        path = checkpoint_path(folder, epoch).with_suffix(".pt")
        if not path.exists() or not path.with_suffix(MODEL_SUFFIX).exists():
            continue
        try:
            return _read(path)
        except _NotWhole as reason:
            logger.warning("%s is not a whole checkpoint (%s); looking for an older one.", path, reason)
    return None


def _read(path: Path) -> Checkpoint:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except READ_ERRORS as error:
        raise _NotWhole("it is cut off, or another kind of file") from error  # torch's own text is a page of advice
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _NotWhole("it was not written by onnxgrid train")
    if content.get("version") != VERSION:
        raise _NotWhole(f"it has version {content.get('version')} of the format, known is {VERSION}")
    needed = {field.name for field in fields(RunState) if field.default is MISSING}
    missing = {"model", "optimizer", "settings", *needed} - content.keys()
    if missing:
        raise _NotWhole(f"it lacks {', '.join(sorted(missing))}")
    state = RunState(**{field.name: content[field.name] for field in fields(RunState) if field.name in content})
    settings, kernels = json.loads(content["settings"]), json.loads(content.get("kernels", "{}"))
    return Checkpoint(path, state, content["model"], content["optimizer"], settings, kernels)


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
        size = sum(part.numel() for part in optimizer.param_groups[0]["params"])
        if any(isinstance(value, torch.Tensor) and value.dim() and value.numel() != size for value in saved.values()):
            raise ValueError("its state has another size")
        optimizer.load_state_dict(checkpoint.optimizer)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"the checkpoint does not fit the optimizer of this run ({error})",
            place=str(checkpoint.path),
            fix="Resume with the optimizer and the frozen layers the run began with.",
        ) from error
