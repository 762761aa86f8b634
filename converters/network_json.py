"""A flat network as the shortest JSON from which `converters.keras_json` reads the same network again.

Models carry it with them (`converters.record`). Calls that take tensors alone are written as Keras 2 does, the others
as Keras 3 does; models within models were written out before.
"""

import json
from collections.abc import Mapping
from typing import Any

from converters.keras_wrappers import TIME_DISTRIBUTED
from converters.layers.operations import KERAS_PREFIX, RAW_PREFIX, TF_PREFIX
from converters.network import Call, Layer, Network, Operand, Ref
from converters.roles import IN_DISTRIBUTED_MODEL_KEY

__all__ = ["network_json"]


def network_json(network: Network, configs: Mapping[str, Mapping[str, Any]]) -> str:
    """The JSON of a network, in one line; the same network gives the same text.

    Args:
        configs: by layer, what is written in the place of its own.
    """
    model: dict[str, Any] = {"class_name": "Functional"}
    if network.keras_version is not None:
        model["keras_version"] = str(network.keras_version)
    model["config"] = {
        "name": network.name,
        "layers": [_layer(layer, configs[layer.name]) for layer in network.layers],
        "input_layers": [_listed(ref) for ref in network.inputs],
        "output_layers": [_listed(ref) for ref in network.outputs],
    }
    return json.dumps(model, ensure_ascii=False, separators=(",", ":"))


def _layer(layer: Layer, config: Mapping[str, Any]) -> dict[str, Any]:
    written: dict[str, Any] = {"class_name": layer.class_name, "name": layer.name}
    if layer.module:
        written |= {"class_name": layer.class_name.removeprefix(KERAS_PREFIX), "module": layer.module}
    elif layer.class_name.startswith(RAW_PREFIX):
        written["class_name"] = "TensorFlowOpLayer"
    elif layer.class_name.startswith(TF_PREFIX):
        written["class_name"] = "TFOpLambda"
    written["config"] = config if layer.trainable else {**config, "trainable": False}
    for _wrapper in range(layer.time_distributed):
        inner = {key: written[key] for key in ("class_name", "module", "config") if key in written}
        written |= {"class_name": TIME_DISTRIBUTED, "config": {"layer": inner}}
        written.pop("module", None)
    if layer.in_distributed_model:
        written["config"][IN_DISTRIBUTED_MODEL_KEY] = True
    # An input layer is called with nothing.
    written["inbound_nodes"] = [_call(call) for call in layer.calls if call.inputs]
    return written


def _call(call: Call) -> Any:
    if not call.keywords and call.arguments in ((), _plain_arguments(call)):
        return [_listed(ref) for ref in call.inputs]
    return {"args": _argument(call.arguments, call), "kwargs": _argument(call.keywords, call)}


def _plain_arguments(call: Call) -> tuple[Any, ...]:
    """The arguments of a call that takes its inputs and nothing else, several of them in a list."""
    operands = tuple(map(Operand, range(len(call.inputs))))
    return (operands[0] if len(operands) == 1 else operands,)


def _argument(value: Any, call: Call) -> Any:
    if isinstance(value, Operand):
        return {"class_name": "__keras_tensor__", "config": {"keras_history": _listed(call.inputs[value.index])}}
    if isinstance(value, Mapping):
        return {key: _argument(item, call) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_argument(item, call) for item in value]
    return value


def _listed(ref: Ref) -> list[Any]:
    return [ref.layer, ref.call, ref.tensor]
