"""How two models or weight files differ: in their structure, and in the values of their weights, layer by layer.

Weights are paired by name, after the names and axis orders of both files were brought into ours. Values are read one
tensor at a time.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from converters.model_suffix import is_model_file
from converters.roles import initializer_roles, layer_of
from converters.weights import Weight, Weights, without_counters
from converters.weights.onnx import initializer_tensor, initializer_weight
from converters.weights.onnx_file import OnnxFile
from onnxgrid.graph_difference import layer_lines, model_lines, nodes_by_layer
from onnxgrid.transplant.ends import is_model, open_ends
from onnxgrid.transplant.statistics import CHUNK

if TYPE_CHECKING:
    from onnxgrid.transplant.ends import FileOrModel

__all__ = ["LayerDifference", "ModelDifference", "TensorDifference", "diff"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class TensorDifference:
    """One tensor in both files, if it is not the same.

    Args:
        in_a: its type and shape in the first file; None if it is not there.
        in_b: the same of the second.
        largest: the largest difference of two values that stand at the same place; infinite where only one is a number;
            None where the shapes differ or one file lacks the tensor.
        relative: the Euclidean norm of the difference, divided by that of A; infinite if A is zero; None as `largest`.
    """

    name: str
    in_a: str | None
    in_b: str | None
    largest: float | None
    relative: float | None

    @property
    def severity(self) -> float:
        """What is sorted by: a tensor without a counterpart counts as infinitely different."""
        return math.inf if self.largest is None else self.largest

    def to_json(self) -> dict[str, Any]:
        """JSON has no infinity: "inf" stands for it."""
        numbers = {"largest": self.largest, "relative": self.relative}
        return {
            "name": self.name,
            "in_a": self.in_a,
            "in_b": self.in_b,
            **{what: "inf" if number == math.inf else number for what, number in numbers.items()},
        }


@dataclass(frozen=True)
class LayerDifference:
    """What differs in a layer: its nodes, in words, and its tensors, the largest difference first."""

    name: str
    structure: tuple[str, ...]
    tensors: tuple[TensorDifference, ...]

    @property
    def severity(self) -> float:
        return max((tensor.severity for tensor in self.tensors), default=0.0)


@dataclass(frozen=True)
class ModelDifference:
    """What differs between two files; layers with the largest difference of values first, then by their order.

    Args:
        structure: what differs in the models as a whole, in words.
        layers: those that differ.
        compared: how many tensors both have.
        graphs: whether both files have a graph, so that structures were compared.
    """

    a: str
    b: str
    structure: tuple[str, ...]
    layers: tuple[LayerDifference, ...]
    compared: int
    graphs: bool

    @property
    def equal(self) -> bool:
        return not self.structure and not self.layers

    def to_json(self) -> dict[str, Any]:
        """All of it, in strings, numbers, lists, dicts and None only."""
        return {
            "a": self.a,
            "b": self.b,
            "equal": self.equal,
            "graphs_compared": self.graphs,
            "tensors_compared": self.compared,
            "structure": list(self.structure),
            "layers": [
                {
                    "name": layer.name,
                    "structure": list(layer.structure),
                    "tensors": [tensor.to_json() for tensor in layer.tensors],
                }
                for layer in self.layers
            ],
        }


def diff(a: "FileOrModel", b: "FileOrModel", *, tolerance: float = 0.0) -> ModelDifference:
    """How two models (`.onnx`, or in memory) or weight files differ.

    Structures are compared where both are models. Equal are values that are the same number (0 and -0 are), or both not
    a number; the type counts too.

    Args:
        tolerance: tensors whose relative difference (`TensorDifference.relative`) is not larger count as equal, if
            their shapes and types are.

    Raises:
        WeightFileError: if a file cannot be read.
    """
    ends = open_ends(a, b)
    first, second = ends.source, ends.target
    # A checkpoint knows the graph of the model beside it, and is none all the same.
    graphs = (first.graph, ends.target_graph)
    both = is_model(a) and is_model(b)
    weights = (
        (_tensors(a, first.weights), _tensors(b, second.weights))
        if both
        else (without_counters(first.weights), without_counters(second.weights))
    )
    tensors = list(_tensor_differences(*weights, tolerance))
    structure: list[str] = []
    layers: dict[str, list[str]] = {}
    if both and graphs[0] is not None and graphs[1] is not None:
        structure = model_lines(graphs[0], graphs[1])
        layers = _structures(graphs[0], graphs[1])
    owners = {**_owners(graphs[1]), **_owners(graphs[0])}
    by_layer: dict[str, list[TensorDifference]] = {name: [] for name in layers}
    for tensor in sorted(tensors, key=lambda tensor: -tensor.severity):
        by_layer.setdefault(owners.get(tensor.name, layer_of(tensor.name)), []).append(tensor)
    found = [LayerDifference(name, tuple(layers.get(name, ())), tuple(held)) for name, held in by_layer.items()]
    differing = [layer for layer in found if layer.tensors or layer.structure]
    return ModelDifference(
        a=first.place,
        b=ends.target.place,
        structure=tuple(structure),
        layers=tuple(sorted(differing, key=lambda layer: -layer.severity)),
        compared=len(weights[0].keys() & weights[1].keys()),
        graphs=both,
    )


def _structures(a: ir.Model, b: ir.Model) -> dict[str, list[str]]:
    """By layer, in the order of A and then of B, what differs in its nodes."""
    nodes = nodes_by_layer(a), nodes_by_layer(b)
    lines: dict[str, list[str]] = {}
    for name in dict.fromkeys([*nodes[0], *nodes[1]]):
        if name in nodes[0] and name in nodes[1]:
            lines[name] = layer_lines(nodes[0][name], nodes[1][name])
        else:
            lines[name] = ["only in A" if name in nodes[0] else "only in B"]
    return lines


def _owners(model: ir.Model | None) -> dict[str, str]:
    return {} if model is None else {name: role.layer for name, role in initializer_roles(model).items()}


def _tensors(end: "FileOrModel", weights: Weights) -> Mapping[str, Weight]:
    """What an end holds: of a model, the constants too."""
    if isinstance(end, str | Path):
        path = Path(end)
        return OnnxFile.open(path).tensors() if is_model_file(path) else weights
    model = end if isinstance(end, ir.Model) else ir.from_proto(end)
    constants = [name for name in model.graph.initializers if name not in weights]
    return {
        **weights,
        **{name: initializer_weight(name, initializer_tensor(model, name), "a model in memory") for name in constants},
    }


def _tensor_differences(
    a: Mapping[str, Weight], b: Mapping[str, Weight], tolerance: float
) -> Iterator[TensorDifference]:
    for name in dict.fromkeys([*a, *b]):
        first, second = a.get(name), b.get(name)
        described = None if first is None else _described(first), None if second is None else _described(second)
        if first is None or second is None or first.shape != second.shape:
            yield TensorDifference(name, *described, None, None)
            continue
        largest, relative = _value_difference(first.read(), second.read())
        if first.dtype != second.dtype or (largest > 0 and not relative <= tolerance):
            yield TensorDifference(name, *described, largest, relative)


def _described(weight: Weight) -> str:
    return f"{weight.dtype} {weight.shape}"


def _value_difference(a: Array, b: Array) -> tuple[float, float]:
    """The largest difference of two values, and the norm of all differences divided by that of `a`."""
    largest = squares = scale = 0.0
    flat = a.reshape(-1), b.reshape(-1)
    if a.dtype == b.dtype and np.array_equal(flat[0], flat[1]):
        return 0.0, 0.0
    for start in range(0, a.size, CHUNK):
        one, other = (values[start : start + CHUNK] for values in flat)
        differences = _differences(one, other)
        largest = max(largest, float(differences.max(initial=0.0)))
        squares += float(np.square(differences).sum())
        scale += _squares(one)
    if largest == 0:
        return 0.0, 0.0
    return largest, math.sqrt(squares / scale) if scale and math.isfinite(squares) else math.inf


def _differences(a: Array, b: Array) -> Array:
    """The size of each difference; infinite where only one is a number, or where neither can be."""
    if not (_is_number(a.dtype) and _is_number(b.dtype)):
        return np.where(a == b, 0.0, np.inf)
    with np.errstate(all="ignore"):  # infinities and what comes of them show in the result
        sizes: Array = a.astype(np.float64) - b.astype(np.float64)
        np.abs(sizes, out=sizes)
        if a.dtype.kind == "f" and math.isfinite(sizes.max(initial=0.0)):
            return sizes
        sizes[np.isnan(sizes)] = np.inf
        # Integers that float64 does not tell apart differ by 1 at least.
        sizes[(sizes == 0) & (a != b)] = 1.0
        sizes[(a == b) | ((a != a) & (b != b))] = 0.0  # NaN is what differs from itself
    return sizes


def _squares(values: Array) -> float:
    if not _is_number(values.dtype):
        return 0.0
    with np.errstate(all="ignore"):
        squares = np.square(values.astype(np.float64))
        total = float(squares.sum())
    return total if math.isfinite(total) else float(squares[np.isfinite(squares)].sum())


def _is_number(dtype: np.dtype[Any]) -> bool:
    """Whether a type casts to float64: NumPy's numbers, and those of ml_dtypes, which NumPy takes for plain bytes."""
    return dtype.kind in "fiub" or (dtype.kind == "V" and dtype.type.__module__ == "ml_dtypes")
