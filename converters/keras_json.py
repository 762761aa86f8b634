"""Keras' JSON, in any of its containers, to a `Network`: Keras 2 and 3, Functional and Sequential, wrapped or bare."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from converters.errors import ConversionError, joined
from converters.json_text import JsonArray, JsonObject, read_json
from converters.keras_archive import ARCHIVE_SUFFIX, ARCHIVED_CONFIG, archived_keras_version, read_archived_config
from converters.keras_calls import read_calls, read_refs
from converters.keras_version import keras_version, major_version
from converters.keras_wrappers import TIME_DISTRIBUTED, inner_classes, without_time_distributed
from converters.nested import inline
from converters.network import Call, Layer, Network, Ref, StatedShape, check_references, drop_unreachable
from converters.node_def import read_node_def
from converters.roles import IN_DISTRIBUTED_MODEL_KEY
from converters.stated_shapes import shapes_of_layer

__all__ = ["CONTAINERS", "network_from_json", "read_network"]

logger = logging.getLogger(__name__)

UNNAMED = "Unknown"

CONTAINERS = frozenset({"Functional", "Model", "Sequential"})

WRAPPERS = ("modelTopology", "model_config")
"""Where a model's JSON stands in a `model.json` of TensorFlow.js, and in what describes an HDF5 file of Keras."""

INPUT_CLASSES = frozenset({"Input", "InputLayer"})

IMPLICIT_INPUT_KEYS = ("batch_shape", "batch_input_shape", "input_shape")
"""Where the first layer of a Sequential may say what goes in, if there is no InputLayer."""

A_NETWORK = 'Give a Keras model as JSON (model.to_json()), a list of layers, or an object with "layers".'

FUNCTION_CLASSES = frozenset({"SlicingOpLambda", "TFOpLambda"})
"""Keras 2's layers that call a TensorFlow function."""

CUSTOM_PACKAGE = "Custom>"
"""What `register_keras_serializable` puts before the name of a class, unless it is told another package."""

NODE_CLASS = "TensorFlowOpLayer"
"""Keras 2's layer that is an operation of a TensorFlow graph."""

OPERATION_MODULES = ("keras.src.ops", "keras.ops")
"""Where Keras 3's operations live, which stand in a network as layers do."""


@dataclass(frozen=True)
class _Container:
    """The parts of any container."""

    name: str
    layers: JsonArray
    sequential: bool
    trainable: bool
    keys: JsonObject | None
    """What holds `input_layers` and `output_layers`, if anything does."""
    place: str
    keras_version: int | None
    """The major version of Keras that wrote it, if anything says so."""
    nested: bool = False
    """Whether it is a layer of another, whose calls say what goes in."""


def read_network(path: Path) -> Network:
    """The network of a Keras JSON file or a `.keras` archive, without layers that no output depends on.

    Raises:
        JsonError: if the file is not JSON, or the archive holds none.
        WeightFileError: if the archive cannot be read.
        ConversionError: if it is not a network, or one whose layers do not hang together.
    """
    if path.suffix.lower() == ARCHIVE_SUFFIX:
        config, version = read_archived_config(path), archived_keras_version(path)
        return network_from_json(config, f"{path}/{ARCHIVED_CONFIG}", written_by=version)
    return network_from_json(read_json(path), str(path))


def network_from_json(value: Any, file: str, *, written_by: int | None = None) -> Network:
    """The network of a parsed JSON value. Raises as `read_network`.

    Args:
        file: is named in errors.
        written_by: the major version of Keras, where it stands elsewhere than in the JSON.
    """
    container = _open(value, file)
    network = inline(_read(container if written_by is None else replace(container, keras_version=written_by)))
    check_references(network)
    return drop_unreachable(network)


def _read(container: _Container) -> Network:
    """The network that a container describes, models within it still in their own."""
    layers = _read_layers(container)
    inputs, outputs = _ends(container, layers)
    network = Network(container.name, tuple(layers), inputs, outputs, container.place, container.keras_version)
    check_references(network)
    return network


def _open(value: Any, file: str) -> _Container:
    if isinstance(value, JsonObject) and isinstance(value.get("neural_network"), JsonObject):
        value = value["neural_network"].get("layers")
    if isinstance(value, JsonObject) and any(key in value for key in WRAPPERS):
        return _unwrapped(value, file)
    if isinstance(value, JsonArray):
        return _container(UNNAMED, value, None, None, file)
    if not isinstance(value, JsonObject):
        raise ConversionError("holds no network", place=file, fix=A_NETWORK)
    class_name = value.get("class_name")
    if class_name is None:
        return _container(_name(value) or UNNAMED, value.get("layers"), value, value, file)
    if not isinstance(class_name, str) or class_name not in CONTAINERS:
        raise ConversionError(
            f"holds a {class_name!r}, which is not a network of layers",
            place=value.place("class_name"),
            fix="Give a Functional or Sequential model; subclassed models do not say what they compute.",
        )
    config = value.get("config")
    if isinstance(config, JsonArray):
        return _container(_name(value) or UNNAMED, config, None, value, file, sequential=True)
    if not isinstance(config, JsonObject):
        raise ConversionError('a model without "config"', place=value.place(), fix=A_NETWORK)
    name = _name(config) or _name(value) or UNNAMED
    return _container(name, config.get("layers"), config, value, file, sequential=class_name == "Sequential")


def _unwrapped(value: JsonObject, file: str) -> _Container:
    """The container within what TensorFlow.js, or an HDF5 file of Keras, puts around a model's JSON."""
    key = next(key for key in WRAPPERS if key in value)
    inner = value[key]
    if isinstance(inner, JsonObject) and "node" in inner and "layers" not in inner:
        raise ConversionError(
            "holds a graph of TensorFlow, which is no network of layers",
            place=value.place(key),
            fix="Give the network that it was made of, or a model of TensorFlow.js in its format layers-model.",
        )
    container = _open(inner, file)
    written_by = major_version(value.get("keras_version"))
    return container if written_by is None else replace(container, keras_version=written_by)


def _container(
    name: str, layers: Any, keys: JsonObject | None, model: JsonObject | None, file: str, *, sequential: bool = False
) -> _Container:
    if not isinstance(layers, JsonArray) or not layers:
        place = file if keys is None else keys.place("layers")
        raise ConversionError("a network without a list of layers", place=place, fix=A_NETWORK)
    for index, layer in enumerate(layers):
        if not isinstance(layer, JsonObject):
            raise ConversionError(
                "a layer that is no object",
                place=layers.place(index),
                fix='Write {"class_name": ..., "config": {...}}.',
            )
    linked = any("inbound_nodes" in layer for layer in layers)
    trainable = True if keys is None else keys.get("trainable") is not False
    return _Container(name, layers, sequential or not linked, trainable, keys, file, keras_version(model, layers))


def _name(value: JsonObject) -> str | None:
    name = value.get("name")
    return name if isinstance(name, str) and name else None


@dataclass(frozen=True)
class _Described:
    """A layer as its own object describes it, without what it takes from others."""

    value: JsonObject
    name: str
    kind: str
    """Its class name as the file writes it."""
    config: JsonObject
    trainable: bool
    inner: Network | None
    wrapped: JsonObject
    """The layer itself, within all TimeDistributed."""
    wrapped_config: JsonObject
    wrappers: int
    """How many TimeDistributed there are."""


def _read_layers(container: _Container) -> list[Layer]:
    """The layers of a container with their calls.

    Raises:
        ConversionError: that tells every layer which cannot be read.
    """
    errors: list[ConversionError] = []
    counts: Counter[str] = Counter()
    described: list[_Described] = []
    for value in container.layers:
        try:
            described.append(_described(value, container, counts))
        except ConversionError as error:
            errors.append(error)
    layers: list[Layer] = []
    for layer in described if not errors else ():
        if not layers and layer.kind not in INPUT_CLASSES and _takes_previous(layer.value, container.sequential):
            layers.append(_implicit_input(layer, container))
        calls: tuple[Call, ...] = ()
        try:
            calls = tuple(_calls(layer.value, layer.kind, layers, container.sequential))
        except ConversionError as error:
            errors.append(error)
        layers.append(
            Layer(
                layer.name,
                _class_name(layer.wrapped, layer.wrapped_config),
                layer.wrapped_config,
                calls,
                layer.value.place(),
                layer.trainable,
                layer.inner,
                _operation_module(layer.wrapped),
                layer.wrappers,
                # Models keep their network flat (`network_json`), and remember this of its layers.
                in_distributed_model=layer.config.get(IN_DISTRIBUTED_MODEL_KEY) is True,
                stated_shapes=_stated_shapes(layer),
            )
        )
    if errors:
        raise joined(errors, container.place)
    return layers


def _described(value: JsonObject, container: _Container, counts: Counter[str]) -> _Described:
    """What a layer says of itself. `counts`, how often each class came before, is brought up to date."""
    kind = value.get("class_name")
    if kind is None:
        raise ConversionError('a layer without "class_name"', place=value.place(), fix='Add "class_name".')
    if not isinstance(kind, str):
        raise ConversionError(
            f'a layer whose "class_name" is {kind!r}',
            place=value.place("class_name"),
            fix='Write it in quotes: "Dense".',
        )
    config = value.get("config")
    if kind == "Sequential" and isinstance(config, JsonArray):
        config = value
    if not isinstance(config, JsonObject):
        raise ConversionError(f'a {kind} layer without "config"', place=value.place(), fix='Add "config": {}.')
    counts[kind] += 1
    name = _name(value) or _name(config) or f"{kind.lower()}_{counts[kind]}"
    trainable = _trainable(config, name, kind) and container.trainable
    _warn_if_custom(value, name)
    wrapped, wrapped_config, wrappers = value, config, 0
    if kind == TIME_DISTRIBUTED:
        wrapped, wrappers = _without_time_distributed(value, name)
        wrapped_config = wrapped["config"]
        trainable = _trainable(wrapped_config, name, str(wrapped["class_name"])) and trainable
    inner = _inner(wrapped, trainable) if wrapped["class_name"] in CONTAINERS else None
    return _Described(value, name, kind, config, trainable, inner, wrapped, wrapped_config, wrappers)


def _warn_if_custom(value: JsonObject, name: str) -> None:
    """Log it if a class of the user's own has the name of one of Keras, for which it is taken."""
    registered = value.get("registered_name")
    if isinstance(registered, str) and registered.startswith(CUSTOM_PACKAGE):
        class_name = registered.removeprefix(CUSTOM_PACKAGE)
        logger.warning(
            "%s: layer '%s' is of a class of your own, '%s', and is taken for a %s",
            value.place(),
            name,
            registered,
            class_name,
        )


def _operation_module(value: JsonObject) -> str:
    """Where an operation of Keras 3 lives, empty for everything else."""
    module = value.get("module")
    return module if isinstance(module, str) and module.startswith(OPERATION_MODULES) else ""


def _without_time_distributed(value: JsonObject, name: str) -> tuple[JsonObject, int]:
    """What TimeDistributed holds, and how many there are around it."""
    wrapped, wrappers = without_time_distributed(value)
    if (
        isinstance(wrapped, JsonObject)
        and isinstance(wrapped.get("class_name"), str)
        and isinstance(wrapped.get("config"), JsonObject)
    ):
        return wrapped, wrappers
    raise ConversionError(
        "holds no layer",
        place=value.place(),
        fix='Write it at "layer" of the config: {"class_name": ..., "config": {...}}.',
        layer=name,
        class_name=TIME_DISTRIBUTED,
    )


def _class_name(value: JsonObject, config: JsonObject) -> str:
    """The class of a layer; that of an operation says whose it is, as Keras' operation Add is not its layer Add."""
    class_name, function = str(value["class_name"]), config.get("function")
    if _operation_module(value):
        return f"keras.ops.{class_name}"
    if class_name in FUNCTION_CLASSES and isinstance(function, str):
        return f"tf.{function}"
    node = read_node_def(config.get("node_def")) if class_name == NODE_CLASS else None
    return class_name if node is None else f"tf.raw_ops.{node.op}"


def _inner(value: JsonObject, trainable: bool) -> Network:
    """The network of a model that is a layer; one that is frozen freezes all that it holds."""
    container = _open(value, value.place())
    return _read(replace(container, trainable=container.trainable and trainable, nested=True))


def _trainable(config: JsonObject, name: str, class_name: str) -> bool:
    value = config.get("trainable", True)
    if not isinstance(value, bool):
        raise ConversionError(
            '"trainable" is neither true nor false',
            place=config.place("trainable"),
            fix="Write true or false.",
            layer=name,
            class_name=class_name,
        )
    return value


def _implicit_input(first: _Described, container: _Container) -> Layer:
    """The input layer that Keras makes for a first layer which says its own input shape, named as Keras 2 does.

    A model that comes first says it in its own input layer; in a model that is itself a layer nobody need say it.
    """
    shape = first.config.only(*IMPLICIT_INPUT_KEYS)
    if not shape and container.keys is not None and isinstance(container.keys.get("build_input_shape"), JsonArray):
        shape = container.keys.only("build_input_shape")
    if not shape and first.inner is not None and first.inner.inputs:
        shape = next(layer.config for layer in first.inner.layers if layer.name == first.inner.inputs[0].layer)
    if not shape and not container.nested:
        raise ConversionError(
            f"the network begins with layer '{first.name}', which does not say what goes in",
            place=first.value.place(),
            fix='Begin with an InputLayer: {"class_name": "InputLayer", "config": {"batch_shape": [null, ...]}}.',
        )
    return Layer(f"{first.name}_input", "InputLayer", shape, (Call(()),), first.value.place(), trainable=True)


def _takes_previous(value: JsonObject, sequential: bool) -> bool:
    """Whether a layer is fed by the one before it in the list: where it does not say, or a Sequential says nothing."""
    return "inbound_nodes" not in value or (sequential and value["inbound_nodes"] in ([], None))


def _stated_shapes(layer: _Described) -> tuple[StatedShape, ...]:
    """What the file says of the layer's input, where that is computed and the layer itself sees it."""
    if layer.kind in INPUT_CLASSES or layer.inner is not None or layer.wrappers:
        return ()
    if inner_classes(layer.kind, layer.config):  # Keras makes the layers within for the shapes that they say
        return ()
    return shapes_of_layer(layer.value, layer.config)


def _calls(value: JsonObject, class_name: str, before: list[Layer], sequential: bool) -> Iterator[Call]:
    if class_name in INPUT_CLASSES and not value.get("inbound_nodes"):
        yield Call(())
    elif _takes_previous(value, sequential):
        yield Call((Ref(before[-1].name, len(before[-1].calls) - 1, 0, value.place(), listed=False),))
    else:
        of_function = class_name in FUNCTION_CLASSES
        yield from read_calls(value["inbound_nodes"], value.place("inbound_nodes"), of_function=of_function)


def _ends(container: _Container, layers: list[Layer]) -> tuple[tuple[Ref, ...], tuple[Ref, ...]]:
    """The network's inputs and outputs: those it lists, else every input layer and the last layer."""
    inputs = list(_listed(container.keys, "input_layers"))
    _require_input_layers(inputs, layers, container)
    named = {ref.layer for ref in inputs}
    for layer in layers:
        if layer.class_name in INPUT_CLASSES and layer.name not in named:
            inputs.append(Ref(layer.name, 0, 0, layer.place))
    last = layers[-1]
    outputs = list(_listed(container.keys, "output_layers"))
    outputs = outputs or [Ref(last.name, len(last.calls) - 1, 0, last.place, listed=False)]
    return tuple(inputs), tuple(outputs)


def _require_input_layers(inputs: list[Ref], layers: list[Layer], container: _Container) -> None:
    """Nothing, if the inputs are different input layers; what names no layer is found later."""
    classes = {layer.name: layer.class_name for layer in layers}
    errors: list[ConversionError] = []
    for number, ref in enumerate(inputs):
        if classes.get(ref.layer, "InputLayer") not in INPUT_CLASSES:
            problem, fix = f"is a {classes[ref.layer]}", "Name layers of class InputLayer."
        elif any(ref.layer == other.layer for other in inputs[:number]):
            problem, fix = "is listed twice", "List it once."
        elif ref.call or ref.tensor:
            problem, fix = f"is asked for its call {ref.call}, output {ref.tensor}", f'Write ["{ref.layer}", 0, 0].'
        else:
            continue
        errors.append(ConversionError(f"the network's input '{ref.layer}' {problem}", place=ref.place, fix=fix))
    if errors:
        raise joined(errors, container.place)


def _listed(keys: JsonObject | None, key: str) -> Iterator[Ref]:
    """The references at a key: one, a list that may be nested, or an object of named ones."""
    if keys is not None and keys.get(key) is not None:
        yield from read_refs(keys[key], keys.place(key))
