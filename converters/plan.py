"""A `Network` with the configs of its layers read and its calls in order: what can be told before tensors meet."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from converters.errors import ConversionError, joined
from converters.keras_order import run_order
from converters.keras_wrappers import TIME_DISTRIBUTED
from converters.keys import Keys
from converters.layers import LAYERS, LayerEntry, find_layer
from converters.layers.masks import FORGETTING, MASKING, number_of_masks
from converters.layers.operations import KERAS_PREFIX, OPERATIONS, RAW_PREFIX, TF_PREFIX
from converters.layers.refused import find_refusal
from converters.layers.registry import Arity
from converters.network import Call, Layer, Network, Step, execution_order
from converters.notices import Notices
from converters.training_calls import effect_of_training

__all__ = ["Plan", "Recipe", "planned"]


@dataclass(frozen=True)
class Recipe:
    """What converts a layer, its checked config, and as much of the JSON's as the two know."""

    entry: LayerEntry
    config: Any
    kept: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """A network whose configs are read and whose calls are in order, with the names of what they give.

    `errors` are those of layers that have no recipe.
    """

    network: Network
    recipes: Mapping[str, Recipe]
    errors: tuple[ConversionError, ...]
    steps: tuple[Step, ...]
    names: Mapping[tuple[str, int], str]


def planned(network: Network, notices: Notices) -> Plan:
    """The network with its configs read and its calls in order.

    Raises:
        ConversionError: if the calls have no order; it tells the errors of configs too.
    """
    recipes: dict[str, Recipe] = {}
    errors: list[ConversionError] = []
    for layer in network.layers:
        try:
            recipes[layer.name] = _read_config(layer, network.keras_version, notices)
        except ConversionError as error:
            errors.append(error)
    try:
        return Plan(network, recipes, tuple(errors), _steps(network, recipes), _call_names(network))
    except ConversionError as error:
        raise joined([*errors, error], network.place) from None


def _steps(network: Network, recipes: Mapping[str, Recipe]) -> tuple[Step, ...]:
    """The calls in an order in which they can be carried out: in Keras' own where that decides who sees a mask.

    That of a network with models within it is not known any more: each of these is one call for Keras.
    """
    steps = execution_order(network)
    classes = {recipe.entry.class_name for recipe in recipes.values()}
    masks = not classes.isdisjoint(MASKING) or any(map(number_of_masks, _calls(network)))
    if not masks or classes.isdisjoint(FORGETTING) or network.keras_version == 2 or network.inner_inputs:
        return steps
    by_key = {(step.layer.name, step.call): step for step in steps}
    parents = {key: [(ref.layer, ref.call) for ref in step.inputs] for key, step in by_key.items()}
    ordered = run_order(parents, [(ref.layer, ref.call) for ref in network.outputs])
    return tuple(by_key[key] for key in ordered)


def _calls(network: Network) -> Iterator[Call]:
    return (call for layer in network.layers for call in layer.calls)


def _read_config(layer: Layer, keras_version: int | None, notices: Notices) -> Recipe:
    entry = OPERATIONS.get(layer.class_name) or find_layer(layer.class_name)
    if entry is None:
        raise _unsupported(layer)
    for call in layer.calls:
        given = len(call.inputs) - (number_of_masks(call) if entry.arity is not Arity.NAMED else 0)
        if not entry.arity.accepts(given):
            raise layer.error(f"takes {entry.arity.value}, and is given {given}", 'Change its "inbound_nodes".')
    keys = Keys(
        layer.config, layer=layer.name, class_name=layer.class_name, notices=notices, keras_version=keras_version
    )
    _tell_of_training(layer, entry.class_name, keys, notices)
    config = entry.read_config(keys)
    keys.report_unread()
    return Recipe(entry, config, keys.kept())


def _tell_of_training(layer: Layer, class_name: str, keys: Keys, notices: Notices) -> None:
    effect = effect_of_training(layer, class_name) if keys.written_by_keras_2 else None
    if effect is not None:
        notices.add(
            f"training: {effect}",
            f"{layer.place}: layer '{layer.name}' ({layer.class_name}): is called with \"training\": true, itself or "
            f"with a model that holds it, and Keras 2 {effect} then, also when it predicts; the model predicts without "
            "that, as Keras 3 does",
            layer.name,
        )


def _unsupported(layer: Layer) -> ConversionError:
    """The error that a layer of an unknown class causes; known ones are too many to be told."""
    name = layer.class_name
    kind, known = "class", sorted({TIME_DISTRIBUTED, *LAYERS})
    if name.startswith((KERAS_PREFIX, TF_PREFIX)):
        prefix = next(prefix for prefix in (KERAS_PREFIX, RAW_PREFIX, TF_PREFIX) if name.startswith(prefix))
        kind, known = "operation", sorted(other for other in OPERATIONS if other.startswith(prefix))
    fix = "Use layers and operations that can be converted; docs/layers.md lists them."
    problem, refusal = f"this {kind} cannot be converted", find_refusal(name)
    close = get_close_matches(name, known)
    if refusal is not None:
        problem, fix = f"{problem}: {refusal.reason}", refusal.fix
    elif close:
        problem = f"{problem}; the nearest that can: {', '.join(close)}"
    return layer.error(problem, fix)


def _call_names(network: Network) -> dict[tuple[str, int], str]:
    """What the value that a call gives is named: after the layer, with the number of the call from the second on."""
    names: dict[tuple[str, int], str] = {}
    taken: set[str] = set()
    for layer in network.layers:
        for call in range(len(layer.calls)):
            name = f"{layer.name}/{call}" if call else layer.name
            if name in taken:
                problem = f"the name '{name}' is also that of another call of a shared layer"
                raise layer.error(problem, "Rename the layer.")
            taken.add(name)
            names[layer.name, call] = name
    return names
