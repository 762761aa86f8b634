"""Train Keras-style networks as ONNX graphs, coarse to fine, carrying weights from one resolution to the next.

The public functions are here: `convert`, `to_keras`, `train`, `transplant`, `plan_transplant`, `inspect_model`,
`diff`; `converters` has the steps that converting consists of. Importing this package loads none of torch, onnxruntime
and onnx: a function's module is imported when the function is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Bound here and not on demand: the import system binds the package `onnxgrid.transplant` to the same name when it is
# first imported, and the function must win whatever a program imports first. That package costs nothing to import.
from onnxgrid.transplant import plan_transplant, transplant

if TYPE_CHECKING:
    from onnxgrid.conversion import convert, to_keras
    from onnxgrid.difference import diff
    from onnxgrid.inspection import inspect_model
    from onnxgrid.training import train
    from onnxgrid.transplant.rules import TransplantRules

__all__ = [
    "TransplantRules",
    "__version__",
    "convert",
    "diff",
    "inspect_model",
    "plan_transplant",
    "to_keras",
    "train",
    "transplant",
]

__version__ = "0.1.0"

_ON_DEMAND = {
    "TransplantRules": "onnxgrid.transplant.rules",
    "convert": "onnxgrid.conversion",
    "diff": "onnxgrid.difference",
    "inspect_model": "onnxgrid.inspection",
    "to_keras": "onnxgrid.conversion",
    "train": "onnxgrid.training",
}
"""Public name -> the module that defines it."""


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_ON_DEMAND[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
