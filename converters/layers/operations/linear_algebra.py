"""Products of matrices."""

from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.operations.registry import operation
from converters.layers.tensor import Layout, Tensor

__all__ = ["matmul"]


@operation("keras.ops.Matmul", "tf.linalg.matmul", "tf.matmul", parameters="x1|a x2|b transpose_a transpose_b")
def matmul(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The matrix product over the last two axes of two tensors in Keras' order."""
    a, b = (layer.keras_order(arguments.tensor(name)).value for name in ("x1", "x2"))
    assert a.shape is not None
    assert b.shape is not None
    swapped = {rank: (*range(rank - 2), rank - 1, rank - 2) for rank in (a.shape.rank(), b.shape.rank())}
    if arguments.flag("transpose_a", default=False):
        a = layer.transposed(a, swapped[a.shape.rank()])
    if arguments.flag("transpose_b", default=False):
        b = layer.transposed(b, swapped[b.shape.rank()])
    return Tensor(layer.op("MatMul", [a, b]), Layout.KERAS)
