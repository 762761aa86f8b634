"""How Keras' JSON writes which layer's output goes where: `inbound_nodes`, and the lists of inputs and outputs.

Every form that occurs, from Keras 2's nested lists to Keras 3's `__keras_tensor__` and plain names, becomes `Call` and
`Ref` here; what they refer to is checked later.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from converters.errors import ConversionError
from converters.json_text import JsonArray, JsonObject
from converters.network import Call, Operand, Ref

__all__ = ["read_calls", "read_refs"]

A_REF = 'Write a layer\'s name, or ["name", call, output].'

CALL_FORMS = (
    'Write [[["layer", 0, 0, {}]]] (Keras 2), [{"args": ..., "kwargs": ...}] (Keras 3), or a list of layer names.'
)

CONSTANT = "_CONSTANT_VALUE"
"""Stands for a layer's name in `["_CONSTANT_VALUE", -1, 3.0, {...}]`: the first argument of a TensorFlow function."""


def read_calls(value: Any, place: str, *, of_function: bool) -> Iterator[Call]:
    """The calls that `inbound_nodes` lists; simplified forms, which name layers only, are one call.

    Args:
        of_function: whether the layer is a TensorFlow function, each of whose calls is a reference without brackets.

    Raises:
        ConversionError: if a call has a form that we do not know.
    """
    if _is_ref(value):
        yield _listed_call([(value, place)])
    elif not isinstance(value, JsonArray):
        raise ConversionError('"inbound_nodes" has a form that we do not know', place=place, fix=CALL_FORMS)
    elif all(_is_ref(item) for item in value) and not of_function:
        yield _listed_call([(item, value.place(index)) for index, item in enumerate(value)])
    else:
        for index, item in enumerate(value):
            yield _call(item, value.place(index))


def read_refs(value: Any, place: str) -> Iterator[Ref]:
    """The references of `input_layers` or `output_layers`: one, a list that may be nested, or an object of named ones.

    Raises:
        ConversionError: if one has a form that we do not know.
    """
    if _is_ref(value):
        yield _ref(value, place)
    elif isinstance(value, JsonObject):
        for key, item in value.items():
            yield from read_refs(item, value.place(key))
    elif isinstance(value, JsonArray):
        for index, item in enumerate(value):
            yield from read_refs(item, value.place(index))
    else:
        raise _unknown_ref(place)


def _call(value: Any, place: str) -> Call:
    if isinstance(value, JsonObject):
        inputs: list[Ref] = []
        arguments = _with_operands(value.get("args"), inputs)
        keywords = _with_operands(_keywords(value.get("kwargs"), value.place("kwargs")), inputs)
        return Call(
            tuple(inputs),
            arguments if isinstance(arguments, tuple) else () if arguments is None else (arguments,),
            keywords,
        )
    if _is_constant(value) or _is_ref(value):
        return _listed_call([(value, place)])
    if isinstance(value, JsonArray):
        return _listed_call([(item, value.place(index)) for index, item in enumerate(value)])
    raise ConversionError('"inbound_nodes" has a call of a form that we do not know', place=place, fix=CALL_FORMS)


def _listed_call(items: Sequence[tuple[Any, str]]) -> Call:
    """A call as Keras 2 writes it: what the first argument holds, each with all the other arguments behind it."""
    inputs: list[Ref] = []
    first = [_listed_item(value, place, inputs) for value, place in items]
    behind: Any = next((found for value, place in items for found in _behind(value, place)), {})
    keywords = _with_listed_operands(behind, inputs)
    return Call(tuple(inputs), (first[0] if len(first) == 1 else tuple(first),), keywords)


def _listed_item(value: Any, place: str, inputs: list[Ref]) -> Any:
    """What stands in the first argument of a call of Keras 2: a tensor, a constant, or a list of these."""
    if _is_constant(value):
        return value[2]
    if _is_ref(value):
        return _operand(_ref(value, place), inputs)
    if isinstance(value, JsonArray) and not any(isinstance(item, str) for item in value):
        return tuple(_listed_item(item, value.place(index), inputs) for index, item in enumerate(value))
    raise _unknown_ref(place)


def _behind(value: Any, place: str) -> Iterator[Any]:
    """The other arguments of a call of Keras 2, which stand behind each tensor and constant of the first."""
    if _is_constant(value) or _is_ref(value):
        if isinstance(value, JsonArray) and len(value) > 3:
            yield _keywords(value[3], value.place(3))
    elif isinstance(value, JsonArray):
        for index, item in enumerate(value):
            yield from _behind(item, value.place(index))


def _keywords(value: Any, place: str) -> Any:
    """The arguments of a call by name, an empty object for null.

    Raises:
        ConversionError: if they are no object.
    """
    if value is None:
        return {}
    if not isinstance(value, JsonObject):
        raise ConversionError("the arguments of a call by name are no object", place=place, fix=CALL_FORMS)
    return value


def _with_operands(value: Any, inputs: list[Ref]) -> Any:
    """An argument of a Keras 3 call, its tensors appended to `inputs` and their places taken by operands."""
    if isinstance(value, JsonObject):
        if value.get("class_name") == "__keras_tensor__":
            return _operand(_history(value), inputs)
        return {key: _with_operands(item, inputs) for key, item in value.items()}
    if isinstance(value, JsonArray):
        return tuple(_with_operands(item, inputs) for item in value)
    return value


def _history(tensor: JsonObject) -> Ref:
    config = tensor.get("config")
    if not isinstance(config, JsonObject) or "keras_history" not in config:
        raise ConversionError('a tensor without "keras_history"', place=tensor.place(), fix=CALL_FORMS)
    history = config["keras_history"]
    if not _is_ref(history):
        raise ConversionError(
            'a tensor whose "keras_history" is no list of a layer, a call and an output',
            place=config.place("keras_history"),
            fix=CALL_FORMS,
        )
    return _ref(history, tensor.place(), listed=False)


def _with_listed_operands(value: Any, inputs: list[Ref]) -> Any:
    """An argument of a Keras 2 call, as `_with_operands`; a list of a name and two numbers is a tensor."""
    if isinstance(value, JsonObject):
        return {
            key: _operand(_ref(item, value.place(key)), inputs)
            if _is_tensor(item)
            else _with_listed_operands(item, inputs)
            for key, item in value.items()
        }
    if isinstance(value, JsonArray):
        return tuple(
            _operand(_ref(item, value.place(index)), inputs)
            if _is_tensor(item)
            else _with_listed_operands(item, inputs)
            for index, item in enumerate(value)
        )
    return value


def _operand(ref: Ref, inputs: list[Ref]) -> Operand:
    inputs.append(ref)
    return Operand(len(inputs) - 1)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and _is_ref(value)


def _is_constant(value: Any) -> bool:
    return isinstance(value, list) and len(value) >= 3 and value[0] == CONSTANT


def _is_ref(value: Any) -> bool:
    """Whether a value is a reference to one tensor: a name, or a list of a name, a call, an output and arguments."""
    if isinstance(value, str):
        return True
    if not isinstance(value, list) or not value or not isinstance(value[0], str):
        return False
    return all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in value[1:3])


def _ref(value: Any, place: str, *, listed: bool = True) -> Ref:
    if not _is_ref(value):
        raise _unknown_ref(place)
    if isinstance(value, str):
        return Ref(value, 0, 0, place)
    call, tensor = [*value[1:3], 0, 0][:2]
    return Ref(value[0], call, tensor, place, listed)


def _unknown_ref(place: str) -> ConversionError:
    return ConversionError("a reference to a layer of a form that we do not know", place=place, fix=A_REF)
