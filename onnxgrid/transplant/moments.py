"""An optimizer's moments from one checkpoint of `onnxgrid train` to another, adapted as the weights are.

A moment of the gradient goes through the same maps as its weight. Second moments stay positive: their square roots, the
sizes of gradients, are mapped. Adam counts steps once for all parameters; the count becomes the source's, and moments
that the target keeps are scaled so that what Adam makes of them (bias correction) stays what it was.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.roles import Role, kind_of_name
from converters.weights import Weight
from converters.weights.torch_archive import save_content
from converters.weights.torch_content import load_content
from onnxgrid.checkpoint_format import FORMAT
from onnxgrid.transplant.plan import Match, TransplantPlan

if TYPE_CHECKING:
    import torch

__all__ = ["SUFFIXES", "Checkpoint", "open_checkpoint", "write_checkpoint"]

SUFFIXES = (".pt", ".pth")

LINEAR = ("exp_avg", "momentum_buffer")
"""What torch calls moments that are sums of gradients."""
SQUARED = ("exp_avg_sq", "max_exp_avg_sq")
"""And those of their squares."""

BETAS = {"exp_avg": 0, "exp_avg_sq": 1, "max_exp_avg_sq": 1}
"""Which of Adam's factors a moment decays by."""

Array = np.ndarray[Any, np.dtype[Any]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of `onnxgrid train` as far as moments go.

    Args:
        content: of the file.
        moments: by what torch calls them, by parameter: the moments, in its shape.
        step: how often Adam has updated; None of other optimizers.
    """

    path: Path
    content: Mapping[str, Any]
    moments: Mapping[str, Mapping[str, Array]]
    step: float | None


def open_checkpoint(path: Path | None) -> Checkpoint | None:
    """The checkpoint in a file; None if it is none of ours, or does not say whose the moments are.

    Raises:
        WeightFileError: if the file is broken, or would run code.
    """
    if path is None or path.suffix.lower() not in SUFFIXES:
        return None
    content = load_content(path).content
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        return None
    state = content["optimizer"]["state"].get(0, {})
    flat = {name: value for name, value in state.items() if name in (*LINEAR, *SQUARED) and value is not None}
    shapes = _trainable_shapes(content)
    divided = {name: _divided(value, shapes) for name, value in flat.items()}
    if any(parts is None for parts in divided.values()):
        logger.warning("%s does not say whose the optimizer's moments are: they are not carried", path)
        return None
    moments = {name: parts for name, parts in divided.items() if parts is not None}
    return Checkpoint(path, content, moments, float(state["step"]) if "step" in state else None)


def _trainable_shapes(content: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the parameters that the optimizer has, in its order."""
    model = content["model"]
    # Earlier checkpoints do not list them: then they are taken for all parameters, and the size tells if that is wrong.
    names = content.get("trainable", [name for name in model if kind_of_name(name) is Role.PARAMETER])
    return {name: tuple(model[name].shape) for name in names}


def _divided(flat: "torch.Tensor", shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array] | None:
    from onnxgrid.engines.engine import FlatTensors

    tensors = FlatTensors(shapes, flat.device)
    if tensors.flat.shape != flat.shape:
        return None
    tensors.flat.copy_(flat)
    return tensors.arrays()


def _joined(parts: Mapping[str, Array]) -> "torch.Tensor":
    import torch

    from onnxgrid.engines.engine import FlatTensors

    return FlatTensors.holding(parts, torch.device("cpu")).flat


def write_checkpoint(
    path: Path, target: Checkpoint, source: Checkpoint, plan: TransplantPlan, carried: Mapping[str, Weight]
) -> tuple[str, ...]:
    """Write the target's checkpoint with other weights and the source's moments of them; the names of the latter.

    Nothing of the optimizer is carried where the two are not of one kind, which is logged.

    Args:
        path: the file that is written, as it is named.
        carried: the weights by name.

    Raises:
        WeightFileError: if a weight cannot be read or cast.
    """
    held = target.content["model"]
    model = {
        name: carried[name].cast(tensor.numpy().dtype) if name in carried else tensor for name, tensor in held.items()
    }
    content = {**target.content, "model": model}
    names: tuple[str, ...] = ()
    if source.moments.keys() != target.moments.keys():
        logger.warning("%s and %s are of different optimizers: moments are not carried", source.path, target.path)
    elif source.moments:
        names, content["optimizer"] = _with_moments(target, source, plan)
    save_content(content, path)
    return names


def _with_moments(
    target: Checkpoint, source: Checkpoint, plan: TransplantPlan
) -> tuple[tuple[str, ...], Mapping[str, Any]]:
    import torch

    optimizer = target.content["optimizer"]
    state = dict(optimizer["state"][0])
    names: tuple[str, ...] = ()
    for kind, held in target.moments.items():
        matches = {match.target.name: match for match in plan.carried if match.source in source.moments[kind]}
        names = tuple(name for name in held if name in matches)
        scale = _scale_of_kept(kind, target, source)
        state[kind] = _joined(
            {
                name: _carried(matches[name], source.moments[kind], values, kind) if name in matches else values * scale
                for name, values in held.items()
            }
        )
    if names and source.step is not None:
        state["step"] = torch.tensor(source.step, dtype=state["step"].dtype)
    return names, {**optimizer, "state": {0: state}}


def _carried(match: Match, moments: Mapping[str, Array], held: Array, kind: str) -> Array:
    assert match.adaptation is not None, "what is carried has the target's shape"
    values = moments[match.source]
    if not match.adaptation.steps:
        return values
    if kind in SQUARED:
        return match.adaptation.apply(np.sqrt(values), lambda: np.sqrt(held)) ** 2
    return match.adaptation.apply(values, lambda: held)


def _scale_of_kept(kind: str, target: Checkpoint, source: Checkpoint) -> float:
    """By what a moment changes so that it stands for the same after the source's number of steps."""
    if kind not in BETAS or not target.step or not source.step:
        return 1.0
    beta = target.content["optimizer"]["param_groups"][0]["betas"][BETAS[kind]]
    return float((1 - beta**source.step) / (1 - beta**target.step))
