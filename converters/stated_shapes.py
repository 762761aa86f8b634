"""Shapes that a file states within a network, held against those that the network computes.

The computed ones decide. Where Keras refuses what contradicts them, so do we; what it passes over is a warning.

* Keras 3 makes a layer's weights for the shape in its "build_config", and then refuses inputs that they do not fit.
  Keras 2, which writes it too, does not read it.
* Keras 3 refuses to call a model on other sizes than its input layers say. Keras 2 warns where these are spatial.
* What a layer says of its own input, as the first of a Sequential does, is passed over where an input is given.

Source: keras/src/layers/layer.py, models/functional.py; what Keras 3.15 and tf_keras 2.21 do with such files.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from converters.errors import ConversionError, joined
from converters.json_text import JsonArray, JsonObject
from converters.layers.data_format import input_layout
from converters.layers.graph_builder import BATCH
from converters.layers.tensor import Layout, Numbers, Shared, Size, Tensor, shown
from converters.network import InnerInput, Layer, Network, Ref, StatedShape
from converters.notices import Notices

__all__ = ["read_stated_shape", "require_stated_shapes", "shapes_of_layer"]

BUILT_FOR = "build_config"

SHAPE_KEYS = ("batch_shape", "batch_input_shape", "input_shape", "shape")
WITHOUT_BATCH = frozenset({"input_shape", "shape"})

Tensors = Mapping[tuple[str, int], tuple[Tensor, ...]]
ParametersAt = Callable[[Layer, tuple[int | None, ...]], Mapping[str, tuple[int, ...]]]
"""A layer and the shape of its input -> the shapes that its parameters would have. Raises ConversionError, if none."""


def shapes_of_layer(value: JsonObject, config: JsonObject) -> tuple[StatedShape, ...]:
    """What a layer's JSON and its config say of the shape of its input. What is no shape is passed over, as in Keras.

    Only one input's: of several, Keras writes shapes by other names.
    """
    built = value.get(BUILT_FOR)
    sizes = _sizes(built.get("input_shape")) if isinstance(built, JsonObject) else None
    found = StatedShape(BUILT_FOR, sizes, value.place(BUILT_FOR)) if sizes else None
    return tuple(stated for stated in (found, read_stated_shape(config)) if stated is not None)


def read_stated_shape(config: JsonObject) -> StatedShape | None:
    """The shape that an input layer, or any other of its input, has in its config; None if there is none."""
    for key in SHAPE_KEYS:
        sizes = _sizes(config.get(key))
        if sizes is not None:
            return StatedShape(key, (None, *sizes) if key in WITHOUT_BATCH else sizes, config.place(key))
    return None


def _sizes(value: Any) -> tuple[int | None, ...] | None:
    if not isinstance(value, JsonArray) or not all(size is None or (type(size) is int and size > 0) for size in value):
        return None  # what is no shape is told of where one is needed
    return tuple(value)


def require_stated_shapes(network: Network, tensors: Tensors, notices: Notices, parameters_at: ParametersAt) -> None:
    """Nothing, if no shape in the file contradicts what the network computes so that Keras would refuse it.

    Args:
        tensors: what each call gave.
        notices: told of those that Keras passes over.

    Raises:
        ConversionError: that tells all that Keras would refuse.
    """
    errors = [
        *(error for layer in network.layers for error in _of_layer(layer, network, tensors, notices, parameters_at)),
        *(error for inner in network.inner_inputs for error in _of_inner_input(inner, network, tensors, notices)),
    ]
    if errors:
        raise joined(errors, network.place)


def _of_layer(
    layer: Layer, network: Network, tensors: Tensors, notices: Notices, parameters_at: ParametersAt
) -> Iterator[ConversionError]:
    first = layer.calls[0].inputs[:1] if layer.calls else ()
    given = _given(first[0], tensors, layer.time_distributed) if first else None
    for stated in layer.stated_shapes if given is not None else ():
        if given is None or not _differs(stated, given):
            continue
        if stated.key == BUILT_FOR:
            problem = _misbuilt(layer, stated, given, parameters_at) if network.keras_version == 3 else ""
            if problem:
                fix = f'Correct "{BUILT_FOR}", or leave it out.'
                yield ConversionError(
                    problem, place=stated.place, fix=fix, layer=layer.name, class_name=layer.class_name
                )
        else:
            text = f"{stated.place}: layer '{layer.name}' ({layer.class_name}): {_said(stated)}, and its input is "
            notices.add("own input", f"{text}{shown(given)}, which holds", layer.name)


def _misbuilt(layer: Layer, stated: StatedShape, given: Sequence[Size], parameters_at: ParametersAt) -> str:
    """What is wrong with the shape that a layer is said to be built for; empty if the weights are the same."""
    needed = parameters_at(layer, tuple(size if isinstance(size, int) else None for size in given))
    if not needed:
        return ""
    both = f"{_said(stated)}, and its input is {shown(given)}"
    try:
        built = parameters_at(layer, stated.sizes)
    except ConversionError:
        return f"{both}: the layer has no weights for the former"
    wrong = next((name for name, shape in needed.items() if built.get(name) != shape), None)
    if wrong is None:
        return ""
    return f"{both}: '{wrong}' would be {shown(built.get(wrong, ()))}, and is to be {shown(needed[wrong])}"


def _of_inner_input(
    inner: InnerInput, network: Network, tensors: Tensors, notices: Notices
) -> Iterator[ConversionError]:
    given = _given(inner.given, tensors, inner.time_distributed)
    if given is None or not _differs(inner.stated, given):
        return
    problem = f"{_said(inner.stated)}, and its model is called on {shown(given)}"
    channels = 1 if input_layout(network) is Layout.KERAS else -1
    fatal = network.keras_version == 3 or _differs(inner.stated, given, axes=slice(channels, channels + 1 or None))
    if fatal:
        yield ConversionError(
            problem,
            place=inner.stated.place,
            fix="Write the shape that it is given, with null for sizes that may be any.",
            layer=inner.name,
            class_name="InputLayer",
        )
    else:
        text = f"{inner.stated.place}: layer '{inner.name}' (InputLayer): {problem}, which holds"
        notices.add("inner input", text, inner.name)


def _given(ref: Ref, tensors: Tensors, time_distributed: int) -> tuple[Size, ...] | None:
    """The sizes of a tensor, in Keras' order; None if it has no batch, or no output depends on it.

    Args:
        time_distributed: how many axes behind the batch are left out.
    """
    outputs = tensors.get((ref.layer, ref.call), ())
    if ref.tensor >= len(outputs) or isinstance(outputs[ref.tensor], Numbers | Shared):
        return None
    batch, *others = outputs[ref.tensor].shape
    return (batch, *others[time_distributed:])


def _differs(stated: StatedShape, given: Sequence[Size], axes: slice = slice(1, None)) -> bool:
    """Whether the ranks are different, or two sizes on these axes that both are known."""
    pairs = zip(stated.sizes[axes], given[axes], strict=False)
    return len(stated.sizes) != len(given) or any(
        isinstance(size, int) and known is not None and known != size for known, size in pairs
    )


def _said(stated: StatedShape) -> str:
    return f'"{stated.key}" says {shown((BATCH, *stated.sizes[1:]))}'
