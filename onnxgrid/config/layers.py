"""Which layers of the network are not trained, and which at another rate: lists, or files of `onnxgrid transplant`."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import PlainValidator, ValidationInfo

from onnxgrid.config.paths import find_file
from onnxgrid.config.problems import fault, shown

__all__ = ["FREEZE", "LAYER_RATES", "FrozenLayers", "LayerRate", "LayerRates", "matches_layer"]

FREEZE = "freeze"
"""The key, in configurations and in files of `onnxgrid transplant --freeze-out`."""
LAYER_RATES = "layer_rates"
"""The same of `--rates-out`."""

LAYERS_FIX = 'Give an array of layers or patterns, as ["conv_1", "enc_*"], or a file of onnxgrid transplant.'
RATES_FIX = 'Give an array of objects, as [{"layers": ["enc_*"], "factor": 0.1}], or a file of onnxgrid transplant.'


@dataclass(frozen=True)
class LayerRate:
    """Layers, by name or pattern, and what their learning rate is multiplied by."""

    layers: tuple[str, ...]
    factor: float


def matches_layer(layer: str, patterns: Iterable[str]) -> bool:
    """Whether one of these is the layer's name, or a pattern that matches it."""
    return any(layer == pattern or fnmatchcase(layer, pattern) for pattern in patterns)


def _frozen(given: Any, info: ValidationInfo) -> tuple[str, ...]:
    return _names(_content(given, FREEZE, info, LAYERS_FIX), LAYERS_FIX)


def _rates(given: Any, info: ValidationInfo) -> tuple[LayerRate, ...] | None:
    if given is None:
        return None
    entries = _content(given, LAYER_RATES, info, RATES_FIX)
    if not isinstance(entries, list | tuple):
        raise fault(f"is {shown(entries)}", RATES_FIX)
    return tuple(entry if isinstance(entry, LayerRate) else _rate(entry) for entry in entries)


def _rate(entry: Any) -> LayerRate:
    if not isinstance(entry, dict) or entry.keys() != {"layers", "factor"}:
        raise fault(f"holds {shown(entry)}", RATES_FIX)
    factor = entry["factor"]
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 <= factor < math.inf:
        raise fault(f"holds the factor {shown(factor)}", "Give a number of 0 or more.")
    return LayerRate(_names(entry["layers"], RATES_FIX), float(factor))


def _names(given: Any, fix: str) -> tuple[str, ...]:
    if not isinstance(given, list | tuple) or not all(isinstance(name, str) and name for name in given):
        raise fault(f"is {shown(given)}", fix)
    return tuple(given)


def _content(given: Any, key: str, info: ValidationInfo, fix: str) -> Any:
    """What is given, or what stands under the key in the file that is."""
    if not isinstance(given, str):
        return given
    found = find_file(given, info)
    try:
        content = json.loads(found.path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict) or key not in content:
        raise fault(f'is {shown(given)}, a file without "{key}"', fix)
    return content[key]


FrozenLayers = Annotated[tuple[str, ...], PlainValidator(_frozen)]
LayerRates = Annotated[tuple[LayerRate, ...] | None, PlainValidator(_rates)]
