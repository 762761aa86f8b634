"""A graph reduced to what tells its layers apart: the nodes that hold parameters, and where their values meet.

Exporters write the same network in different nodes. Activations, pooling, reshaping and what else has a single source
is left out; so are values that part and meet again without a parameter between, as in x * sigmoid(x).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from converters.roles import Role, initializer_roles
from converters.weights.onnx import initializer_tensor
from onnxgrid.transplant.usage import RESHAPING, ParameterUse, parameter_uses

__all__ = ["NORM", "Place", "layer_graph"]

INPUT = -1
"""Stands for the graph's inputs among the sources of a place."""

COMMUTATIVE = frozenset({"Add", "Max", "Mean", "Min", "Mul", "Sum"})

PARAMETER_NAMES: Mapping[str, tuple[str, ...]] = {
    "BatchNormalization": ("", "weight", "bias", "running_mean", "running_var"),
    "Conv": ("", "weight", "bias"),
    "ConvTranspose": ("", "weight", "bias"),
    "Gemm": ("", "weight", "bias"),
    "InstanceNormalization": ("", "weight", "bias"),
    "LayerNormalization": ("", "weight", "bias"),
    "MatMul": ("", "weight"),
    "PRelu": ("", "weight"),
}
"""Operator -> what its parameters are called, by position; others are called by their position."""

OPERATORS = {"Gemm": "Dense", "MatMul": "Dense", "Sum": "Add"}
"""Operators that different exporters use for the same layer."""

NORM = "norm."
"""Before the names of the parameters of a normalization that counts as part of a layer."""

DEFAULT_EPSILON = 1e-5
"""Of BatchNormalization in ONNX."""

TAKES_BIAS = ("Conv", "ConvTranspose", "Dense")


@dataclass
class Place:
    """A layer, or a place where values meet.

    Args:
        operator: what it does, in one word for all exporters.
        sources: indices of the places whose values it takes, in the order of its inputs.
        parameters: by what they are for it: their names.
        shapes: the same: their shapes, a Dense's as (out, in).
        folds: whether a normalization at once behind the layer counts as its part, which may be folded into its weight
            and bias: then neither makes it another layer.
        epsilon: of that normalization.
    """

    operator: str
    sources: tuple[int, ...]
    parameters: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    folds: bool = False
    epsilon: float = DEFAULT_EPSILON

    @property
    def commutes(self) -> bool:
        return self.operator in COMMUTATIVE

    @property
    def shape_key(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """What layers of one shape have in common."""
        silent = [what for what in self.shapes if self.folds and (what == "bias" or what.startswith(NORM))]
        return tuple(sorted((what, shape) for what, shape in self.shapes.items() if what not in silent))


def layer_graph(model: ir.Model, *, fold: bool = False) -> list[Place]:
    """The places of a model's main graph, each behind its sources.

    Args:
        fold: whether a normalization at once behind a layer is part of it.
    """
    return _Reduction(model, fold=fold).places


class _Reduction:
    """The reduction under way: places found so far, and what every value comes from."""

    def __init__(self, model: ir.Model, *, fold: bool) -> None:
        self._model, self._fold = model, fold
        roles = initializer_roles(model)
        self._held = {name for name, role in roles.items() if role.kind is not Role.CONSTANT}
        self._uses = parameter_uses(model)
        self._parameters: dict[ir.Value, str] = {}
        self._sources: dict[ir.Value, int | None] = {}  # None: a constant
        self.places: list[Place] = []
        for value in model.graph.inputs:
            self._sources[value] = INPUT
        for name, value in model.graph.initializers.items():
            self._sources[value] = None
            if name in self._held:
                self._parameters[value] = name
        for node in model.graph:
            self._take(node)

    def _take(self, node: ir.Node) -> None:
        given = [value for value in node.inputs if value is not None]
        parameters = {
            i: self._parameters[v] for i, v in enumerate(node.inputs) if v is not None and v in self._parameters
        }
        sources = [source for value in given if (source := self._sources.get(value)) is not None]
        if not sources and len(parameters) == 1 and node.op_type in RESHAPING:
            self._set(node.outputs, None)
            self._parameters[node.outputs[0]] = next(iter(parameters.values()))
        elif parameters:
            self._set(node.outputs, self._layer(node, parameters, sources))
        elif not sources:
            self._set(node.outputs, None)
        elif len(set(sources)) == 1:
            self._set(node.outputs, sources[0])
        else:
            self._set(node.outputs, self._place(Place(OPERATORS.get(node.op_type, node.op_type), tuple(sources))))

    def _layer(self, node: ir.Node, parameters: Mapping[int, str], sources: Iterable[int]) -> int:
        sources = tuple(sources)
        if node.op_type == "Add" and len(parameters) == 1 and self._is_bias(node, sources):
            self._hold(self.places[sources[0]], "bias", next(iter(parameters.values())))
            return sources[0]
        names = PARAMETER_NAMES.get(node.op_type, ())
        if self._fold and node.op_type == "BatchNormalization" and self._follows(node, sources):
            place = self.places[sources[0]]
            for position, name in parameters.items():
                self._hold(place, NORM + names[position], name)
            place.epsilon = node.attributes.get_float("epsilon", DEFAULT_EPSILON)
            return sources[0]
        place = Place(OPERATORS.get(node.op_type, node.op_type), sources)
        place.folds = self._fold and place.operator in TAKES_BIAS
        for position, name in parameters.items():
            self._hold(place, names[position] if 0 < position < len(names) else f"input {position}", name)
        if place.operator == "Conv" and len(place.shapes.get("weight", ())) == 2:
            place.operator = "Dense"  # of every point, written as a convolution with a window of one cell
        return self._place(place)

    def _is_bias(self, node: ir.Node, sources: tuple[int, ...]) -> bool:
        """Whether an Add of a parameter follows at once on what may have a bias, and has none yet."""
        return self._follows(node, sources) and "bias" not in self.places[sources[0]].parameters

    def _follows(self, node: ir.Node, sources: tuple[int, ...]) -> bool:
        """Whether a node follows at once on what may have a bias, and nothing else does."""
        if len(sources) != 1 or sources[0] == INPUT or self.places[sources[0]].operator not in TAKES_BIAS:
            return False
        value = next(value for value in node.inputs if value is not None and value not in self._parameters)
        before = value.producer()
        return (
            before is not None
            and OPERATORS.get(before.op_type, before.op_type) in TAKES_BIAS
            and len(value.uses()) == 1
        )

    def _hold(self, place: Place, what: str, name: str) -> None:
        shape = tuple(initializer_tensor(self._model, name).shape.numpy())
        place.parameters[what] = name
        place.shapes[what] = _as_out_in(shape, self._uses.get(name))

    def _place(self, place: Place) -> int:
        self.places.append(place)
        return len(self.places) - 1

    def _set(self, values: Iterable[ir.Value], source: int | None) -> None:
        for value in values:
            self._sources[value] = source


def _as_out_in(shape: tuple[int, ...], use: ParameterUse | None) -> tuple[int, ...]:
    return shape[::-1] if use is not None and use.transposed and len(shape) == 2 else shape
