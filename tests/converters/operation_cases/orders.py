"""Entries of an axis in order, and places in one."""

import numpy as np
from keras import ops

from tests.converters.operation_cases.case import Compute

CASES: dict[str, dict[str, Compute]] = {
    "Argsort": {"plain": lambda x, y: ops.argsort(x, axis=1), "the last axis": lambda x, y: ops.argsort(x)},
    "Digitize": {"plain": lambda x, y: ops.digitize(x, np.array([-1.0, 0.0, 0.5, 2.0]))},
    "Median": {
        "an even number": lambda x, y: ops.median(x, axis=1),
        "an odd number": lambda x, y: ops.median(x, axis=-1, keepdims=True),
        "two axes": lambda x, y: ops.median(x, axis=(1, 2), keepdims=True),
    },
    "Percentile": {"plain": lambda x, y: ops.percentile(x, 30.0, axis=1)},
    "Quantile": {
        "plain": lambda x, y: ops.quantile(x, 0.3, axis=2),
        "the largest": lambda x, y: ops.quantile(x, 1.0, axis=(1, 2)),
    },
    "SearchSorted": {
        "left": lambda x, y: ops.searchsorted(np.array([-1.0, 0.0, 0.5, 2.0], np.float32), ops.round(2 * x) / 2),
        "right": lambda x, y: ops.searchsorted(np.array([-1.0, 0.0, 0.5], np.float32), ops.round(2 * x) / 2, "right"),
    },
    "Sparsemax": {
        "plain": lambda x, y: ops.sparsemax(x),
        "rows": lambda x, y: ops.sparsemax(3 * x, axis=1),
    },
    "Sort": {"plain": lambda x, y: ops.sort(x, axis=1), "the last axis": lambda x, y: ops.sort(x)},
    "TopK": {"plain": lambda x, y: ops.top_k(x, 2), "positions": lambda x, y: ops.top_k(x, 2)[1]},
}
