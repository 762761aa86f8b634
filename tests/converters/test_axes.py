"""Axis orders: there and back, and what torch takes."""

import numpy as np
import pytest

from converters.axes import DENSE_KERNEL, VECTOR, AxisOrder, convolution_kernel, depthwise_kernel, unchanged

ORDERS: dict[str, tuple[AxisOrder, tuple[int, ...], tuple[int, ...]]] = {
    "vector": (VECTOR, (5,), (5,)),
    "Dense": (DENSE_KERNEL, (3, 5), (5, 3)),
    "Conv1D": (convolution_kernel(1), (7, 3, 5), (5, 3, 7)),
    "Conv2D": (convolution_kernel(2), (7, 6, 3, 5), (5, 3, 7, 6)),
    "Conv3D": (convolution_kernel(3), (7, 6, 2, 3, 5), (5, 3, 7, 6, 2)),
    "DepthwiseConv1D": (depthwise_kernel(1), (7, 3, 5), (15, 1, 7)),
    "DepthwiseConv2D": (depthwise_kernel(2), (7, 6, 3, 5), (15, 1, 7, 6)),
    "DepthwiseConv3D": (depthwise_kernel(3), (7, 6, 2, 3, 5), (15, 1, 7, 6, 2)),
    "a table": (unchanged(2), (7, 3), (7, 3)),
    "larger than a tile, and no multiple of it": (convolution_kernel(2), (2, 3, 65, 130), (130, 65, 2, 3)),
    "no entries": (DENSE_KERNEL, (0, 3), (3, 0)),
}


@pytest.mark.parametrize(("order", "keras_shape", "onnx_shape"), ORDERS.values(), ids=ORDERS)
def test_an_order_leads_there_and_back(
    order: AxisOrder, keras_shape: tuple[int, ...], onnx_shape: tuple[int, ...]
) -> None:
    weight = np.random.default_rng(0).standard_normal(keras_shape)
    moved = order.to_onnx(weight)
    assert moved.flags.c_contiguous
    np.testing.assert_array_equal(moved.ravel(), weight.transpose(order.permutation).ravel())
    assert moved.shape == order.onnx_shape(keras_shape) == onnx_shape
    np.testing.assert_array_equal(order.to_keras(moved, keras_shape), weight)


def test_a_kernel_s_element_is_where_torch_looks_for_it() -> None:
    kernel = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    assert convolution_kernel(2).to_onnx(kernel)[4, 3, 1, 2] == kernel[1, 2, 3, 4]


def test_the_kernels_of_one_channel_stand_together() -> None:
    kernel = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    assert depthwise_kernel(2).to_onnx(kernel)[3 * 5 + 4, 0, 1, 2] == kernel[1, 2, 3, 4]
