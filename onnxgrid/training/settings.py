"""What of a configuration decides the numbers of a run: saved with each checkpoint, compared when a run is resumed."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel

from onnxgrid.config import InputPath, RunConfig
from onnxgrid.config.layers import FREEZE, LayerRate

__all__ = ["differences", "run_settings"]

WITHOUT_EFFECT = ("preload", "test_batch_size", "test_input_path", "test_target_path", "testing_tag")
"""Keys of `data` that training does not depend on."""


def run_settings(settings: RunConfig, accumulate: int) -> dict[str, Any]:
    """{key: value} of data, optimizer and loss, the keys with dots as in error messages, the values as in JSON; of
    `freeze`, if it names layers; and of --accumulate, if several batches make a step.
    """
    sections = {"data": settings.data, "optimizer": settings.optimizer, "loss": settings.loss}
    values = {key: value for name, section in sections.items() for key, value in _flat(section, name)}
    if settings.freeze:
        values[FREEZE] = list(settings.freeze)
    return values if accumulate == 1 else {**values, "--accumulate": accumulate}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str]:
    """{key: "was ..., is ..."} for each key whose value is another one."""
    return {
        key: f"was {before.get(key)}, is {now.get(key)}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    }


def _flat(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            if key != "data" or name not in WITHOUT_EFFECT:
                yield from _flat(getattr(value, name), f"{key}.{name}")
    elif isinstance(value, InputPath):
        yield key, value.given
    elif isinstance(value, tuple):
        yield key, [asdict(item) if isinstance(item, LayerRate) else item for item in value]
    else:
        yield key, getattr(value, "value", value)  # an Enum's
