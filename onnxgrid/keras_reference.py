"""A model of Keras with the weights of a converted one, to compare it with.

It is the network of the file, where Keras can load that as it is, else the one that `converters.to_keras` gives back.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from converters.errors import ConversionError
from converters.keras_archive import ARCHIVE_SUFFIX, archived_config
from converters.keras_wrappers import TIME_DISTRIBUTED
from converters.port_layout import PortLayout, layouts_of
from converters.record import read_record
from converters.to_keras import to_keras
from converters.weights.keras_names import NetworkLayer, network_layers
from converters.weights.keras_variables import NOT_WEIGHTS, KerasVariable, keras_variables
from onnxgrid.errors import WorkFailed

__all__ = ["REPORT", "KerasInput", "KerasReference", "NoReference", "keras_reference"]

Array = npt.NDArray[Any]

REPORT = "Please report it with the network's JSON: a converted network should equal Keras to 1e-5."

MAX_SHOWN_CHARACTERS = 100
"""Of what Keras says: it likes to add the whole network."""

KERAS_ERRORS = (
    AttributeError,
    ImportError,
    IndexError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What Keras raises for a network that it cannot load or run."""

EPSILONS = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
"""Type in which layers compute -> its relative precision."""

BOLD = r"\x1b\[\d*m"
"""What switches bold letters on and off in what Keras says."""

KERAS_FRAME = ("Exception encountered when calling", "Arguments received by")
"""How lines begin that Keras puts around what went wrong."""


class NoReference(Exception):
    """Why there is nothing to compare with, which is no fault of the model; its text is for the user."""


@dataclass(frozen=True)
class KerasInput:
    """An input of a model of Keras.

    Args:
        shape: in the order of the converted model, None where it is open.
        dtype: Keras' name of it.
    """

    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class KerasReference:
    """A model of Keras that is to give the same.

    Args:
        given_back: whether it is not the network's file but what the model gives back.
    """

    given_back: bool
    _model: Any
    _layers: Mapping[str, NetworkLayer]
    """Those of the converted model that have variables, by their names in Keras."""
    _left_out: frozenset[str]
    """Names of Keras' layers that the converted network does not hold, as no output depends on them."""
    _layouts: Sequence[PortLayout]
    """Of the converted model's inputs."""

    @property
    def inputs(self) -> list[KerasInput]:
        pairs = zip(self._layouts, self._model.inputs, strict=True)
        return [KerasInput(layout.in_graph_order(x.shape), str(x.dtype)) for layout, x in pairs]

    @property
    def backend(self) -> str:
        """What Keras runs on."""
        import keras  # type: ignore[import-untyped,unused-ignore]

        return str(keras.backend.backend())

    @property
    def precision(self) -> float:
        """The relative precision of the coarsest type in which a layer computes."""
        names = {str(layer.compute_dtype) for _name, layer in _keras_layers(self._model, "")}
        return max((EPSILONS.get(name, 0.0) for name in names), default=0.0)

    def take_weights(self, model: ir.Model) -> None:
        """Change Keras' variables to the values of the converted model; those that no output depends on stay.

        Raises:
            WorkFailed: if the model has no values for one, or values of another shape.
        """
        for name, keras_layer in _keras_layers(self._model, ""):
            if name in self._left_out:
                continue
            variables = [variable for variable in keras_layer.weights if variable.name not in NOT_WEIGHTS]
            arrays = _arrays(model, self._layers.get(name), [variable.name for variable in variables])
            for variable, values in zip(variables, arrays, strict=True):
                _require_counterpart(f"{name}/{variable.name}", tuple(variable.shape), values)
                variable.assign(values)

    def predict(self, inputs: Iterable[Array]) -> list[Array]:
        """What Keras gives, its axes as Keras has them, for inputs in the order of the converted model.

        Raises:
            NoReference: if it cannot run the network, as Keras on torch cannot run all of them.
        """
        import keras  # type: ignore[import-untyped,unused-ignore]

        given = [layout.in_keras_order(x) for layout, x in zip(self._layouts, inputs, strict=True)]
        try:
            outputs = self._model(given if len(given) > 1 else given[0], training=False)
        except KERAS_ERRORS as error:
            raise NoReference(f"Keras on {self.backend} cannot run the network ({_said(error)})") from error
        return [_as_numpy(y) for y in keras.tree.flatten(outputs)]


def _require_counterpart(variable: str, shape: tuple[int, ...], values: Array | None) -> None:
    """Nothing, if the model has values of this shape for a variable of Keras'; Keras decides what a layer has."""
    if values is None:
        raise WorkFailed(
            f"the check failed: Keras' variable '{variable}' has no counterpart among the model's initializers",
            fix=REPORT,
        )
    if values.shape != shape:
        raise WorkFailed(
            f"the check failed: Keras' variable '{variable}' has the shape {shape}, and what the model has for it "
            f"{values.shape} in Keras' order",
            fix=REPORT,
        )


def _as_numpy(tensor: Any) -> Array:
    """A tensor of any backend, without its gradient, if torch has one for it."""
    return np.asarray(tensor.detach() if hasattr(tensor, "detach") else tensor)


def keras_reference(model: ir.Model, network: Path | None) -> KerasReference:
    """What to compare a converted model with.

    Args:
        network: the file that it was converted from; None if it cannot be read again.

    Raises:
        NoReference: if there is nothing.
        WorkFailed: if the network as it is given back is not that of the model.
    """
    if find_spec("keras") is None:
        raise NoReference("Keras is not installed")
    if find_spec("torch") is not None:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    layouts = layouts_of(model.graph.inputs)
    unread: NoReference | None = NoReference("the network came from the standard input")
    if network is not None:
        try:
            loaded = _load(_text(network))
        except NoReference as error:
            unread = error
        else:
            unread = None
            if _fits(model, loaded, layouts):
                layers = {layer.name: layer for layer in network_layers(model)}
                return KerasReference(False, loaded, layers, _left_out(model, loaded), layouts)
    try:
        given_back = to_keras(model, str(network))
    except ConversionError as error:
        raise unread or NoReference(error.problem) from error
    layers = {layer.keras_name: layer for layer in given_back.layers}
    loaded = _load(given_back.json)
    if not _fits(model, loaded, layouts):
        raise WorkFailed(
            "the check failed: the network as it is given back to Keras takes other inputs than the model", fix=REPORT
        )
    return KerasReference(True, loaded, layers, frozenset(), layouts)


def _left_out(model: ir.Model, keras_model: Any) -> frozenset[str]:
    """The names of Keras' layers that the network of a converted model does not hold.

    Where Keras has a model within a model, it has all layers of it, whichever of its outputs are taken.
    """
    held = {layer.name for layer in read_record(model, str(model.graph.name)).layers}
    return frozenset(name for name, _layer in _keras_layers(keras_model, "") if name not in held)


def _text(network: Path) -> str:
    if network.suffix.lower() == ARCHIVE_SUFFIX:
        return archived_config(network)
    return network.read_text(encoding="utf-8-sig")


def _fits(model: ir.Model, keras_model: Any, layouts: Sequence[PortLayout]) -> bool:
    """Whether they have the same inputs, with the same sizes where both know them."""
    if len(model.graph.inputs) != len(keras_model.inputs):
        return False  # the graph lacks those that no output depends on
    import keras

    if type(keras_model) is not keras.Sequential and dict in (type(keras_model.input), type(keras_model.output)):
        return False  # Keras has them in the order of their keys, the graph in that of the file
    for value, x, layout in zip(model.graph.inputs, keras_model.inputs, layouts, strict=True):
        assert value.shape is not None
        if len(value.shape) != len(x.shape):
            return False
        moved = layout.in_graph_order(x.shape)
        known = [(m, n) for m, n in zip(value.shape, moved, strict=True) if isinstance(m, int) and n is not None]
        if any(m != n for m, n in known):
            return False
    return True


def _load(text: str) -> Any:
    """Keras' model of a network's JSON.

    Raises:
        NoReference: if Keras cannot load it.
    """
    import keras

    try:
        loaded = keras.models.model_from_json(text)
    except KERAS_ERRORS as error:
        raise NoReference(f"it cannot load the network ({_said(error)})") from error
    if not isinstance(loaded, keras.Model):
        raise NoReference("it cannot load the network (which is no model of Keras')")
    return loaded


def _said(error: Exception) -> str:
    """What Keras said, in a few words."""
    lines = [line.strip() for line in re.sub(BOLD, "", str(error)).splitlines()]
    told = [line for line in lines if line and not line.startswith(KERAS_FRAME)]
    first = told[0] if told else type(error).__name__
    return first if len(first) <= MAX_SHOWN_CHARACTERS else first[:MAX_SHOWN_CHARACTERS] + "..."


def _keras_layers(keras_model: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for layer in keras_model.layers:
        inner = layer
        while type(inner).__name__ == TIME_DISTRIBUTED:
            inner = inner.layer
        if hasattr(inner, "layers"):
            yield from _keras_layers(inner, f"{prefix}{layer.name}.")
        else:
            yield f"{prefix}{layer.name}", inner


def _arrays(model: ir.Model, layer: NetworkLayer | None, variables: Sequence[str]) -> list[Array | None]:
    """The model's values of a layer's variables in Keras' order and shape; None for those that it does not have."""
    if layer is None:
        return [None] * len(variables)
    known = {v.names[0]: v for v in keras_variables(layer.class_name)}
    by_order = len(layer.variables) == len(variables)
    found = [known[name] for name in layer.variables] if by_order else [_alike(known.values(), v) for v in variables]
    return [None if v is None else _array(model, layer, v) for v in found]


def _alike(known: Iterable[KerasVariable], variable: str) -> KerasVariable | None:
    variable = re.sub(r"_[0-9]+$", "", variable)  # Keras counts those that a layer gives no name
    return next((v for v in known if variable in v.names), None)


def _array(model: ir.Model, layer: NetworkLayer, variable: KerasVariable) -> Array | None:
    name = f"{layer.name}.{variable.parameter}"
    value = model.graph.initializers.get(name)
    if value is None or value.const_value is None:
        return None
    array = value.const_value.numpy()
    return layer.axes[name].order.to_keras(array, layer.axes[name].keras_shape) if name in layer.axes else array
