"""A converted model run on random input, and compared with Keras where Keras is installed and can load the network.

That is the network of the file, where Keras can load it as it is, else the one that `converters.to_keras` gives back.
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
import onnx.reference
import onnx_ir as ir

from converters.errors import ConversionError
from converters.keras_archive import ARCHIVE_SUFFIX, archived_config
from converters.keras_wrappers import TIME_DISTRIBUTED
from converters.layers.data_format import input_layout
from converters.layers.graph_builder import IoLayout
from converters.layers.tensor import Layout
from converters.record import read_record
from converters.to_keras import to_keras
from converters.weights.keras_names import NetworkLayer, network_layers
from converters.weights.keras_variables import NOT_WEIGHTS, KerasVariable, keras_variables
from onnxgrid.errors import WorkFailed

__all__ = ["CheckReport", "check_model"]

Array = npt.NDArray[Any]

BATCH = 2

NOISE = 1e-6
"""Differences below this share of the largest output are rounding."""

OPEN_SIZE = 64
"""What stands for a spatial size that the network leaves open: divisible by what most networks halve."""

TOLERANCE = 1e-4
"""Of the largest output: rounding adds up over some hundred layers."""

MAX_SHOWN_CHARACTERS = 100
"""Of what Keras says: it likes to add the whole network."""

ORT_MAX_OPSET = 21
"""The newest opset that ONNX Runtime 1.19 knows."""

NOT_RUN = "nothing here runs it: ONNX Runtime knows no opset {opset}, and the reference of onnx passes over masks"

KERAS_ERRORS = (AttributeError, ImportError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError)
"""What Keras raises for a network that it cannot load."""


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Args:
        runtime: what ran the model; empty if nothing here can.
        difference: the largest difference from Keras, relative to its largest output; None if nothing was compared.
        reason: why nothing was compared; empty if something was.
        varies: whether different inputs gave different outputs; if not, a comparison says little.
        given_back: whether Keras loaded not the network's file but what the model gives back, which is Keras 3's.
    """

    runtime: str
    difference: float | None
    reason: str
    varies: bool = True
    given_back: bool = False

    def lines(self) -> list[str]:
        """What a person reads."""
        compared = f"not compared with Keras: {self.reason}"
        if self.difference is not None:
            keras = "Keras, with the network as it is given back to it," if self.given_back else "Keras"
            compared = f"equals {keras} to {self.difference:.1e} of the largest output"
            if not self.varies:
                compared += ", but gives the same for every input: with these weights that says little"
        runs = [f"check: runs in {self.runtime}"] if self.runtime else []
        return [*runs, f"check: {compared}"]

    def to_json(self) -> dict[str, Any]:
        """All of it, for a machine."""
        return {
            "runtime": self.runtime or None,
            "difference": self.difference,
            "reason": self.reason or None,
            "varies": self.varies,
            "given_back": self.given_back,
        }


@dataclass(frozen=True)
class _Axes:
    """How the axes of the model's inputs lie to those of Keras' inputs.

    Args:
        moved: whether the channels of inputs of three axes or more stand first in the model, and last in Keras.
    """

    moved: bool

    @classmethod
    def between(cls, model: ir.Model, io_layout: IoLayout) -> "_Axes":
        """Those of a model that was converted, normalizations not folded."""
        last_in_keras = input_layout(read_record(model, str(model.graph.name))) is Layout.CHANNELS_FIRST
        return cls(last_in_keras and io_layout is IoLayout.CHANNELS_FIRST)

    def to_keras(self, x: Array) -> Array:
        """An input of the model, as Keras takes it."""
        return np.moveaxis(x, 1, -1) if self.moved and x.ndim > 2 else x

    def from_keras(self, shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """The sizes of an input of Keras, in the order of the model."""
        return (None, shape[-1], *shape[1:-1]) if self.moved and len(shape) > 2 else tuple(shape)


@dataclass(frozen=True)
class _Reference:
    """A model of Keras that is to give the same, and the layers of ours by their names in it."""

    model: Any
    layers: Mapping[str, NetworkLayer]
    axes: _Axes
    given_back: bool


def check_model(
    model: ir.Model, network: Path | None, *, io_layout: IoLayout, seed: int = 0, unfolded: ir.Model | None = None
) -> CheckReport:
    """What a model gives on random input, compared with Keras' own network under the same weights.

    Args:
        network: the file that the model was converted from; None if it cannot be read again.
        io_layout: of the model's inputs and outputs.
        unfolded: the model before normalizations were folded in it, with the weights that Keras has.

    Raises:
        WorkFailed: if the model gives numbers that are not finite, or others than Keras.
    """
    source = model if unfolded is None else unfolded
    reference = _reference(source, network, io_layout)
    declared: list[tuple[int | None, ...]] = [()] * len(model.graph.inputs)
    if not isinstance(reference, str):
        declared = [reference.axes.from_keras(x.shape) for x in reference.model.inputs]
    random = np.random.default_rng(seed)
    feeds = {
        str(value.name): _numbers(value, _sizes(value, likely), random)
        for value, likely in zip(model.graph.inputs, declared, strict=True)
    }
    run = _run(model, feeds)
    if run is None:
        return CheckReport("", None, NOT_RUN.format(opset=model.graph.opset_imports[""]))
    runtime, outputs = run
    for value, output in zip(model.graph.outputs, outputs, strict=True):
        if not np.isfinite(output).all():
            raise WorkFailed(
                f"the check failed: output '{value.name}' holds numbers that are not finite",
                fix="Check the weights; with untrained ones, another --seed may do.",
            )
    if isinstance(reference, str):
        return CheckReport(runtime, None, reference)
    reason = _put_weights(source, reference) or _known_difference(source)
    inputs = [reference.axes.to_keras(x) for x in feeds.values()]
    if reason or any(
        x.shape[1:] != _filled(want.shape[1:]) for x, want in zip(inputs, reference.model.inputs, strict=True)
    ):
        return CheckReport(runtime, None, reason or "the input's shape is not that of the file")
    wanted = reference.model(inputs if len(inputs) > 1 else inputs[0], training=False)
    wanted = [_as_numpy(y) for y in (wanted if isinstance(wanted, list | tuple) else [wanted])]
    difference = max(_difference(y, want) for y, want in zip(outputs, wanted, strict=True))
    if difference > TOLERANCE:
        raise WorkFailed(
            f"the check failed: the model differs from Keras by {difference:.1e} of the largest output",
            fix="Please report it with the network's JSON: a converted network should equal Keras to 1e-5.",
        )
    varies = any(np.ptp(y, axis=0).max() > NOISE * np.abs(y).max() for y in outputs)
    return CheckReport(runtime, difference, "", varies, reference.given_back)


def _known_difference(model: ir.Model) -> str:
    """Why Keras as it runs here gives other numbers than Keras on TensorFlow, which ours are; empty if it does not."""
    import keras  # type: ignore[import-untyped,unused-ignore]

    pads = [node.attributes.get_ints("pads", ()) for node in model.graph if node.op_type == "AveragePool"]
    if keras.backend.backend() == "torch" and any(p[: len(p) // 2] != p[len(p) // 2 :] for p in pads):
        return (
            'Keras on torch repeats the border where "same" pads an AveragePooling unevenly; '
            "these are the numbers of Keras on TensorFlow"
        )
    return ""


def _numbers(value: ir.Value, sizes: tuple[int, ...], random: np.random.Generator) -> Array:
    """What goes into an input: normal numbers, or where words are looked up by them, numbers of words."""
    words = min(_counts_of_words(value), default=0)
    numbers = random.integers(words, size=sizes) if words else random.standard_normal(sizes)
    return numbers.astype(np.float32)


def _counts_of_words(value: ir.Value) -> Iterator[int]:
    """The number of rows of each table in which an input's numbers are looked up, once its axes are in order."""
    for node, _position in value.uses():
        if node.op_type in ("Cast", "Reshape", "Transpose"):
            yield from _counts_of_words(node.outputs[0])
        elif node.op_type == "Gather" and value.dtype is ir.DataType.INT64:
            table = node.inputs[0]
            if table is not None and table.is_initializer() and table.shape is not None:
                yield int(table.shape.numpy()[0])


def _sizes(value: ir.Value, likely: tuple[int | None, ...]) -> tuple[int, ...]:
    """The sizes of an input; those that it leaves open are the likely ones, if there are as many."""
    assert value.shape is not None
    others = _filled(likely[1:]) if len(likely) == value.shape.rank() else (OPEN_SIZE,) * (value.shape.rank() - 1)
    sizes = (size if isinstance(size, int) else other for size, other in zip(value.shape[1:], others, strict=True))
    return (BATCH, *sizes)


def _filled(shape: Any) -> tuple[int, ...]:
    return tuple(OPEN_SIZE if size is None else size for size in shape)


def _run(model: ir.Model, feeds: Mapping[str, Array]) -> tuple[str, list[Array]] | None:
    """What ran the model, and its outputs; None if nothing that is installed runs it as ONNX specifies it."""
    proto = ir.to_proto(model)
    opset = model.graph.opset_imports[""]
    if find_spec("onnxruntime") is not None and opset <= ORT_MAX_OPSET:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return f"ONNX Runtime {onnxruntime.__version__}", session.run(None, dict(feeds))
    if any(map(_the_reference_gets_wrong, model.graph)):
        return None
    outputs = onnx.reference.ReferenceEvaluator(proto).run(None, dict(feeds))
    return f"the reference of onnx {onnx.__version__}", list(outputs)


def _the_reference_gets_wrong(node: ir.Node) -> bool:
    """Whether it is a recurrent operator of which the reference passes over the activations or the lengths."""
    lengths = node.inputs[4] if len(node.inputs) > 4 else None
    return node.op_type in ("GRU", "LSTM", "RNN") and ("activations" in node.attributes or lengths is not None)


def _reference(model: ir.Model, network: Path | None, io_layout: IoLayout) -> _Reference | str:
    """What to compare with, or why there is nothing: first the network's file, if it has the model's input shapes."""
    if find_spec("keras") is None:
        return "Keras is not installed"
    if find_spec("torch") is not None:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        axes = _Axes.between(model, io_layout)
    except ConversionError as error:
        return error.problem
    loaded: Any = "the network came from the standard input"
    if network is not None:
        archived = network.suffix.lower() == ARCHIVE_SUFFIX
        loaded = _load(archived_config(network) if archived else network.read_text(encoding="utf-8-sig"))
    if not isinstance(loaded, str) and _fits(model, loaded, axes):
        return _Reference(loaded, {layer.name: layer for layer in network_layers(model)}, axes, given_back=False)
    try:
        given_back = to_keras(model, str(network))
    except ConversionError as error:
        return loaded if isinstance(loaded, str) else error.problem
    again = _load(given_back.json)
    if isinstance(again, str):
        return again
    return _Reference(again, {layer.keras_name: layer for layer in given_back.layers}, axes, given_back=True)


def _fits(model: ir.Model, keras_model: Any, axes: _Axes) -> bool:
    """Whether they have the same inputs, with the same sizes where both know them."""
    if len(model.graph.inputs) != len(keras_model.inputs):
        return False  # the graph lacks those that no output depends on
    if isinstance(keras_model.input, dict) or isinstance(keras_model.output, dict):
        return False  # Keras has them in the order of their keys, the graph in that of the file
    for value, x in zip(model.graph.inputs, keras_model.inputs, strict=True):
        assert value.shape is not None
        moved = axes.from_keras(x.shape)
        known = [(m, n) for m, n in zip(value.shape, moved, strict=True) if isinstance(m, int) and n is not None]
        if any(m != n for m, n in known):
            return False
    return True


def _load(text: str) -> Any:
    """Keras' model of a network's JSON, or the reason why there is none."""
    try:
        import keras  # type: ignore[import-untyped,unused-ignore]

        loaded = keras.models.model_from_json(text)
    except KERAS_ERRORS as error:
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        shown = first if len(first) <= MAX_SHOWN_CHARACTERS else first[:MAX_SHOWN_CHARACTERS] + "..."
        return f"it cannot load the network ({shown})"
    return loaded if isinstance(loaded, keras.Model) else "it cannot load the network (which is no model of Keras')"


def _put_weights(model: ir.Model, reference: _Reference) -> str:
    """Change the Keras model's variables to the model's values; why that cannot be done, or ""."""
    for name, keras_layer in _keras_layers(reference.model, ""):
        variables = [variable for variable in keras_layer.weights if variable.name not in NOT_WEIGHTS]
        arrays = _arrays(model, reference.layers.get(name), [variable.name for variable in variables])
        for variable, values in zip(variables, arrays, strict=True):
            if values is None or values.shape != tuple(variable.shape):
                return f"its variable '{name}/{variable.name}' has no counterpart in the model"
            variable.assign(values)
    return ""


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


def _as_numpy(tensor: Any) -> Array:
    return np.asarray(tensor.detach() if hasattr(tensor, "detach") else tensor)


def _difference(output: Array, want: Array) -> float:
    """The largest difference relative to the largest value, whichever of the two layouts the output has."""
    if output.ndim > 2 and output.shape != want.shape:
        output = np.moveaxis(output, 1, -1)
    if output.shape != want.shape:
        return float("inf")
    closest = np.abs(output - want).max()
    if output.ndim > 2:
        moved = np.moveaxis(output, 1, -1)
        closest = min(closest, np.abs(moved - want).max()) if moved.shape == want.shape else closest
    return float(closest / max(np.abs(want).max(), np.finfo(np.float32).tiny))
