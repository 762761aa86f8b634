"""Part of a tensor."""

from keras import ops

from tests.converters.operation_cases.case import Compute, array

CASES: dict[str, dict[str, Compute]] = {
    "GetItem": {
        "ranges": lambda x, y: x[:, 1:-1, ..., 0:2],
        "a step": lambda x, y: x[:, ::2, 1:],
        "a row": lambda x, y: x[:, 2],
        "the last channel": lambda x, y: x[..., -1],
        "a new axis": lambda x, y: ops.mean(x, axis=1)[:, None],
        "a new axis at the end": lambda x, y: ops.mean(x, axis=1)[..., None],
        "new axes of an image": lambda x, y: ops.sum(x[:, None, :, :, :], axis=2),
        "a row and a new axis": lambda x, y: x[:, 2, None, ..., 1:],
        "beyond the end": lambda x, y: x[:, 3:100],
    },
    "MultiHot": {"plain": lambda x, y: ops.multi_hot(ops.argmax(ops.mean(x, axis=3), axis=1), 8)},
    "OneHot": {
        "last": lambda x, y: ops.one_hot(ops.argmax(x, axis=1), 8),
        "first": lambda x, y: ops.one_hot(ops.argmax(x, axis=1), 8, axis=1),
        "of numbers without a place": lambda x, y: ops.one_hot(ops.argmax(x, axis=1) - 1, 10),
        "of an image": lambda x, y: ops.one_hot(ops.cast(ops.abs(x), "int32"), 12),
    },
    "Slice": {"a known batch": lambda x, y: ops.slice(x, (0, 1, 2, 0), (2, 4, 3, 3))},
    "Take": {
        "channels": lambda x, y: ops.take(x, [2, 0], axis=-1),
        "one row": lambda x, y: ops.take(x, 2, axis=1),
        "from the end": lambda x, y: ops.take(x, [-1, 1], axis=1),
        "a table": lambda x, y: ops.take(x, [[0, 1], [2, 2]], axis=2),
        "from an array": lambda x, y: ops.take(array(8, 5), ops.argmax(x, axis=1), axis=0),
    },
    "TakeAlongAxis": {
        "plain": lambda x, y: ops.take_along_axis(x, ops.argsort(y, axis=1), axis=1),
        "one place": lambda x, y: ops.take_along_axis(x, ops.argmax(y, axis=-1, keepdims=True), axis=-1),
    },
}
