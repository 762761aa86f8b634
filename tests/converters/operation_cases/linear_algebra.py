"""Products of vectors and matrices, and attention."""

import numpy as np
from keras import ops

from tests.converters.operation_cases.case import Compute, array


def sequence(x):
    """(N, 8, 3, 6): a length, heads and a size."""
    return ops.transpose(x, (0, 1, 3, 2))


CASES: dict[str, dict[str, Compute]] = {
    "Cross": {"plain": lambda x, y: ops.cross(x, y, axis=-1)},
    "Dot": {
        "a matrix": lambda x, y: ops.dot(x, array(3, 5)),
        "a vector": lambda x, y: ops.dot(x, array(3)),
        "a number": lambda x, y: ops.dot(x, 2.5),
    },
    "DotProductAttention": {
        "plain": lambda x, y: ops.dot_product_attention(sequence(x), sequence(y), sequence(x + y)),
        "scale": lambda x, y: ops.dot_product_attention(sequence(x), sequence(y), sequence(y), scale=0.1),
        "causal": lambda x, y: ops.dot_product_attention(sequence(x), sequence(y), sequence(y), is_causal=True),
        "a bias": lambda x, y: ops.dot_product_attention(sequence(x), sequence(y), sequence(y), bias=array(1, 3, 8, 8)),
        "a mask": lambda x, y: ops.dot_product_attention(
            sequence(x), sequence(y), sequence(y), mask=np.tril(np.ones((1, 1, 8, 8), bool), 2)
        ),
    },
    "Einsum": {
        "matrices": lambda x, y: ops.einsum("bhwc,bhwd->bcd", x, y),
        "without an arrow": lambda x, y: ops.einsum("adcb", x),
        "an array": lambda x, y: ops.einsum("bhwc,cd->bhwd", x, array(3, 5)),
        "an ellipsis": lambda x, y: ops.einsum("...c,cd->...d", x, array(3, 5)),
        "three": lambda x, y: ops.einsum("bhwc,bhwd,ce->bhe", x, y, array(3, 4)),
        "one": lambda x, y: ops.einsum("bhwc->bch", x),
    },
    "Inner": {"plain": lambda x, y: ops.inner(x, array(4, 3)), "a vector": lambda x, y: ops.inner(x, array(3))},
    "Matmul": {
        "two tensors": lambda x, y: ops.matmul(x, ops.transpose(y, (0, 1, 3, 2))),
        "a matrix": lambda x, y: ops.matmul(x, array(3, 5)),
        "a matrix before it": lambda x, y: ops.matmul(array(5, 6), x),
        "a vector": lambda x, y: ops.matmul(x, array(3)),
        "features and a matrix": lambda x, y: ops.matmul(ops.mean(x, axis=(1, 2)), array(3, 4)),
    },
    "Tensordot": {
        "one axis": lambda x, y: ops.tensordot(x, array(3, 5), axes=1),
        "lists of axes": lambda x, y: ops.tensordot(x, array(3, 5, 6), axes=[[3, 2], [0, 2]]),
    },
}
