"""What each end of a transplant says of its network, for what names and shapes do not tell."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from converters.errors import UserError
from converters.json_text import parse_json
from converters.keras_version import major_version
from converters.roles import LAYER_KEY
from converters.weights.keras import ARCHIVE_SUFFIX, HDF5_SUFFIXES, stated_config
from onnxgrid.transplant.rules import MatchBy, TransplantRules

if TYPE_CHECKING:
    from converters.network import Network

__all__ = ["Side", "keras_graph", "keras_network", "with_graphs"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Side:
    """The source or the target of a transplant, for what only a graph can tell.

    Args:
        place: the file, for errors.
        graph: the model that the weights are of; None if it is not known.
        path: the file; None of a model in memory.
    """

    place: str
    graph: ir.Model | None = None
    path: Path | None = None

    @property
    def is_file_of_keras(self) -> bool:
        return self.path is not None and self.path.name.lower().endswith((ARCHIVE_SUFFIX, *HDF5_SUFFIXES))

    @property
    def is_of_keras(self) -> bool:
        """Whether it is a file of Keras, or a model that was converted from Keras."""
        if self.is_file_of_keras:
            return True
        return self.graph is not None and any(LAYER_KEY in node.metadata_props for node in self.graph.graph)


def with_graphs(source: Side, target: Side, rules: TransplantRules) -> tuple[Side, Side]:
    """Both sides, those that are files of Keras with the graphs of their networks, where graphs have something to say:
    where rules ask for them, or Keras' order of elements may meet another.
    """
    asked = rules.asks_for_sizes or rules.match is MatchBy.STRUCTURE
    if not asked and (source.is_file_of_keras or target.is_file_of_keras):
        asked = not (source.is_of_keras and target.is_of_keras)
    return (_with_graph(source), _with_graph(target)) if asked else (source, target)


def _with_graph(side: Side) -> Side:
    if side.graph is not None or side.path is None or not side.is_file_of_keras:
        return side
    return replace(side, graph=keras_graph(side.path))


def keras_graph(path: Path) -> ir.Model | None:
    """The graph of the network that a file of Keras holds; None if it holds none, or one that does not convert, which
    is logged.
    """
    from converters.build import build_model  # all layers, which nothing else here needs

    try:
        network = keras_network(path)
        return None if network is None else build_model(network)
    except UserError as error:
        problem = error.problem.partition("\n")[0]
        logger.warning("%s: its network does not convert, and tells no sizes and orders: %s", path, problem)
        return None


def keras_network(path: Path) -> "Network | None":
    """The network that a file of Keras holds beside its weights; None of another file.

    Raises:
        WeightFileError: if the file is broken.
        JsonError: if what it holds is not JSON.
        ConversionError: if it is not a network.
    """
    from converters.keras_json import network_from_json, read_network

    name = path.name.lower()
    if name.endswith(ARCHIVE_SUFFIX):
        return read_network(path)
    stated = stated_config(path) if name.endswith(HDF5_SUFFIXES) else None
    if stated is None:
        return None
    config, version = stated
    place = f"{path}, attribute 'model_config'"
    return network_from_json(parse_json(config, place), place, written_by=major_version(version))
