"""Where weights come from and where they go: files, or models in memory, opened as far as planning needs them."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from converters.errors import WeightFileError
from converters.model_suffix import MODEL_SUFFIX, is_model_file
from converters.weights import NetworkLayer, Weights, network_layers, read_weights, without_counters
from converters.weights.keras import HDF5_SUFFIXES, KERAS3_SUFFIX, stated_network
from converters.weights.keras2_layout import keras2_names
from converters.weights.onnx import initializer_weights, open_onnx
from converters.weights.onnx_file import OnnxFile
from converters.weights.stored import FileState
from onnxgrid.checkpoint_format import epoch_of
from onnxgrid.errors import TransplantError
from onnxgrid.transplant.memory_target import MemoryTarget, in_memory
from onnxgrid.transplant.output import is_same_file
from onnxgrid.transplant.targets import Model, Target, open_target

__all__ = ["Ends", "FileOrModel", "Source", "expected_names", "is_model", "open_ends"]

logger = logging.getLogger(__name__)

FileOrModel = Path | str | Model


@dataclass(frozen=True)
class Source:
    """What weights are taken from.

    Args:
        place: the file, or what stands for it in errors.
        path: None of a model in memory.
        graph: the model that the weights are of; None if it is not known.
    """

    place: str
    path: Path | None
    weights: Weights
    graph: ir.Model | None


@dataclass(frozen=True)
class Ends:
    """Both ends of a transplant.

    Args:
        target_graph: that of the target, or the one that stands for it.
        states: what their files were before they were opened.
    """

    source: Source
    target: Target
    target_graph: ir.Model | None
    states: Mapping[Path, FileState]

    def require_unchanged(self) -> None:
        """Nothing, if the files are what they were when they were opened.

        Raises:
            WeightFileError: if one is not.
        """
        for path, state in self.states.items():
            state.require(path, path)
        self.target.require_unchanged()


def open_ends(
    source: FileOrModel,
    target: FileOrModel,
    source_graph: FileOrModel | None = None,
    target_graph: FileOrModel | None = None,
    target_place: str | None = None,
) -> Ends:
    """The two ends; whichever knows its network tells the other how to read its file.

    Args:
        source_graph: the model that the source's weights are of, where it is no model itself.
        target_graph: the same for the target.
        target_place: what stands for a target in memory in errors.

    Raises:
        WeightFileError: if a file cannot be read.
        TypeError: if an end is neither a path nor a model.
    """
    for which, end in (("source", source), ("target", target)):
        if not isinstance(end, FileOrModel):
            raise TypeError(f"{which} is a {type(end).__name__}, not a path, an onnx.ModelProto or an onnx_ir.Model")
    states = _states(source, target)
    of_source, of_target = _stated(source, source_graph, "source"), _stated(target, target_graph, "target")
    if is_model(source):
        opened = _model(source)
        to_fill = _target(target, lambda: _layers(_first(of_target, opened.graph)), target_place)
        return Ends(opened, to_fill, _first(of_target, to_fill.graph), states)
    assert isinstance(source, Path | str)
    path = Path(source)
    to_fill = _target(target, lambda: _layers(_first(of_target, of_source)) or stated_network(path), target_place)
    told = _first(of_source, of_target, to_fill.graph)
    same = to_fill.path is not None and is_same_file(path, to_fill.path)
    if same and (of_source is None or of_target is None):
        # One file that is to be another format is read once, and says once what it lacks.
        opened = Source(str(source), path, without_counters(to_fill.weights), told)
        return Ends(opened, to_fill, told, states)
    by_target = stated_network(Path(target)) if told is None and isinstance(target, Path | str) else ()
    weights = without_counters(read_weights(path, by_target or _layers(told)))
    opened = Source(str(source), path, weights, of_source)
    return Ends(opened, to_fill, _first(of_target, to_fill.graph), states)


def _states(*ends: FileOrModel) -> Mapping[Path, FileState]:
    paths = [Path(end) for end in ends if isinstance(end, Path | str)]
    # Absolute, as the working folder may be another later; of a file that is not there, it is said when it is read.
    return {path.absolute(): FileState.of(path) for path in paths if path.exists()}


def is_model(end: FileOrModel) -> bool:
    """Whether an end is a model in memory or has the name of one's file."""
    return isinstance(end, Model) or is_model_file(Path(end))


def _model(source: FileOrModel) -> Source:
    if isinstance(source, Model):
        place = "the source in memory"
        model = in_memory(source, place)
        return Source(place, None, initializer_weights(model, place), model)
    file = OnnxFile.open(Path(source))
    return Source(str(source), Path(source), file.weights(), file.model)


def _target(target: FileOrModel, layers: Callable[[], Sequence[NetworkLayer]], place: str | None) -> Target:
    if isinstance(target, Model):
        return MemoryTarget(target, place or "the target in memory")
    return open_target(Path(target), layers)


def _stated(end: FileOrModel, graph: FileOrModel | None, which: str) -> ir.Model | None:
    """The graph that is given for an end that has none, or that lies beside a checkpoint of `onnxgrid train`."""
    if graph is None:
        return None if isinstance(end, Model) else _beside(Path(end))
    if is_model(end):
        raise TransplantError(
            "is a model, which tells of itself",
            place=f"the {which} {'in memory' if isinstance(end, Model) else end}",
            fix=f"Leave the graph of the {which} out.",
        )
    return in_memory(graph, f"the graph of the {which}") if isinstance(graph, Model) else open_onnx(Path(graph))


def _beside(checkpoint: Path) -> ir.Model | None:
    """The model of the pair that a checkpoint is part of; None if there is none, or it cannot be read, which is logged:
    it was not asked for.
    """
    model = checkpoint.with_suffix(MODEL_SUFFIX)
    if checkpoint.suffix != ".pt" or epoch_of(checkpoint.stem) is None or not model.is_file():
        return None
    try:
        return OnnxFile.open(model).model
    except WeightFileError as error:
        logger.warning("the model beside %s tells nothing of its weights: %s: %s", checkpoint, model, error.problem)
        return None


def _first(*graphs: ir.Model | None) -> ir.Model | None:
    return next((graph for graph in graphs if graph is not None), None)


def _layers(graph: ir.Model | None) -> Sequence[NetworkLayer]:
    return () if graph is None else network_layers(graph)


def expected_names(ends: Ends) -> dict[str, str]:
    """What the source would call a parameter that it lacks, where it has names for them."""
    path = ends.source.path
    if path is None or ends.target_graph is None:
        return {}
    # Keras 3 numbers what it stores in `.weights.h5`: there, what is missing has no name.
    named = path.name.lower().endswith(HDF5_SUFFIXES) and not path.name.lower().endswith(KERAS3_SUFFIX)
    return keras2_names(network_layers(ends.target_graph)) if named else {}
