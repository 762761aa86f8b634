"""Comparisons, what is computed with true and false, and choices."""

import numpy as np
from keras import ops

from tests.converters.operation_cases.case import Compute, array


def special(x, y):
    """Numbers, infinities of both signs, and what is no number."""
    return ops.log(ops.relu(x)) / ops.sign(y) + 0 * ops.log(x)


CASES: dict[str, dict[str, Compute]] = {
    "Equal": {
        "tensors": lambda x, y: ops.equal(ops.round(x), ops.round(y)),
        "a number": lambda x, y: ops.equal(ops.argmax(x, axis=1), 2),
        "booleans": lambda x, y: ops.equal(x > 0, y > 0),
    },
    "Greater": {"a number": lambda x, y: x > 0.1, "a tensor": lambda x, y: x > y},
    "GreaterEqual": {"plain": lambda x, y: ops.round(x) >= 1.0},
    "Isclose": {
        "plain": lambda x, y: ops.isclose(x, ops.round(x), rtol=0.1, atol=0.05),
        "exactly": lambda x, y: ops.isclose(x, x),
    },
    "Isfinite": {"plain": lambda x, y: ops.isfinite(special(x, y))},
    "Isinf": {"plain": lambda x, y: ops.isinf(special(x, y))},
    "Isnan": {"plain": lambda x, y: ops.isnan(special(x, y))},
    "Isneginf": {"plain": lambda x, y: ops.isneginf(special(x, y))},
    "Isposinf": {"plain": lambda x, y: ops.isposinf(special(x, y))},
    "Less": {"plain": lambda x, y: x < y},
    "LessEqual": {"plain": lambda x, y: ops.round(x) <= 1.0},
    "LogicalAnd": {"plain": lambda x, y: ops.logical_and(x > 0, y > 0), "numbers": lambda x, y: (x > 0) & True},
    "LogicalNot": {"plain": lambda x, y: ~(x > 0), "numbers": lambda x, y: ops.logical_not(ops.relu(x))},
    "LogicalOr": {"plain": lambda x, y: ops.logical_or(x > 0, y > 0)},
    "LogicalXor": {"plain": lambda x, y: ops.logical_xor(x > 0, y > 0)},
    "NotEqual": {"plain": lambda x, y: ops.round(x) != ops.round(y)},
    "Select": {"plain": lambda x, y: ops.select([x > 1, y > 0], [x, 2 * y], -1.0)},
    "Signbit": {"plain": lambda x, y: ops.signbit(x), "zeros": lambda x, y: ops.signbit(ops.relu(x) * ops.sign(y))},
    "Where": {
        "tensors": lambda x, y: ops.where(x > y, x, y),
        "a number": lambda x, y: ops.where(x > 0, x, 0.5),
        "a number for each channel": lambda x, y: ops.where(x > 0, x, array(3)),
        "integers": lambda x, y: ops.where(ops.max(x, 1) > 1, ops.argmax(x, axis=1), 7),
        "booleans": lambda x, y: ops.where(x > y, x > 0, y > 0),
        "numbers as a condition": lambda x, y: ops.where(ops.relu(x), x, y),
        "a condition for each row": lambda x, y: ops.where(ops.mean(x, axis=(2, 3), keepdims=True) > 0, x, y),
        "an array as a condition": lambda x, y: ops.where(np.arange(6)[:, None] > 2, x, y),
    },
}
