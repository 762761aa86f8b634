"""Axis orders: there and back, and what torch takes."""

import numpy as np
import pytest

from converters.axes import (
    DENSE_KERNEL,
    LSTM_GATES,
    SCALAR,
    VECTOR,
    AxisOrder,
    convolution_kernel,
    depthwise_kernel,
    head_vectors,
    input_heads,
    output_heads,
    recurrent_bias,
    recurrent_kernel,
    unchanged,
)

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
    "a number": (SCALAR, (), (1,)),
    "GRU kernel": (recurrent_kernel(), (3, 15), (1, 15, 3)),
    "GRU bias": (recurrent_bias(2), (2, 15), (1, 30)),
    "a kernel into heads": (input_heads(3), (7, 2, 5), (10, 7)),
    "a kernel out of heads": (output_heads(3), (2, 5, 7), (7, 10)),
    "a kernel out of heads, into two axes": (output_heads(4), (2, 5, 7, 3), (21, 10)),
    "a bias of heads": (head_vectors(2), (2, 5), (10,)),
    "a bias behind heads": (head_vectors(1), (7,), (7,)),
}

IN_GATES: dict[str, tuple[AxisOrder, tuple[int, ...], tuple[int, ...]]] = {
    "LSTM kernel": (recurrent_kernel(LSTM_GATES), (3, 20), (1, 20, 3)),
    "LSTM bias": (recurrent_bias(1, LSTM_GATES), (20,), (1, 20)),
}


@pytest.mark.parametrize(("order", "keras_shape"), [case[:2] for case in ORDERS.values()], ids=ORDERS)
def test_the_elements_lie_in_the_order_of_the_axes(order: AxisOrder, keras_shape: tuple[int, ...]) -> None:
    weight = np.asarray(np.random.default_rng(0).standard_normal(keras_shape))
    np.testing.assert_array_equal(order.to_onnx(weight).ravel(), weight.transpose(order.permutation).ravel())


@pytest.mark.parametrize(("order", "keras_shape", "onnx_shape"), (ORDERS | IN_GATES).values(), ids=ORDERS | IN_GATES)
def test_an_order_leads_there_and_back(
    order: AxisOrder, keras_shape: tuple[int, ...], onnx_shape: tuple[int, ...]
) -> None:
    weight = np.asarray(np.random.default_rng(0).standard_normal(keras_shape))
    moved = order.to_onnx(weight)
    assert moved.flags.c_contiguous
    assert moved.shape == order.onnx_shape(keras_shape) == onnx_shape
    back = order.to_keras(moved, keras_shape)
    assert back.shape == keras_shape
    np.testing.assert_array_equal(back, weight)
    assert order.fits(keras_shape)


def test_a_kernel_s_element_is_where_torch_looks_for_it() -> None:
    kernel = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    assert convolution_kernel(2).to_onnx(kernel)[4, 3, 1, 2] == kernel[1, 2, 3, 4]


def test_the_kernels_of_one_channel_stand_together() -> None:
    kernel = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    assert depthwise_kernel(2).to_onnx(kernel)[3 * 5 + 4, 0, 1, 2] == kernel[1, 2, 3, 4]


def test_the_gates_of_an_lstm_stand_where_onnx_looks_for_them() -> None:
    kernel = np.arange(3 * 8).reshape(3, 8)  # two units: input, forget, cell, output
    (rows,) = recurrent_kernel(LSTM_GATES).to_onnx(kernel)
    np.testing.assert_array_equal(rows, kernel[:, [0, 1, 6, 7, 2, 3, 4, 5]].T)
    bias = np.arange(8)
    np.testing.assert_array_equal(recurrent_bias(1, LSTM_GATES).to_onnx(bias), [[0, 1, 6, 7, 2, 3, 4, 5]])


def test_the_two_biases_of_a_gru_stand_side_by_side() -> None:
    np.testing.assert_array_equal(recurrent_bias(2).to_onnx(np.array([[1, 2, 3], [4, 5, 6]])), [[1, 2, 3, 4, 5, 6]])


def test_a_head_s_element_is_where_it_is_looked_for() -> None:
    kernel = np.arange(7 * 2 * 5).reshape(7, 2, 5)
    assert input_heads(3).to_onnx(kernel)[1 * 5 + 3, 6] == kernel[6, 1, 3]
    kernel = np.arange(2 * 5 * 7).reshape(2, 5, 7)
    assert output_heads(3).to_onnx(kernel)[6, 1 * 5 + 3] == kernel[1, 3, 6]


@pytest.mark.parametrize(
    ("order", "shape"),
    [
        (AxisOrder((1, 0)), (3,)),
        (AxisOrder((0, 0)), (3, 4)),
        (AxisOrder((1, 0), groups=(1,)), (3, 4)),
        (AxisOrder((0,), groups=(2, -1)), (3,)),
        (AxisOrder((0,), gates=(0, 2)), (4,)),
        (AxisOrder((0,), gates=(0, 1, 2)), (4,)),
    ],
)
def test_an_order_that_damage_has_made_fits_nothing(order: AxisOrder, shape: tuple[int, ...]) -> None:
    assert not order.fits(shape)
