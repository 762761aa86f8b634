"""Foreign network and weight formats to ONNX and back.

Needs no training stack. The functions are loaded when first used, as onnx and onnx_ir take a quarter of a second.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from converters.errors import ConversionError, JsonError, UserError, WeightFileError

if TYPE_CHECKING:
    from converters.build import build_model, convert
    from converters.keras_json import read_network
    from converters.model_file import save_model
    from converters.to_keras import to_keras_json

__all__ = [
    "ConversionError",
    "JsonError",
    "UserError",
    "WeightFileError",
    "build_model",
    "convert",
    "read_network",
    "save_model",
    "to_keras_json",
]

_HOMES = {
    "build_model": "converters.build",
    "convert": "converters.build",
    "read_network": "converters.keras_json",
    "save_model": "converters.model_file",
    "to_keras_json": "converters.to_keras",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'converters' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
