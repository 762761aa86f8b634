"""Triangles, diagonals and products along axes."""

from keras import ops

from tests.converters.operation_cases.case import Compute

CASES: dict[str, dict[str, Compute]] = {
    "Cumprod": {
        "plain": lambda x, y: ops.cumprod(x, axis=1),
        "channels": lambda x, y: ops.cumprod(x, axis=-1),
        "integers": lambda x, y: ops.cumprod(ops.cast(2 * x, "int32"), axis=2),
    },
    "Diagonal": {
        "plain": lambda x, y: ops.diagonal(x, axis1=1, axis2=2),
        "above": lambda x, y: ops.diagonal(x, offset=1, axis1=2, axis2=3),
        "below": lambda x, y: ops.diagonal(x, offset=-3, axis1=1, axis2=2),
        "axes in turn": lambda x, y: ops.diagonal(x, offset=-1, axis1=3, axis2=1),
    },
    "Trace": {
        "plain": lambda x, y: ops.trace(x, axis1=1, axis2=2),
        "above": lambda x, y: ops.trace(x, offset=1, axis1=2, axis2=3),
        "below": lambda x, y: ops.trace(x, offset=-3, axis1=1, axis2=2),
    },
    "Tril": {"plain": lambda x, y: ops.tril(x), "diagonal": lambda x, y: ops.tril(x[:, 0], k=-1)},
    "Triu": {"plain": lambda x, y: ops.triu(x), "diagonal": lambda x, y: ops.triu(x, k=1)},
}
