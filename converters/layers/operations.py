"""Operations in functional graphs: what `x * 2.0` or `keras.ops.mean(x)` leaves in a network's JSON.

Keras 3 writes one as a layer of module `keras.src.ops`, Keras 2 as a `TFOpLambda` or `SlicingOpLambda` that names a
TensorFlow function. `converters.keras_json` names both alike: `keras.ops.Multiply`, `tf.math.multiply`. Unlike a
layer, an operation may take part of its arguments from its call.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from converters.keys import Keys
from converters.layers.activation import ACTIVATIONS, Activation
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import Arity, LayerEntry, Result, giving_a_tuple
from converters.layers.tensor import Layout, Tensor, shown
from converters.network import Operand

__all__ = ["KERAS_PREFIX", "OPERATIONS", "TF_PREFIX", "Arguments", "operation"]

KERAS_PREFIX = "keras.ops."
TF_PREFIX = "tf."

Function = Callable[["Arguments", LayerBuilder], Result]

OPERATIONS: dict[str, LayerEntry] = {}
"""Name -> entry, of the same kind as a layer's. Filled by `@operation`."""


@dataclass(frozen=True)
class OperationConfig:
    """What the config of an operation holds besides its name; the call's arguments come on top."""

    values: Mapping[str, Any]

    @classmethod
    def read(cls, keys: Keys) -> "OperationConfig":
        return cls({key: keys.raw(key) for key in keys.names() if key not in ("name", "trainable", "dtype")})


class Arguments:
    """What an operation is given, by the name of the parameter. Each method raises ConversionError if it does not fit.

    Args:
        parameters: names in the order of the arguments; `x1|x` has two names.
    """

    def __init__(
        self, parameters: Sequence[str], config: OperationConfig, inputs: Sequence[Tensor], layer: LayerBuilder
    ) -> None:
        self._layer, self._inputs = layer, inputs
        spellings = [names.split("|") for names in parameters]
        first_names = {name: names[0] for names in spellings for name in names}
        positional = zip((names[0] for names in spellings), layer.call.arguments, strict=False)
        named = {**config.values, **layer.call.keywords}
        self._values = {first_names.get(key, key): value for key, value in named.items()} | dict(positional)

    def tensor(self, name: str) -> Tensor:
        """One of the call's inputs."""
        value = self._values.get(name)
        if isinstance(value, tuple) and len(value) == 1:
            (value,) = value
        if not isinstance(value, Operand):
            raise self._refusal(name, "a tensor")
        return self._inputs[value.index]

    def tensors(self, name: str) -> list[Tensor]:
        """A list of the call's inputs."""
        value = self._values.get(name)
        if not isinstance(value, tuple) or not all(isinstance(item, Operand) for item in value):
            raise self._refusal(name, "a list of tensors")
        return [self._inputs[item.index] for item in value]

    def operand(self, name: str) -> "Tensor | npt.NDArray[np.float32]":
        """An input, or a number or array of them."""
        value = self._values.get(name)
        if isinstance(value, Operand):
            return self._inputs[value.index]
        if isinstance(value, dict) and isinstance(value.get("config"), dict):
            value = value["config"].get("value")
        try:
            array = np.array(value, np.float32)
        except (TypeError, ValueError):
            raise self._refusal(name, "a tensor, a number or an array") from None
        if value is None or not np.isfinite(array).all():
            raise self._refusal(name, "a tensor, a finite number or an array")
        return array

    def value(self, name: str, default: Any = None) -> Any:
        """What stands there, whatever it is; the default if nothing does, or null."""
        found = self._values.get(name)
        return default if found is None else found

    def number(self, name: str, default: float | None = None) -> float:
        """A number."""
        value = self.value(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._refusal(name, "a number")
        return float(value)

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self.value(name, default)
        if not isinstance(value, bool):
            raise self._refusal(name, "true or false")
        return value

    def integers(self, name: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """A list of integers; a single one is a list of one."""
        value = self.value(name, default)
        items = value if isinstance(value, tuple | list) else (value,)
        if not all(isinstance(item, int) and not isinstance(item, bool) for item in items):
            raise self._refusal(name, "an integer or a list of integers")
        return tuple(items)

    def axes(self, name: str, x: Tensor, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Axes of x in Keras' order, counted from 0; the batch cannot be among them."""
        axes = tuple(self._layer.keras_axis(x, axis) for axis in self.integers(name, default))
        if 0 in axes:
            raise self._layer.error(f'"{name}" names the batch, which must stay as it is', "Name other axes.")
        return axes

    def _refusal(self, name: str, expected: str) -> Exception:
        value = self._values.get(name)
        problem = "is missing" if value is None else f"is {str(value)[:60]}"
        return self._layer.error(f'its argument "{name}" {problem}', f"Give {expected}.")


def operation(*names: str, parameters: str) -> Callable[[Function], Function]:
    """A decorator that makes a function the converter of operations of these names.

    Args:
        parameters: their names, in the order of the arguments, separated by blanks.

    Raises:
        ValueError: if a name has an owner already.
    """

    def register(function: Function) -> Function:
        def convert(config: OperationConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Result:
            return function(Arguments(parameters.split(), config, inputs, layer), layer)

        for name in names:
            if name in OPERATIONS:
                raise ValueError(f"{name} is converted already")
            OPERATIONS[name] = LayerEntry(name, OperationConfig.read, giving_a_tuple(convert), Arity.MANY)
        return function

    return register


ARITHMETIC = {
    "Add": ("keras.ops.Add", "tf.math.add", "tf.__operators__.add"),
    "Sub": ("keras.ops.Subtract", "tf.math.subtract", "tf.__operators__.subtract"),
    "Mul": ("keras.ops.Multiply", "tf.math.multiply", "tf.__operators__.multiply"),
    "Div": ("keras.ops.Divide", "keras.ops.TrueDivide", "tf.math.divide", "tf.math.truediv"),
    "Max": ("keras.ops.Maximum", "tf.math.maximum"),
    "Min": ("keras.ops.Minimum", "tf.math.minimum"),
    "Pow": ("keras.ops.Power", "tf.math.pow"),
}
"""ONNX operator -> operations of two operands."""


def _arithmetic(op_type: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The operator applied to two tensors, or to a tensor and numbers; sizes are matched from the last axis on.

    Source: keras.io/api/ops/numpy; ONNX's multidirectional broadcasting.
    """
    a, b = arguments.operand("x1"), arguments.operand("x2")
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.layout is not b.layout or a.rank != b.rank:
            a, b = layer.keras_order(a), layer.keras_order(b)
        layout, values = a.layout, [a.value, b.value]
    else:
        like = a if isinstance(a, Tensor) else b
        if not isinstance(like, Tensor):
            raise layer.error("is given no tensor", "Give one of its arguments as a tensor.")
        layout = like.layout
        values = [x.value if isinstance(x, Tensor) else _stored(x, like, layer) for x in (a, b)]
    shapes = [tuple(value.shape or ()) for value in values]
    sizes = zip(*(reversed(shape) for shape in shapes), strict=False)
    if not all(m == n or 1 in (m, n) or not isinstance(m, int) or not isinstance(n, int) for m, n in sizes):
        given = " and ".join(shown(x.shape) for x in (a, b))
        raise layer.error(f"its arguments do not fit together: {given}", "Make them equal, but for axes of size 1.")
    return Tensor(layer.op(op_type, values), layout)


def _stored(array: npt.NDArray[np.float32], like: Tensor, layer: LayerBuilder) -> ir.Value:
    """An array in Keras' order as a constant that can be joined with the tensor."""
    if array.ndim > like.rank:
        raise layer.error(
            f"is given an array of {array.ndim} axes for a tensor {shown(like.shape)}", "Give one of as many axes."
        )
    if array.ndim and like.layout is Layout.CHANNELS_FIRST:
        array = np.moveaxis(array.reshape((1,) * (like.rank - array.ndim) + array.shape), -1, 1)
    return layer.constant("constant", np.ascontiguousarray(array))


for _op_type, _names in ARITHMETIC.items():
    operation(*_names, parameters="x1|x x2|y")(partial(_arithmetic, _op_type))


ELEMENTWISE = {
    "Abs": ("keras.ops.Absolute", "keras.ops.Abs", "tf.math.abs"),
    "Exp": ("keras.ops.Exp", "tf.math.exp"),
    "Log": ("keras.ops.Log", "tf.math.log"),
    "Neg": ("keras.ops.Negative", "tf.math.negative"),
    "Sqrt": ("keras.ops.Sqrt", "tf.math.sqrt"),
}
"""ONNX operator -> operations of one tensor."""


def _elementwise(op_type: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The operator applied to each element of x."""
    x = arguments.tensor("x")
    return Tensor(layer.op(op_type, [x.value]), x.layout)


for _op_type, _names in ELEMENTWISE.items():
    operation(*_names, parameters="x")(partial(_elementwise, _op_type))


@operation("keras.ops.Square", "tf.math.square", parameters="x")
def square(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x * x."""
    x = arguments.tensor("x")
    return Tensor(layer.op("Mul", [x.value, x.value]), x.layout)


@operation("keras.ops.Rsqrt", "tf.math.rsqrt", parameters="x")
def rsqrt(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """1 / sqrt(x)."""
    x = arguments.tensor("x")
    return Tensor(layer.op("Reciprocal", [layer.op("Sqrt", [x.value])]), x.layout)


@operation("keras.ops.Cast", "keras.ops.Identity", "tf.cast", "tf.identity", parameters="x|input dtype")
def cast(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x itself: all tensors here are float32, and other types are refused."""
    dtype = arguments.value("dtype", "float32")
    if dtype != "float32":
        raise layer.error(f"casts to {dtype}", "Compute in float32.")
    return arguments.tensor("x")


FUNCTIONS = {
    "relu": ("keras.ops.Relu", "tf.nn.relu"),
    "relu6": ("keras.ops.Relu6", "tf.nn.relu6"),
    "sigmoid": ("keras.ops.Sigmoid", "tf.math.sigmoid", "tf.nn.sigmoid"),
    "tanh": ("keras.ops.Tanh", "tf.math.tanh", "tf.nn.tanh"),
    "silu": ("keras.ops.Silu", "tf.nn.silu", "tf.nn.swish"),
    "softplus": ("keras.ops.Softplus", "tf.math.softplus", "tf.nn.softplus"),
    "softsign": ("keras.ops.Softsign", "tf.math.softsign", "tf.nn.softsign"),
    "hard_silu": ("keras.ops.HardSilu",),
    "selu": ("keras.ops.Selu", "tf.nn.selu"),
}
"""Name of an activation -> operations that are it."""


def _activation(name: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The activation of x."""
    function: Activation = ACTIVATIONS[name]
    return function(arguments.tensor("x"), layer)


for _name, _names in FUNCTIONS.items():
    operation(*_names, parameters="x|features")(partial(_activation, _name))


@operation("keras.ops.LeakyRelu", "tf.nn.leaky_relu", parameters="x|features negative_slope|alpha")
def leaky_relu(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x, or where it is negative its product with the slope."""
    x = arguments.tensor("x")
    return Tensor(layer.op("LeakyRelu", [x.value], alpha=arguments.number("negative_slope", 0.2)), x.layout)


@operation("keras.ops.Softmax", "tf.nn.softmax", parameters="x|logits axis")
def softmax(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """exp(x) divided by its sum over one axis."""
    return _over_axis("Softmax", arguments, layer)


@operation("keras.ops.LogSoftmax", "tf.nn.log_softmax", parameters="x|logits axis")
def log_softmax(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The logarithm of softmax over one axis."""
    return _over_axis("LogSoftmax", arguments, layer)


def _over_axis(op_type: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    x = arguments.tensor("x")
    (axis, *others) = arguments.axes("axis", x, (-1,))
    if others:
        raise layer.error('"axis" names several axes', "Name one.")
    return Tensor(layer.op(op_type, [x.value], axis=x.stored_axis(axis)), x.layout)


@operation("keras.ops.Clip", "tf.clip_by_value", parameters="x|t x_min|clip_value_min x_max|clip_value_max")
def clip(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x, no less than one number and no more than another."""
    x = arguments.tensor("x")
    bounds = [layer.constant(name, np.array(arguments.number(f"x_{name}"), np.float32)) for name in ("min", "max")]
    return Tensor(layer.op("Clip", [x.value, *bounds]), x.layout)


REDUCTIONS = {
    "ReduceMean": ("keras.ops.Mean", "tf.math.reduce_mean"),
    "ReduceSum": ("keras.ops.Sum", "tf.math.reduce_sum"),
    "ReduceMax": ("keras.ops.Max", "tf.math.reduce_max"),
    "ReduceMin": ("keras.ops.Min", "tf.math.reduce_min"),
}
"""ONNX operator -> operations that reduce axes."""


def _reduction(op_type: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x reduced over axes, which stay with size 1 if `keepdims` says so."""
    x = arguments.tensor("x")
    axes = arguments.axes("axis", x)
    keep = arguments.flag("keepdims", default=False)
    stored = sorted(x.stored_axis(axis) for axis in axes)
    y = layer.op(op_type, [x.value], axes=stored, keepdims=int(keep))
    return Tensor(y, x.layout if keep else _layout_without(x, axes))


for _op_type, _names in REDUCTIONS.items():
    operation(*_names, parameters="x|input_tensor axis keepdims")(partial(_reduction, _op_type))


def _layout_without(x: Tensor, axes: Sequence[int]) -> Layout:
    """How x stands to Keras' order once it lacks these Keras axes, of which the batch is none."""
    rank = x.rank - len(set(axes))
    return x.layout if x.rank - 1 not in axes and rank > 2 else Layout.KERAS


@operation("keras.ops.Reshape", "tf.reshape", parameters="x|tensor newshape|shape")
def reshape(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x in another shape, whose first size must be the batch's: -1, or the size that stands for it."""
    x = arguments.tensor("x")
    sizes = arguments.integers("newshape")
    unknown = [axis for axis, size in enumerate(sizes) if size == -1]
    if not sizes or len(unknown) > 1:
        raise layer.error(f'"newshape" is {list(sizes)}', "Write at most one -1.")
    x = x if x.has_keras_element_order() else layer.keras_order(x)
    target = layer.constant("shape", np.array(sizes, np.int64))
    return Tensor(layer.op("Reshape", [x.value, target]), Layout.KERAS)


@operation("keras.ops.Transpose", "tf.transpose", parameters="x|a axes|perm")
def transpose(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x with its axes in another order."""
    x = layer.keras_order(arguments.tensor("x"))
    order = arguments.integers("axes", tuple(reversed(range(x.rank))))
    if sorted(order) != list(range(x.rank)) or order[0] != 0:
        raise layer.error(
            f'"axes" is {list(order)} for a tensor {shown(x.shape)}', "Write each axis once, the batch, 0, first."
        )
    return Tensor(layer.transposed(x.value, order), Layout.KERAS)


@operation("keras.ops.ExpandDims", "tf.expand_dims", parameters="x|input axis")
def expand_dims(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x with an axis of size 1 put in."""
    x = layer.keras_order(arguments.tensor("x"))
    (axis, *others) = arguments.integers("axis")
    axis = axis + x.rank + 1 if axis < 0 else axis
    if others or not 0 < axis <= x.rank:
        raise layer.error(f'"axis" puts no axis into {shown(x.shape)}', f"Write one from 1 to {x.rank}.")
    axes = layer.constant("axes", np.array([axis], np.int64))
    return Tensor(layer.op("Unsqueeze", [x.value, axes]), Layout.KERAS)


@operation("keras.ops.Squeeze", "tf.squeeze", "tf.compat.v1.squeeze", parameters="x|input axis")
def squeeze(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x without axes of size 1."""
    x = arguments.tensor("x")
    ones = tuple(axis for axis, size in enumerate(x.shape) if axis and size == 1)
    axes = arguments.axes("axis", x, ones)
    if any(x.shape[axis] != 1 for axis in axes):
        raise layer.error(f'"axis" names an axis of {shown(x.shape)} whose size is not 1', "Name axes of size 1.")
    return _squeezed(x, axes, layer)


def _squeezed(x: Tensor, axes: Sequence[int], layer: LayerBuilder) -> Tensor:
    if not axes:
        return x
    stored = layer.constant("axes", np.array(sorted(x.stored_axis(axis) for axis in axes), np.int64))
    return Tensor(layer.op("Squeeze", [x.value, stored]), _layout_without(x, axes))


@operation("keras.ops.Concatenate", "tf.concat", parameters="xs|values axis")
def concatenate(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The tensors one after the other along one axis."""
    parts = arguments.tensors("xs")
    if len({part.layout for part in parts}) > 1:
        parts = [layer.keras_order(part) for part in parts]
    (axis,) = arguments.axes("axis", parts[0], (-1,))[:1]
    y = layer.op("Concat", [part.value for part in parts], axis=parts[0].stored_axis(axis))
    return Tensor(y, parts[0].layout)


@operation("keras.ops.Split", parameters="x indices_or_sections axis")
def split(arguments: Arguments, layer: LayerBuilder) -> tuple[Tensor, ...]:
    """x cut along one axis: into a number of equal parts, or before each of a list of places.

    Source: keras.io/api/ops/numpy; ONNX Split, opset 13.
    """
    x = arguments.tensor("x")
    (axis,) = arguments.axes("axis", x, (0,))[:1]
    size = layer.known_size(x, x.stored_axis(axis))
    places = arguments.value("indices_or_sections")
    if isinstance(places, int):
        if places < 1 or size % places:
            raise layer.error(f"cuts an axis of size {size} into {places} equal parts", "Give a divisor of the size.")
        places = range(size // places, size, size // places)
    else:
        places = arguments.integers("indices_or_sections")
    sizes = np.diff([0, *places, size])
    if (sizes < 1).any():
        raise layer.error(f"cuts an axis of size {size} before {list(places)}", "Give rising places within the axis.")
    parts = layer.constant("sizes", sizes.astype(np.int64))
    outputs = layer.op_outputs("Split", [x.value, parts], len(sizes), axis=x.stored_axis(axis))
    return tuple(Tensor(output, x.layout) for output in outputs)


@operation("keras.ops.Matmul", "tf.linalg.matmul", "tf.matmul", parameters="x1|a x2|b transpose_a transpose_b")
def matmul(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The matrix product over the last two axes of two tensors in Keras' order."""
    a, b = (layer.keras_order(arguments.tensor(name)).value for name in ("x1", "x2"))
    assert a.shape is not None
    assert b.shape is not None
    swapped = {rank: (*range(rank - 2), rank - 1, rank - 2) for rank in (a.shape.rank(), b.shape.rank())}
    if arguments.flag("transpose_a", default=False):
        a = layer.transposed(a, swapped[a.shape.rank()])
    if arguments.flag("transpose_b", default=False):
        b = layer.transposed(b, swapped[b.shape.rank()])
    return Tensor(layer.op("MatMul", [a, b]), Layout.KERAS)


@dataclass(frozen=True)
class _Slice:
    """A range of one axis."""

    start: int
    stop: int
    step: int


INT64_MAX = 2**63 - 1
"""As a slice's end: all the rest."""


@operation("keras.ops.GetItem", "tf.__operators__.getitem", parameters="x|tensor key|slice_spec")
def get_item(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Part of x: a range or one item along each axis, in Keras' order; null puts in an axis of size 1."""
    x = arguments.tensor("x")
    key = arguments.value("key")
    items = list(key) if isinstance(key, tuple) else [key]
    kinds = [_item(item, layer) for item in items]
    if Ellipsis in kinds:
        at = kinds.index(Ellipsis)
        taken = sum(kind is not None for kind in kinds) - 1
        kinds[at : at + 1] = [_Slice(0, INT64_MAX, 1)] * (x.rank - taken)
    if sum(kind is not None for kind in kinds) > x.rank:
        raise layer.error(f"takes more axes than {shown(x.shape)} has", "Give one item for each axis.")
    on_axes = [kind for kind in kinds if kind is not None]
    if on_axes and on_axes[0] != _Slice(0, INT64_MAX, 1):
        raise layer.error("takes part of the batch, which must stay as it is", "Take all of the first axis.")
    y = _sliced(x, on_axes, layer)
    y = _squeezed(y, [axis for axis, kind in enumerate(on_axes) if isinstance(kind, int)], layer)
    return _with_new_axes(y, [kind for kind in kinds if not isinstance(kind, int)], layer)


def _item(value: Any, layer: LayerBuilder) -> Any:
    """A `_Slice`, an integer, `Ellipsis`, or None for a new axis."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, dict):
        if value.get("class_name") == "__ellipsis__":
            return Ellipsis
        bounds = value["config"] if isinstance(value.get("config"), dict) else value
        found = [bounds.get(name) for name in ("start", "stop", "step")]
        if set(bounds) <= {"start", "stop", "step"} and all(b is None or isinstance(b, int) for b in found):
            start, stop, step = (d if b is None else b for b, d in zip(found, (0, INT64_MAX, 1), strict=True))
            if step > 0:
                return _Slice(start, stop, step)
    raise layer.error(f"takes a part that we do not know: {str(value)[:60]}", "Use ranges with positive steps.")


def _sliced(x: Tensor, kinds: Sequence[Any], layer: LayerBuilder) -> Tensor:
    """x with each axis cut to its range; an integer is a range of one."""
    cuts = [
        (_Slice(kind, kind + 1 if kind != -1 else INT64_MAX, 1) if isinstance(kind, int) else kind, x.stored_axis(axis))
        for axis, kind in enumerate(kinds)
        if kind != _Slice(0, INT64_MAX, 1)
    ]
    if not cuts:
        return x
    columns = {
        "starts": [cut.start for cut, _axis in cuts],
        "ends": [cut.stop for cut, _axis in cuts],
        "axes": [axis for _cut, axis in cuts],
        "steps": [cut.step for cut, _axis in cuts],
    }
    constants = [layer.constant(name, np.array(column, np.int64)) for name, column in columns.items()]
    return Tensor(layer.op("Slice", [x.value, *constants]), x.layout)


def _with_new_axes(x: Tensor, kinds: Sequence[Any], layer: LayerBuilder) -> Tensor:
    """x with an axis of size 1 wherever the list holds None, counted with those put in before."""
    axes = [position for position, kind in enumerate(kinds) if kind is None]
    if not axes:
        return x
    ordered = layer.keras_order(x)
    return Tensor(
        layer.op("Unsqueeze", [ordered.value, layer.constant("new_axes", np.array(axes, np.int64))]), Layout.KERAS
    )
