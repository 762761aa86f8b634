"""What is computed with two operands or more."""

import numpy as np
from keras import ops

from tests.converters.operation_cases.case import Compute, array, positive

PER_CHANNEL = np.array([1.0, -2.0, 3.0], np.float32)

CASES: dict[str, dict[str, Compute]] = {
    "Add": {
        "a number": lambda x, y: x + 3.0,
        "a tensor": lambda x, y: x + y,
        "a number for each channel": lambda x, y: x + PER_CHANNEL,
        "whole numbers": lambda x, y: x + np.arange(3),
        "a row": lambda x, y: x + np.arange(18, dtype=np.float32).reshape(6, 3),
        "a number before it": lambda x, y: 3 + x,
        "a tensor in Keras' order": lambda x, y: ops.transpose(ops.transpose(x, (0, 2, 1, 3)), (0, 2, 1, 3)) + y,
        "a vector": lambda x, y: ops.mean(x, axis=(1, 2)) + ops.max(y, axis=(1, 2)),
        "one cell": lambda x, y: x + ops.mean(y, axis=(1, 2), keepdims=True),
        "integers": lambda x, y: ops.argmax(x, axis=1) + ops.argmin(y, axis=1),
        "an integer and a float": lambda x, y: ops.argmax(x, axis=1) + 0.5,
        "an integer and floats": lambda x, y: ops.argmax(x, axis=1) + ops.mean(y, axis=1),
    },
    "Arctan2": {
        "all quadrants": lambda x, y: ops.arctan2(x, y),
        "axes and origin": lambda x, y: ops.arctan2(ops.sign(ops.trunc(x)), ops.sign(ops.trunc(y))),
    },
    "Divide": {
        "plain": lambda x, y: ops.divide(x, ops.abs(y) + 1.0),
        "integers": lambda x, y: ops.divide(ops.argmax(x, 1), 3),
    },
    "DivideNoNan": {"plain": lambda x, y: ops.divide_no_nan(x, ops.relu(y))},
    "FloorDivide": {
        "numbers": lambda x, y: (10 * x) // 3.0,
        "tensors": lambda x, y: ops.floor_divide(10 * x, ops.abs(y) + 0.5),
        "integers": lambda x, y: (ops.argmax(x, axis=1) - 4) // 3,
    },
    "Fmax": {"plain": lambda x, y: ops.nan_to_num(ops.fmax(ops.log(x + 1.0), ops.log(y + 1.0)))},
    "Fmin": {"plain": lambda x, y: ops.nan_to_num(ops.fmin(ops.log(x + 1.0), ops.log(y + 1.0)))},
    "Fmod": {
        "numbers": lambda x, y: ops.fmod(10 * x, 3.0),
        "integers": lambda x, y: ops.fmod(ops.argmax(x, axis=1) - 4, 3),
    },
    "Heaviside": {"plain": lambda x, y: ops.heaviside(ops.relu(x), y)},
    "Hypot": {"plain": lambda x, y: ops.hypot(x, y)},
    "Logaddexp": {"plain": lambda x, y: ops.logaddexp(20 * x, 20 * y)},
    "Logaddexp2": {"plain": lambda x, y: ops.logaddexp2(x, y)},
    "Maximum": {"a number": lambda x, y: ops.maximum(x, 0.1), "a tensor": lambda x, y: ops.maximum(x, y)},
    "Minimum": {
        "a tensor": lambda x, y: ops.minimum(x, y),
        "an array": lambda x, y: ops.minimum(array(6, 1), x),
        "integers": lambda x, y: ops.minimum(ops.argmax(x, axis=1), 2),
    },
    "Mod": {
        "numbers": lambda x, y: (10 * x) % 3.0,
        "negative": lambda x, y: (10 * x) % -3.0,
        "integers": lambda x, y: (ops.argmax(x, axis=1) - 4) % 3,
    },
    "Multiply": {
        "a number": lambda x, y: x * 2.5,
        "a tensor": lambda x, y: x * y,
        "a mask": lambda x, y: x * (y > 0),
        "cells of one channel": lambda x, y: x * y[..., :1],
    },
    "Power": {
        "a whole number": lambda x, y: x**2,
        "a base": lambda x, y: 2.0**x,
        "an array": lambda x, y: ops.power(ops.abs(x), positive(3)),
        "integers": lambda x, y: ops.argmax(x, axis=1) ** 2,
    },
    "Subtract": {"plain": lambda x, y: x - y, "a number before it": lambda x, y: 2 - x},
    "TrueDivide": {"a number before it": lambda x, y: 1.0 / (ops.abs(x) + 1.0)},
}
