"""Several tensors into one, and one into several."""

from keras import ops

from tests.converters.operation_cases.case import Compute

CASES: dict[str, dict[str, Compute]] = {
    "Append": {"plain": lambda x, y: ops.append(x, y, axis=1)},
    "ArraySplit": {"unequal parts": lambda x, y: ops.array_split(x, 3, axis=1)},
    "Concatenate": {
        "channels": lambda x, y: ops.concatenate([x, y], axis=-1),
        "rows": lambda x, y: ops.concatenate([x, y, x], axis=1),
        "two layouts": lambda x, y: ops.concatenate([x, ops.reshape(y, (-1, 8, 6, 3))], axis=2),
        "of other sizes": lambda x, y: ops.concatenate([x[:, 1:], y], axis=1),
        "integers and floats": lambda x, y: ops.concatenate([ops.argmax(x, axis=1), ops.mean(y, axis=1)], axis=1),
    },
    "Dsplit": {"plain": lambda x, y: ops.dsplit(x, 3)},
    "Dstack": {"plain": lambda x, y: ops.dstack([x, y])},
    "Hsplit": {"plain": lambda x, y: ops.hsplit(x, [3])},
    "Hstack": {"plain": lambda x, y: ops.hstack([x, y])},
    "Split": {
        "equal parts": lambda x, y: ops.add(*ops.split(x, 2, axis=1)),
        "places": lambda x, y: [part * 2.0 for part in ops.split(x, [2, 5], axis=2)][1],
        "channels": lambda x, y: ops.split(x, 3, axis=-1)[2] * y,
        "all parts": lambda x, y: ops.split(x, [1, 4], axis=1),
    },
    "Stack": {
        "first": lambda x, y: ops.stack([x, y], axis=1),
        "in the middle": lambda x, y: ops.stack([x, y, x], axis=2),
        "last": lambda x, y: ops.stack([x, y], axis=-1),
        "vectors": lambda x, y: ops.stack([ops.mean(x, axis=(1, 2)), ops.mean(y, axis=(1, 2))], axis=1),
    },
    "Unstack": {
        "rows": lambda x, y: ops.unstack(x, axis=1),
        "channels": lambda x, y: ops.unstack(x, num=3, axis=-1)[1],
    },
}
