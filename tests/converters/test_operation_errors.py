"""What an operation of each family says when it does not fit. Whole messages are compared, one case per message."""

from typing import Any

import pytest

from tests.converters.small_networks import X, Y, array, assert_refused, function, operation, tensor

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    # Reductions.
    "a first value of a sum": (operation("Sum", axis=1, initial=3.0), 'its argument "initial" is 3.0\n  Give none.'),
    "weights of another number": (
        operation("Average", X, array(1.0, 2.0), axis=-1),
        'its argument "weights" is {"class_name": "__numpy__", "config": {"value": [1.0, 2.0], ...\n'
        "  Give a weight for each entry of one axis, whose sum is not 0.",
    ),
    "differences of which none is left": (
        operation("Diff", n=6, axis=2),
        'its argument "n" is 6\n  Give less than the 6 elements of the axis.',
    ),
    "another norm of a matrix": (
        operation("Norm", ord=1, axis=[1, 2]),
        'its argument "ord" is 1\n  Give the default, or "fro": of a matrix we know no other norm.',
    ),
    "an order of several axes": (
        operation("Normalize", axis=[1, 2], order=3),
        'its argument "order" is 3\n  Give 2, or name one axis.',
    ),
    "more than there are": (
        operation("TopK", k=4),
        'its argument "k" is 4\n  Give no more than the 3 elements of the last axis.',
    ),
    "positions of another type": (
        function("math.argmax", axis=1, output_type="uint16"),
        'its argument "output_type" is "uint16"\n  Give "int32" or "int64".',
    ),
    # Shapes.
    "two open sizes": (
        operation("Reshape", newshape=[-1, -1]),
        'its argument "newshape" is [-1, -1]\n  Give at most one -1.',
    ),
    "a size of zero": (
        operation("Reshape", newshape=[-1, 0]),
        'its argument "newshape" is [-1, 0]\n  Give sizes: integers from 1 on, or -1.',
    ),
    "a first size that is no batch": (
        operation("Reshape", newshape=[4, 36]),
        '"newshape" is (4, 36), and the batch must stay first\n  Write -1 first, or the size of the batch.',
    ),
    "elements that do not fit": (
        operation("Reshape", newshape=[-1, 7]),
        "its input (N, 8, 6, 3) has 144 elements a sample, which do not fit the shape (-1, 7)\n"
        "  Write sizes whose product is the same; one of them may be -1.",
    ),
    "an order that moves the batch": (
        operation("Transpose", axes=[1, 0, 2, 3]),
        "has to do with a tensor (8, N, 6, 3) whose batch stands behind other axes\n"
        "  Take an entry of each axis before the batch first, as in x[0], or transpose it back.",
    ),
    "an order that lacks an axis": (
        operation("Transpose", axes=[0, 1, 1, 3]),
        "orders the axes of a tensor (N, 8, 6, 3) as [0, 1, 1, 3]\n  Name each once.",
    ),
    "a move without a place": (
        operation("Moveaxis", source=[1, 2], destination=3),
        'its argument "destination" is 3\n  Give a place for each of the 2 axes.',
    ),
    "an axis before the batch": (
        operation("ExpandDims", axis=0),
        'its argument "axis" is 0\n  Give places from 1 to 4: the batch must stay first.',
    ),
    "an axis that is not of size 1": (
        operation("Squeeze", axis=1),
        '"axis" names an axis of (N, 8, 6, 3) whose size is not 1\n  Name axes of size 1.',
    ),
    # Joining and cutting.
    "tensors that differ": (
        operation("Concatenate", [X, tensor("v")], axis=1),
        "its tensors differ in more than axis 1: (N, 8, 6, 3), (N, 5)\n  Make their other sizes equal.",
    ),
    "a stack before the batch": (
        operation("Stack", [X, Y], axis=0),
        'its argument "axis" is 0\n  Give a place from 1 to 4: the batch must stay first.',
    ),
    "a stack of different tensors": (
        operation("Stack", [X, tensor("v")], axis=1),
        "its tensors differ: (N, 8, 6, 3), (N, 5)\n  Make them equal.",
    ),
    "parts that do not fit": (
        operation("Split", indices_or_sections=3, axis=1),
        "cuts an axis of size 8 into 3 parts\n  Give a number that fits it, of at most 10000.",
    ),
    "places that fall": (
        operation("Split", indices_or_sections=[5, 2], axis=1),
        "cuts an axis of size 8 before [5, 2]\n  Give rising places within the axis.",
    ),
    "sizes of parts that do not fit": (
        function("split", num_or_size_splits=[5, 2], axis=1),
        'its argument "num_or_size_splits" is [5, 2]\n  Give sizes from 1 on whose sum is 8.',
    ),
    "another number of parts": (
        operation("Unstack", num=3, axis=1),
        'its argument "num" is 3\n  Give the size of the axis, 8.',
    ),
    "an axis to cut that is not there": (
        operation("Dsplit", tensor("v"), indices_or_sections=2),
        "cuts axis 2 of its input (N, 5)\n  Give a tensor that has it.",
    ),
    # Repeating.
    "a batch that is repeated": (
        operation("Tile", repeats=[2, 1, 1, 1]),
        'its argument "repeats" is [2, 1, 1, 1]\n'
        "  Give 4 numbers from 1 on, the first of them 1: the batch stays as it is.",
    ),
    "a repetition for each of others": (
        operation("Repeat", repeats=[1, 2], axis=-1),
        'its argument "repeats" is [1, 2]\n  Give a number from 1 on, or one for each of the 3 entries of the axis.',
    ),
    "a turn of one axis": (operation("Rot90", axes=[1]), 'its argument "axes" is [1]\n  Give two axes.'),
    "shifts without an axis": (
        operation("Roll", shift=[1, 2], axis=1),
        'its argument "shift" is [1, 2]\n  Give one number, or one for each axis.',
    ),
    "a border that is no pair": (
        operation("Pad", pad_width=[[0, 0], [1, 2, 3], [0, 0], [0, 0]]),
        'its argument "pad_width" is [[0, 0], [1, 2, 3], [0, 0], [0, 0]]\n'
        "  Give a pair of integers from 0 to 4194304 for each axis.",
    ),
    "a border of the batch": (
        operation("Pad", pad_width=[1, 1]),
        'its argument "pad_width" is [1, 1]\n  Give 4 pairs, the first of them [0, 0]: the batch stays as it is.',
    ),
    "a border with two numbers": (
        operation("Pad", pad_width=[[0, 0], [1, 1], [0, 0], [0, 0]], mode="reflect", constant_values=3),
        'its argument "constant_values" is 3: nothing is constant with mode "reflect"\n  Write 0, or leave it out.',
    ),
    "more than there is to reflect": (
        operation("Pad", pad_width=[[0, 0], [0, 8], [0, 0], [0, 0]], mode="reflect"),
        'continues an axis of size 8 by 8 cells with mode "reflect"\n  Add at most 7.',
    ),
    "a shape to repeat to without a batch": (
        operation("BroadcastTo", shape=[8, 6, 3]),
        'its argument "shape" is [8, 6, 3]\n  Give 4 sizes, the first of them the batch\'s.',
    ),
    "a repeated axis that is not of size 1": (
        operation("BroadcastTo", shape=[-1, 16, 6, 3]),
        "repeats its input (N, 8, 6, 3) to (-1, 16, 6, 3)\n  Repeat axes of size 1 only.",
    ),
    "a triangle of vectors": (
        operation("Tril", tensor("v")),
        "keeps part of matrices, and its input is (N, 5)\n  Give a tensor of matrices.",
    ),
    # Indexing.
    "part of the batch": (
        operation("GetItem", X, 0),
        "takes part of the batch, which must stay as it is\n  Take all of the first axis.",
    ),
    "two ellipses": (
        operation("GetItem", X, [{"class_name": "__ellipsis__"}] * 2),
        'its argument "key" is [{"class_name": "__ellipsis__"}, {"class_name": "__ellipsis_...\n'
        "  Give one ellipsis at most.",
    ),
    "a text as a place": (operation("GetItem", X, "b"), 'its argument "key" is "b"\n  Give ranges and integers.'),
    "more places than axes": (
        operation("GetItem", X, [{"class_name": "__slice__", "config": {}}, 1, 1, 1, 1]),
        "takes part of 5 axes of (N, 8, 6, 3)\n  Give one item for each axis.",
    ),
    "an entry that is not there": (
        operation("GetItem", X, [{"class_name": "__slice__", "config": {}}, 8]),
        "takes entry 8 of an axis of size 8 of (N, 8, 6, 3), and there is none\n  Take what is there.",
    ),
    "a range without entries": (
        operation("GetItem", X, [{"class_name": "__slice__", "config": {}}, {"start": 5, "stop": 2}]),
        "takes the range 5:2 of an axis of size 8 of (N, 8, 6, 3), and there is none\n  Take what is there.",
    ),
    "a slice without a size": (
        operation("Slice", X, [0, 0], shape=[-1, 2]),
        'its argument "shape" is [-1, 2]\n  Give 4 sizes that are known, and as many places.',
    ),
    "a step of zero": (
        function("strided_slice", begin=[0, 0], end=[0, 4], strides=[1, 0]),
        'its argument "strides" is [1, 0]\n  Give as many steps, none of them 0, as there are bounds.',
    ),
    "entries that samples name": (
        operation("Take", X, Y, axis=1),
        "takes entries of one tensor that another names, so that samples would mix\n"
        "  Use take_along_axis, or one_hot and matmul.",
    ),
    "entries that are not there": (
        operation("Take", X, [0, 9], axis=1),
        'its argument "indices" is [0, 9]\n  Give integers that are places of an axis of size 8.',
    ),
    "entries of a later axis of an array": (
        operation("Take", [[1.0, 2.0]], tensor("v"), axis=1),
        'its argument "axis" is 1\n  Give 0, the first axis of the array.',
    ),
    "shared axes of an array": (
        function("gather", indices=[1], batch_dims=1),
        'its argument "batch_dims" is 1\n  Give 0, or two tensors that have as many axes.',
    ),
    "entries along an axis of others": (
        operation("TakeAlongAxis", X, tensor("v"), axis=1),
        "its tensors (N, 8, 6, 3) and (N, 5) differ in more than axis 1\n  Make their other sizes equal.",
    ),
    "classes before the batch": (
        operation("OneHot", num_classes=3, axis=0),
        'its argument "axis" is 0\n  Give a place from 1 to 4: the batch must stay first.',
    ),
    "too many classes": (
        operation("OneHot", num_classes=10**9),
        'its argument "num_classes" is 1000000000\n  Give at most 4194304.',
    ),
    "codes of an image": (
        operation("MultiHot", num_classes=3),
        "codes rows of numbers, and its input is (N, 8, 6, 3)\n  Give a tensor (N, numbers).",
    ),
    # Linear algebra.
    "matrices that do not fit": (
        operation("Matmul", X, Y),
        "multiplies (N, 8, 6, 3) by (N, 8, 6, 3) over their last two axes, which do not fit, or mix samples\n"
        "  Give two tensors of as many axes, three or more, or a tensor and a matrix.",
    ),
    "a product that mixes samples": (
        operation("Dot", X, Y),
        "multiplies what would mix samples\n  Give a tensor, then a vector or a matrix; or use matmul or einsum.",
    ),
    "an inner product that mixes samples": (
        operation("Inner", X, Y),
        "multiplies what would mix samples\n  Give a tensor, then an array; or use matmul or einsum.",
    ),
    "axes that are no pairs": (
        operation("Tensordot", X, array(1.0, 2.0), axes="last"),
        'its argument "axes" is "last"\n  Give a number of axes, or a list of two lists of them.',
    ),
    "axes of different sizes": (
        operation("Tensordot", X, array(1.0, 2.0), axes=1),
        "sums (N, 8, 6, 3) and (2) over their axes [3] and [0]\n"
        "  Name axes of the same size, each once, not the batch.",
    ),
    "subscripts that are none": (
        operation("Einsum", X, subscripts="b h w c => b"),
        'its argument "subscripts" is "b h w c => b"\n'
        "  Give terms of letters, separated by commas, and behind -> those that stay.",
    ),
    "a batch that is summed": (
        operation("Einsum", X, subscripts="bhwc->hwc"),
        'its subscripts are "bhwc->hwc" for (N, 8, 6, 3)\n'
        "  Write each axis of each operand, and the letter of the batch first in all tensors and in the result.",
    ),
    "vectors that are not of 3": (
        operation("Cross", tensor("v"), tensor("v")),
        "multiplies vectors of 3, and is given (N, 5) and (N, 5)\n  Give two tensors whose last axis has size 3.",
    ),
    "heads that differ": (
        operation("DotProductAttention", X, tensor("v"), Y),
        "is given (N, 8, 6, 3), (N, 5), (N, 8, 6, 3)\n"
        "  Give a query, a key and a value (N, length, heads, size) of as many heads.",
    ),
    # Images.
    "one size of two": (operation("Resize", size=[4]), 'its argument "size" is [4]\n  Give a height and a width.'),
    "corners of the nearest cell": (
        function("compat.v1.image.resize_nearest_neighbor", size=[4, 4], align_corners=True),
        'its argument "align_corners" is true\n  Give false with the nearest cell, or with centres.',
    ),
    "one end of two": (
        operation("PadImages", top_padding=1, left_padding=1, right_padding=1),
        'its argument "top_padding" is 1\n  Give two of "top_padding", "bottom_padding" and "target_height".',
    ),
    "a target that is smaller": (
        operation("PadImages", top_padding=1, left_padding=1, target_height=5, target_width=9),
        'its argument "target_height" is 5\n  Give a size that an axis of 8 can be brought to so.',
    ),
    "a box that does not fit": (
        function("image.crop_to_bounding_box", offset_height=5, offset_width=0, target_height=4, target_width=2),
        'its argument "target_height" is 4\n  Give a size that fits the 8 cells and the offset.',
    ),
    "all of an image cut off": (
        operation("CropImages", top_cropping=4, bottom_cropping=4, left_cropping=1, right_cropping=1),
        "cuts 8 rows and 2 columns off its input (N, 8, 6, 3)\n  Cut off less.",
    ),
    "blocks of channels that do not fit": (
        operation("DepthToSpace", block_size=2),
        'its argument "block_size" is 2\n  Give a number whose square divides the 3 channels.',
    ),
    "blocks of cells that do not fit": (
        operation("SpaceToDepth", block_size=4),
        'its argument "block_size" is 4\n  Give a number that divides the sizes [8, 6].',
    ),
    "enormous patches": (
        operation("ExtractPatches", size=100),
        "cuts patches of 30000 numbers\n  Cut patches of at most 4096.",
    ),
    # Windows.
    "a window over a vector": (
        operation("MaxPool", tensor("v"), pool_size=2),
        "moves a window over its input (N, 5)\n  Give it one to three spatial axes.",
    ),
    "a window of the batch": (
        function("nn.max_pool", ksize=[2, 2, 2, 1], strides=1, padding="VALID"),
        'its argument "pool_size" is [2, 2, 2, 1]\n  Give 2 numbers from 1 on, one for each spatial axis.',
    ),
    "windows of several sizes": (
        operation("AdaptiveAveragePool", output_size=3),
        'its argument "output_size" is 3\n  Give divisors of the sizes [8, 6]: windows of one size are all we know.',
    ),
    "strides and a dilation": (
        operation("Conv", X, array([[[1.0], [1.0], [1.0]]]), strides=2, dilation_rate=2),
        'its argument "dilation_rate" is 2\n  Give 1 together with strides of more than 1, as Keras asks.',
    ),
    "a kernel of other channels": (
        operation("Conv", X, array([[[1.0], [1.0]]])),
        "its kernel (1, 1, 2, 1) does not fit the 3 channels of its input\n"
        "  Give one whose last axis but one divides them, and whose last axis has a share for each group.",
    ),
    "a bias of other channels": (
        function("nn.bias_add", bias=[1.0, 2.0]),
        'its argument "bias" has 2 numbers for axis 3 of (N, 8, 6, 3)\n  Give one for each entry of the axis.',
    ),
    "a variance below zero": (
        operation("BatchNorm", X, array(1.0, 1.0, 1.0), array(1.0, -1.0, 1.0), axis=-1),
        'its argument "variance" is {"class_name": "__numpy__", "config": {"value": [1.0, -1.0, ...\n'
        "  Give as many positive numbers as there are means.",
    ),
    "a scale of other channels": (
        operation("RMSNorm", X, array(1.0, 2.0)),
        'its argument "scale" has the shape (2) for axes of sizes (3)\n  Give as many.',
    ),
}


@pytest.mark.parametrize(("tested", "message"), REFUSED.values(), ids=REFUSED)
def test_an_operation_that_does_not_fit_is_refused(tested: dict[str, Any], message: str) -> None:
    assert_refused(tested, message)
