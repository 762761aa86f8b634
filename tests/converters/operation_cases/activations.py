"""Activations that are called as functions."""

from keras import ops

from tests.converters.operation_cases.case import Compute

CASES: dict[str, dict[str, Compute]] = {
    "Celu": {"plain": lambda x, y: ops.celu(x), "alpha": lambda x, y: ops.celu(x, alpha=0.4)},
    "Elu": {"plain": lambda x, y: ops.elu(x), "alpha": lambda x, y: ops.elu(x, alpha=0.4)},
    "Gelu": {
        "by tanh": lambda x, y: ops.gelu(x),
        "exactly": lambda x, y: ops.gelu(x, approximate=False),
    },
    "Glu": {
        "columns": lambda x, y: ops.glu(x, axis=2),
        "channels": lambda x, y: ops.glu(ops.concatenate([x, y], axis=-1)),
    },
    "HardShrink": {"plain": lambda x, y: ops.hard_shrink(x), "limit": lambda x, y: ops.hard_shrink(x, 1.1)},
    "HardSigmoid": {"plain": lambda x, y: ops.hard_sigmoid(3 * x)},
    "HardSilu": {"plain": lambda x, y: ops.hard_silu(x)},
    "HardTanh": {"plain": lambda x, y: ops.hard_tanh(x)},
    "LeakyRelu": {
        "plain": lambda x, y: ops.leaky_relu(x),
        "slope": lambda x, y: ops.leaky_relu(x, negative_slope=0.3),
    },
    "LogSigmoid": {"plain": lambda x, y: ops.log_sigmoid(x)},
    "LogSoftmax": {
        "channels": lambda x, y: ops.log_softmax(x),
        "rows": lambda x, y: ops.log_softmax(x, axis=1),
    },
    "Relu": {"plain": lambda x, y: ops.relu(x)},
    "Relu6": {"plain": lambda x, y: ops.relu6(4 * x)},
    "Selu": {"plain": lambda x, y: ops.selu(x)},
    "Sigmoid": {"plain": lambda x, y: ops.sigmoid(x)},
    "Silu": {"plain": lambda x, y: ops.silu(x)},
    "SoftShrink": {"plain": lambda x, y: ops.soft_shrink(x), "limit": lambda x, y: ops.soft_shrink(x, 1.1)},
    "Softmax": {"channels": lambda x, y: ops.softmax(x), "rows": lambda x, y: ops.softmax(x, axis=1)},
    "Softplus": {"plain": lambda x, y: ops.softplus(x)},
    "Softsign": {"plain": lambda x, y: ops.softsign(x)},
    "SparsePlus": {"plain": lambda x, y: ops.sparse_plus(x)},
    "SparseSigmoid": {"plain": lambda x, y: ops.sparse_sigmoid(x)},
    "Squareplus": {"plain": lambda x, y: ops.squareplus(x), "b": lambda x, y: ops.squareplus(x, b=0.3)},
    "Tanh": {"plain": lambda x, y: ops.tanh(x)},
    "TanhShrink": {"plain": lambda x, y: ops.tanh_shrink(x)},
    "Threshold": {"plain": lambda x, y: ops.threshold(x, 0.3, -2.0)},
}
