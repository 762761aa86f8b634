"""How operations are given back: those of Keras 3 as they were, TensorFlow's functions as what Keras 3 has for them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from converters.layers.operations.arguments import OperationConfig, listed, positional
from converters.layers.operations.registry import KERAS_PREFIX, RAW_PREFIX, SIGNATURES
from converters.network import Call, Operand
from converters.to_keras.given_back import GivenBack, KerasLayer, Source

__all__ = ["FORMS", "RENAMED", "Form", "operation_given_back"]


@dataclass(frozen=True)
class Form:
    """An operation of Keras 3: the module that it lives in, what its call takes, and what its config holds."""

    module: str
    call: tuple[str, ...]
    options: tuple[str, ...]
    takes_list: bool
    """Whether it takes a list of tensors, which stays one where it has one item."""


def _forms(module: str, call: str, *names: str, options: str = "", takes_list: bool = False) -> dict[str, Form]:
    form = Form(f"keras.src.ops.{module}", tuple(call.split()), tuple(options.split()), takes_list)
    return dict.fromkeys(names, form)


ARITHMETIC = (
    *("Add", "Arctan2", "Divide", "DivideNoNan", "FloorDivide", "Matmul", "Maximum", "Minimum", "Mod", "Multiply"),
    *("Power", "Subtract"),
    *("Equal", "Greater", "GreaterEqual", "Less", "LessEqual", "LogicalAnd", "LogicalOr", "LogicalXor", "NotEqual"),
)
ELEMENTWISE = (
    *("Absolute", "Ceil", "Copy", "Exp", "Expm1", "Floor", "Log", "Log1p", "Negative", "Reciprocal", "Sign", "Sqrt"),
    *("Square", "Isfinite", "Isinf", "Isnan", "LogicalNot", "OnesLike", "ZerosLike"),
    *("Arccos", "Arccosh", "Arcsin", "Arcsinh", "Arctan", "Arctanh", "Cos", "Cosh", "Sin", "Sinh", "Tan", "Tanh"),
)
ACTIVATIONS = ("LogSigmoid", "Relu", "Relu6", "Selu", "Sigmoid", "Silu", "Softplus", "Softsign")
REDUCTIONS = ("All", "Any", "Argmax", "Argmin", "Max", "Mean", "Min", "Prod", "Std", "Sum", "Var")

FORMS: dict[str, Form] = {
    **_forms("numpy", "x1 x2", *ARITHMETIC),
    **_forms("numpy", "x", *ELEMENTWISE),
    **_forms("nn", "x", *ACTIVATIONS),
    **_forms("math", "x", "Erf", "Rsqrt"),
    **_forms("numpy", "x", *REDUCTIONS, options="axis keepdims"),
    **_forms("math", "x", "Logsumexp", options="axis keepdims"),
    **_forms("numpy", "x", "CountNonzero", "ExpandDims", "Flip", "Sort", "Squeeze", options="axis"),
    **_forms("numpy", "x", "Stack", options="axis", takes_list=True),
    **_forms("nn", "x", "LogSoftmax", "Softmax", options="axis"),
    **_forms("nn", "x", "LeakyRelu", options="negative_slope"),
    **_forms("nn", "x", "Gelu", options="approximate"),
    **_forms("core", "x", "Cast", options="dtype"),
    **_forms("core", "x", "Unstack", options="num axis"),
    **_forms("numpy", "x", "BroadcastTo", options="shape"),
    **_forms("numpy", "x", "Clip", options="x_min x_max"),
    **_forms("numpy", "x", "Repeat", options="repeats axis"),
    **_forms("numpy", "x", "Reshape", options="newshape"),
    **_forms("numpy", "x", "Roll", options="shift axis"),
    **_forms("numpy", "x", "Round", options="decimals"),
    **_forms("numpy", "x", "Tile", options="repeats"),
    **_forms("numpy", "x", "Transpose", options="axes"),
    **_forms("numpy", "xs", "Concatenate", options="axis", takes_list=True),
    **_forms("numpy", "x key", "GetItem"),
    **_forms("numpy", "x constant_values", "Pad", options="pad_width mode"),
    **_forms("numpy", "condition x1 x2", "Where"),
    **_forms("numpy", "x", "Split", options="indices_or_sections axis"),
    **_forms("nn", "x", "Normalize", options="axis order epsilon"),
    **_forms("image", "images", "Resize", options="size interpolation antialias data_format"),
    **_forms("numpy", "x", "Cumprod", "Cumsum", options="axis"),
}
"""Operation -> form, of those that functions of TensorFlow are given back as."""

OF_THE_LAYER = frozenset({"dtype", "name", "trainable"})
"""Keys that belong to the layer that a function of TensorFlow stands in."""

DEFAULTS: dict[str, dict[str, Any]] = {"Cast": {"dtype": "float32"}, "Gelu": {"approximate": False}}
"""Operation -> options that Keras 3 demands, or means otherwise, where the function leaves them out."""

PASSED_OVER = {"direction": "ASCENDING", "output_type": None, "stable": None}
"""Parameter that Keras 3 lacks -> the value that says nothing; None for any."""


DIFFERENT_OPTIONS = (
    "it is called with different options, which in Keras 3 belong to the operation",
    "Use an operation of its own for each call, and convert again.",
)

ANOTHER_NETWORK = "Write the network without it, and convert again."


def operation_given_back(source: Source) -> GivenBack:
    """What stands for an operation.

    Raises:
        ConversionError: if Keras 3 has no operation for a function of TensorFlow, or not with these options.
    """
    layer = source.layer
    if layer.module:
        name = source.class_name.removeprefix(KERAS_PREFIX)
        config = {key: value for key, value in layer.config.items() if key != "name"}
        return GivenBack(KerasLayer(name, config, layer.module, named="name" in layer.config), layer.calls)
    own_name = SIGNATURES[source.class_name].name
    name = RENAMED.get(own_name, own_name).removeprefix(KERAS_PREFIX)
    all_values = [_values(call, source) for call in layer.calls]
    if name == "Matmul" and any(_transposes(values) != (False, False) for values in all_values):
        return _product_of_transposed(all_values, source)
    form = FORMS.get(name)
    if form is None:
        raise source.refusal("what Keras 3 has for this function is not known", ANOTHER_NETWORK)
    change = CHANGED.get(own_name)
    if change is not None:
        all_values = [change(values, source) for values in all_values]
    translated = [_translated(values, call, form, source) for values, call in zip(all_values, layer.calls, strict=True)]
    configs = [{**DEFAULTS.get(name, {}), **config} for config, _call in translated]
    if any(config != configs[0] for config in configs):
        raise source.refusal(*DIFFERENT_OPTIONS)
    return GivenBack(KerasLayer(name, configs[0], form.module), tuple(call for _config, call in translated))


def _values(call: Call, source: Source) -> dict[str, Any]:
    """The arguments of a call of a function, by the names that their parameters have first."""
    parameters = SIGNATURES[source.class_name].parameters
    if source.class_name.startswith(RAW_PREFIX):
        node = OperationConfig.read_node(source.keys())
        given, arguments = dict(node.values), positional(parameters, node, call)
    else:
        given = {key: value for key, value in source.config.items() if key not in OF_THE_LAYER}
        arguments = call.arguments
    values = {
        parameters.own_name(key): listed(value)
        for key, value in {**given, **call.keywords}.items()
        if parameters.knows(key)
    }
    return values | {names[0]: listed(value) for names, value in zip(parameters.spellings, arguments, strict=False)}


def _split_given_back(values: dict[str, Any], source: Source) -> dict[str, Any]:
    """Of `tf.split`: sizes of parts become the places before which Keras 3 cuts."""
    sizes = values.pop("num_or_size_splits")
    values.pop("num", None)
    if not isinstance(sizes, list | tuple):
        return {**values, "indices_or_sections": sizes}
    if -1 in sizes[:-1]:
        raise source.refusal("one of its sizes is -1, and Keras 3 needs the places of its cuts", ANOTHER_NETWORK)
    return {**values, "indices_or_sections": list(accumulate(sizes[:-1]))}


def _normalized_given_back(values: dict[str, Any], _source: Source) -> dict[str, Any]:
    """Of `tf.math.l2_normalize`, whose epsilon is that of the squares."""
    return {**values, "order": 2, "epsilon": math.sqrt(values.get("epsilon") or 1e-12)}


def _resized_given_back(values: dict[str, Any], source: Source) -> dict[str, Any]:
    """Of `tf.image.resize`, with channels last."""
    method = values.pop("method", None) or "bilinear"
    if method not in ("bilinear", "nearest"):
        raise source.refusal(
            f'its "method" is {method!r}, which backends of Keras 3 compute otherwise', ANOTHER_NETWORK
        )
    return {**values, "interpolation": method, "data_format": "channels_last"}


RENAMED = {
    "tf.image.resize": "keras.ops.Resize",
    "tf.math.l2_normalize": "keras.ops.Normalize",
    "tf.split": "keras.ops.Split",
}
"""Function -> the operation of Keras 3 that computes the same from other arguments."""

CHANGED: dict[str, Callable[[dict[str, Any], Source], dict[str, Any]]] = {
    "tf.image.resize": _resized_given_back,
    "tf.math.l2_normalize": _normalized_given_back,
    "tf.split": _split_given_back,
}
"""Function -> the arguments of that operation."""


def _transposes(values: Mapping[str, Any]) -> tuple[bool, bool]:
    return bool(values.get("transpose_a")), bool(values.get("transpose_b"))


def _product_of_transposed(all_values: Sequence[Mapping[str, Any]], source: Source) -> GivenBack:
    """Of a matrix product of transposed factors, an Einsum."""
    flags = {_transposes(values) for values in all_values}
    if len(flags) > 1:
        raise source.refusal(*DIFFERENT_OPTIONS)
    ((first, second),) = flags
    subscripts = f"...{'ji' if first else 'ij'},...{'kj' if second else 'jk'}->...ik"
    calls = tuple(
        Call(call.inputs, tuple(_argument(name, values[name], is_list=False) for name in ("x1", "x2")), {})
        for call, values in zip(source.layer.calls, all_values, strict=True)
    )
    return GivenBack(KerasLayer("Einsum", {"subscripts": subscripts}, "keras.src.ops.numpy"), calls)


def _translated(values: Mapping[str, Any], call: Call, form: Form, source: Source) -> tuple[dict[str, Any], Call]:
    """A call of a function, as the config and the call of the operation."""
    config: dict[str, Any] = {}
    keywords: dict[str, Any] = {}
    for name, value in values.items():
        if name in form.call:
            keywords[name] = _argument(name, value, is_list=form.takes_list)
        elif value is None:
            continue
        elif name in form.options:
            if _holds_tensors(value):
                raise source.refusal(
                    f'its "{name}" is computed from tensors, and in Keras 3 it is an option', ANOTHER_NETWORK
                )
            config[name] = value.lower() if name == "mode" else value
        elif value and PASSED_OVER.get(name, False) not in (None, value):
            raise source.refusal(f'its "{name}" is {value!r}, for which Keras 3 has no option', ANOTHER_NETWORK)
    if config.get("mode", "constant") != "constant":
        keywords.pop("constant_values", None)
    return config, Call(call.inputs, (), keywords)


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, Operand) or (isinstance(value, list | tuple) and any(map(_holds_tensors, value)))


def _argument(name: str, value: Any, *, is_list: bool) -> Any:
    """A value that a call takes: a tensor, a list of them, numbers, or what part of a tensor is taken."""
    if name == "key":
        return tuple(map(_part, value)) if isinstance(value, list | tuple) else _part(value)
    if isinstance(value, list | tuple) and not _holds_tensors(value):
        return {"class_name": "__numpy__", "config": {"value": value, "dtype": "float32"}}
    if isinstance(value, tuple) and len(value) == 1 and not is_list:
        return value[0]
    return value


def _part(item: Any) -> Any:
    """A range of an axis, or all axes that are not named, in the form of Keras 3; a number is written alike."""
    if isinstance(item, Mapping) and item.get("class_name") == "__ellipsis__":
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(item, Mapping) and "class_name" not in item:
        bounds = {name: item.get(name) for name in ("start", "stop", "step")}
        return {"class_name": "__slice__", "config": bounds}
    return item
