"""Layers that a run leaves as they are, and layers that it trains at a rate of their own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import onnx_ir as ir
import torch

from converters.roles import TRAINABLE_KEY, Role, initializer_roles
from onnxgrid.config.layers import FREEZE, LAYER_RATES, LayerRate, matches_layer
from onnxgrid.engines.engine import FlatTensors
from onnxgrid.errors import ConfigError

__all__ = ["frozen", "rate_factors", "set_rate_factors"]


def frozen(model: ir.Model, patterns: Sequence[str]) -> ir.Model:
    """A copy of the model in which layers with these names, or that match, are not trained; the model, without any.

    Raises:
        ConfigError: if one matches no layer with parameters.
    """
    if not patterns:
        return model
    copy = model.clone()
    layers = _parameters_by_layer(copy)
    _require_matches(patterns, layers, FREEZE)
    for layer, names in layers.items():
        if matches_layer(layer, patterns):
            for use in (use for name in names for use in copy.graph.initializers[name].uses()):
                use.node.metadata_props[TRAINABLE_KEY] = "false"
    return copy


def rate_factors(model: ir.Model, rates: Sequence[LayerRate]) -> dict[str, float]:
    """By parameter, what its learning rate is multiplied by: of the first rate that names or matches its layer.

    Raises:
        ConfigError: if a pattern matches no layer with parameters.
    """
    layers = _parameters_by_layer(model)
    _require_matches([pattern for rate in rates for pattern in rate.layers], layers, f"optimizer.{LAYER_RATES}")
    factors = {}
    for layer, names in layers.items():
        found = next((rate.factor for rate in rates if matches_layer(layer, rate.layers)), 1.0)
        factors.update(dict.fromkeys(names, found))
    return factors


def set_rate_factors(optimizer: torch.optim.Optimizer, parameters: FlatTensors, factors: Mapping[str, float]) -> None:
    """Make each step of the optimizer change these parameters by so many times as much as it would.

    The optimizer has one tensor and one rate; its steps are proportional to the rate, so that shrinking the step of a
    part is the same as lowering the rate there.
    """
    parts = list(_parts(parameters, factors))
    before: list[torch.Tensor] = []

    def remember(*_: Any) -> None:
        before.extend(parameters.flat[start:end].clone() for start, end, _factor in parts)

    def scale(*_: Any) -> None:
        for old, (start, end, factor) in zip(before, parts, strict=True):
            new = parameters.flat[start:end]
            new.copy_(torch.lerp(old, new, factor))
        before.clear()

    if parts:
        optimizer.register_step_pre_hook(remember)
        optimizer.register_step_post_hook(scale)


def _parts(parameters: FlatTensors, factors: Mapping[str, float]) -> Iterator[tuple[int, int, float]]:
    """Start, end and factor of each stretch of the flat tensor that has another factor than 1."""
    part: tuple[int, int, float] | None = None
    for name, view in parameters.views.items():
        start, factor = int(view.storage_offset()), factors.get(name, 1.0)
        if part is not None and part[2] == factor:
            part = (part[0], start + view.numel(), factor)
            continue
        if part is not None and part[2] != 1:
            yield part
        part = (start, start + view.numel(), factor)
    if part is not None and part[2] != 1:
        yield part


def _parameters_by_layer(model: ir.Model) -> dict[str, list[str]]:
    layers: dict[str, list[str]] = {}
    for name, role in initializer_roles(model).items():
        if role.kind is not Role.CONSTANT:
            layers.setdefault(role.layer, []).append(name)
    return layers


def _require_matches(patterns: Iterable[str], layers: Iterable[str], key: str) -> None:
    for pattern in patterns:
        if not any(matches_layer(layer, [pattern]) for layer in layers):
            raise ConfigError(
                f"names '{pattern}', which no layer of the network with parameters matches",
                place=key,
                fix="Give names of layers as onnxgrid inspect shows them, or patterns as 'enc_*'.",
            )
