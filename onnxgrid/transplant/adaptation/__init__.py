"""Arrays of one shape made arrays of another: one module a family of rules, registered under the names that users give.

`adapt` decides from names, shapes and what graphs say; values are changed when they are copied, one array at a time.
"""

from onnxgrid.transplant.adaptation import channels, dense, galerkin, inflation, kernels
from onnxgrid.transplant.adaptation.chain import adapt, require_rules
from onnxgrid.transplant.adaptation.rule import RULES, Adaptation, Array, ReadTarget, Slot, Step

__all__ = [
    "RULES",
    "Adaptation",
    "Array",
    "ReadTarget",
    "Slot",
    "Step",
    "adapt",
    "channels",
    "dense",
    "galerkin",
    "inflation",
    "kernels",
    "require_rules",
]
