"""Other axes: reshaped, reordered, put in or taken out."""

from keras import layers as kl
from keras import ops

from tests.converters.operation_cases.case import Compute

CASES: dict[str, dict[str, Compute]] = {
    "ExpandDims": {
        "first": lambda x, y: ops.expand_dims(ops.mean(x, axis=1), 1),
        "last": lambda x, y: ops.expand_dims(ops.mean(x, axis=1), -1),
        "of an image": lambda x, y: ops.sum(ops.expand_dims(x, 1), axis=2),
        "behind the channels": lambda x, y: ops.sum(ops.expand_dims(x, -1), axis=2),
        "several": lambda x, y: ops.sum(ops.expand_dims(x, (1, 3)), axis=2),
    },
    "Moveaxis": {
        "one": lambda x, y: ops.moveaxis(x, -1, 1),
        "two": lambda x, y: ops.moveaxis(x, (1, 2), (3, 1)),
    },
    "Ravel": {"plain": lambda x, y: ops.reshape(ops.ravel(x), (-1, 144))},
    "Reshape": {
        "flat": lambda x, y: ops.reshape(x, (-1, 144)),
        "rows": lambda x, y: ops.reshape(x, (-1, 48, 3)),
        "an open size": lambda x, y: ops.reshape(ops.reshape(x, (-1, 144)), (-1, 4, 36)),
        "samples and cells together": lambda x, y: ops.reshape(kl.Dense(4)(ops.reshape(x, (-1, 3))), (-1, 8, 6, 4)),
        "a known batch": lambda x, y: ops.reshape(x, (2, 144)) + ops.reshape(y, (2, -1)),
        "one cell": lambda x, y: x * ops.reshape(ops.mean(y, axis=(1, 2)), (-1, 1, 1, 3)),
    },
    "Squeeze": {
        "one axis": lambda x, y: ops.squeeze(x[:, :1], 1),
        "all": lambda x, y: ops.squeeze(ops.mean(x, axis=(1, 2), keepdims=True), (1, 2)),
    },
    "Swapaxes": {"plain": lambda x, y: ops.swapaxes(x, 1, -1)},
    "Transpose": {
        "plain": lambda x, y: ops.transpose(x, (0, 3, 1, 2)),
        "the batch behind": lambda x, y: ops.transpose(x, (3, 0, 1, 2))[1] + ops.transpose(x, (3, 0, 1, 2))[2],
        "the batch far behind": lambda x, y: ops.transpose(ops.transpose(x, (3, 1, 2, 0))[2, 1:, 4], (1, 0)),
        "the batch behind, unstacked": lambda x, y: ops.unstack(ops.transpose(x, (3, 0, 2, 1)), 3),
        "the batch behind and back": lambda x, y: ops.transpose(ops.transpose(x, (1, 0, 2, 3)), (1, 0, 3, 2)),
        "there and back": lambda x, y: ops.transpose(ops.transpose(x, (0, 3, 1, 2)), (0, 2, 3, 1)) + y,
    },
}
