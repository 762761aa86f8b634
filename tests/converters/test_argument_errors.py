"""What any operation says when its arguments are wrong. Whole messages are compared, one case per message."""

import logging
from typing import Any

import pytest

from converters.errors import ConversionError
from tests.converters.small_networks import (
    IMAGE,
    X,
    Y,
    array,
    assert_refused,
    build,
    function,
    network,
    operation,
    shape_of_x,
    tensor,
)

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a missing argument": (
        operation("Multiply"),
        'its argument "x2" is missing\n  Give a tensor, a finite number or an array.',
    ),
    "text for a number": (
        operation("Multiply", X, "two"),
        'its argument "x2" is "two"\n  Give a tensor, a finite number or an array.',
    ),
    "too large a number": (
        operation("Multiply", X, 1e300),
        'its argument "x2" is 1e+300\n  Give a tensor, a finite number or an array.',
    ),
    "a ragged array": (
        operation("Multiply", X, [[1.0], [1.0, 2.0]]),
        'its argument "x2" is [[1.0], [1.0, 2.0]]\n  Give a tensor, a finite number or an array.',
    ),
    "no tensor": (
        function("math.multiply", x=2.0),
        'is given its argument "x1" twice\n  Give it once.',
    ),
    "too many arguments": (
        operation("Multiply", X, Y, Y),
        "is given 3 arguments, and takes 2\n  Leave out the others.",
    ),
    "an argument that nobody knows": (
        operation("Multiply", X, Y, approximately=True),
        'its argument "approximately" is true, and we know none of that name\n  Leave it out.',
    ),
    "a number for a tensor": (operation("Exp", 3.0, called={"y": Y}), 'its argument "x" is 3.0\n  Give a tensor.'),
    "a number for a list of tensors": (
        operation("Hstack", [X, 3.0]),
        'its argument "xs" is ["a tensor", 3.0]\n  Give a list of tensors.',
    ),
    "a text in a list of tensors": (
        operation("Select", [X, "b"], [X, Y], 0.0),
        'its argument "condlist" is ["a tensor", "b"]\n  Give a list of tensors, finite numbers and arrays.',
    ),
    "no list of tensors": (
        operation("Select", 3, [X], 0.0),
        'its argument "condlist" is 3\n  Give a list of tensors.',
    ),
    "a tensor for an array": (
        operation("Conv", X, Y),
        'its argument "kernel" depends on the network\'s input\n  Give an array, or use a layer with weights.',
    ),
    "an array of another rank": (
        operation("Conv", X, array(1.0, 2.0)),
        'its argument "kernel" is {"class_name": "__numpy__", "config": {"value": [1.0, 2.0], ...\n'
        "  Give an array of finite numbers with 4 axes.",
    ),
    "a flag for a number": (
        operation("LeakyRelu", negative_slope=True),
        'its argument "negative_slope" is true\n  Give a finite number.',
    ),
    "a number for a flag": (
        operation("Mean", axis=1, keepdims=1),
        'its argument "keepdims" is 1\n  Give true or false.',
    ),
    "a name that is none of those known": (
        operation("MaxPool", pool_size=2, padding="full"),
        'its argument "padding" is "full"\n  Give one of: "valid", "same".',
    ),
    "a list for an integer": (operation("Diff", n=[1, 2]), 'its argument "n" is [1, 2]\n  Give one integer.'),
    "a fraction for an integer": (
        operation("Diff", n=1.5),
        'its argument "n" is 1.5\n  Give an integer from 0 on, or a list of integers.',
    ),
    "too large an integer": (
        operation("Roll", shift=2**31, axis=1),
        'its argument "shift" is 2147483648\n  Give an integer, or a list of integers.',
    ),
    "a list of another length": (
        operation("AdaptiveMaxPool", output_size=[1, 2, 3]),
        'its argument "output_size" is [1, 2, 3]\n  Give an integer, or a list of 2.',
    ),
    "all axes": (
        operation("Sum", axis=None),
        'its argument "axis" names no axis, so that all are meant, also the batch\n'
        "  Name the axes, but for the batch, which must stay as it is.",
    ),
    "the batch": (
        operation("Sum", axis=[0, 1]),
        '"axis" names the batch, which must stay as it is\n  Name other axes.',
    ),
    "an axis twice": (operation("Sum", axis=[1, -3]), '"axis" names an axis twice\n  Name each once.'),
    "two axes for one": (operation("Cumsum", axis=[1, 2]), 'its argument "axis" is [1, 2]\n  Give one axis.'),
    "an axis that is not there": (
        operation("Sum", axis=7),
        '"axis" is 7, and its input (N, 8, 6, 3) has 4 axes\n  Write an axis from -4 to 3.',
    ),
    "an option that cannot be converted": (
        operation("Sum", axis=1, dtype="float64"),
        'its argument "dtype" is "float64": the result has the type of x\n  Write "float32", or leave it out.',
    ),
    "an option without another value": (
        operation("Trapezoid", X, x=array(1.0, 2.0)),
        'its argument "x" is {"class_name": "__numpy__", "config": {"value": [1.0, 2.0], ...: '
        "points at equal distances, dx, are all that we know\n  Leave it out.",
    ),
    "shapes that do not fit": (
        operation("Multiply", X, [1.0, 2.0]),
        "its arguments do not fit together: (N, 8, 6, 3) and (2)\n  Make them equal, but for axes of size 1.",
    ),
    "tensors of different ranks": (
        operation("Multiply", X, tensor("v")),
        "its arguments do not fit together: (N, 8, 6, 3) and (N, 5)\n  Make them equal, but for axes of size 1.",
    ),
    "an array that repeats the batch": (
        operation("Multiply", tensor("v"), [[1.0], [2.0]]),
        "its arguments do not fit together: (N, 5) and (2, 1)\n  Make them equal, but for axes of size 1.",
    ),
    "a type that is not computed in": (
        operation("Cast", dtype="float16"),
        'its argument "dtype" is "float16"\n  Give one of the types that are computed in: float32, int32, int64, bool.',
    ),
    "too many decimals": (
        operation("Round", decimals=99),
        'its argument "decimals" is 99\n  Give an integer from -30 to 30.',
    ),
    "a condition alone": (
        operation("Where", X),
        "is given a condition alone, and gives the places where it is true: how many, depends on the input\n"
        "  Give what to take where it is true, and where it is not.",
    ),
    "more conditions than choices": (
        operation("Select", [X, Y], [X], 0.0),
        "is given 2 conditions and 1 choices\n  Give as many of the ones as others.",
    ),
    "a gate without a value": (operation("Glu", axis=3), "halves an axis of size 3\n  Make it even."),
}


@pytest.mark.parametrize(("tested", "message"), REFUSED.values(), ids=REFUSED)
def test_an_argument_that_does_not_fit_is_refused(tested: dict[str, Any], message: str) -> None:
    assert_refused(tested, message)


A_SHAPE = (shape_of_x(),)
MASKS = (operation("Greater", X, 0.0) | {"name": "m", "config": {"name": "m"}},)
SIZES = (shape_of_x(), function("math.multiply", y=2.5) | {"name": "f", "inbound_nodes": [["s", 0, 0, {"y": 2.5}]]})
OPEN = (None, None, 3)
A_BATCH, A_HEIGHT = (
    (
        shape_of_x(),
        function("__operators__.getitem") | {"name": name, "inbound_nodes": [["s", 0, 0, {"slice_spec": place}]]},
    )
    for place, name in enumerate("bn")
)

BEHIND_OTHERS: dict[str, tuple[dict[str, Any], tuple[dict[str, Any], ...], tuple[int | None, ...], str]] = {
    "true and false alone": (
        operation("Add", tensor("m"), tensor("m")),
        MASKS,
        IMAGE,
        'computes with nothing but true and false\n  Cast to float32, or use "logical_and" and "logical_or".',
    ),
    "numbers of a shape where a tensor belongs": (
        function("linalg.diag") | {"inbound_nodes": [["s", 0, 0, {}]]},
        A_SHAPE,
        IMAGE,
        'its argument "x" is computed from a shape, where a tensor with a batch is needed\n'
        "  Compute with known sizes instead.",
    ),
    "numbers of a shape in a layer": (
        {"class_name": "ReLU", "config": {"name": "a"}, "inbound_nodes": [[["s", 0, 0, {}]]]},
        A_SHAPE,
        IMAGE,
        "is given numbers that are computed from a shape, which have no batch\n  Compute with them, no more.",
    ),
    "numbers of different lengths": (
        function("math.add") | {"inbound_nodes": [["s", 0, 0, {"y": [1, 2]}]]},
        A_SHAPE,
        IMAGE,
        "computes Add of 4 and 2 numbers of a shape\n  Use known sizes instead.",
    ),
    "numbers and a table": (
        function("math.add") | {"inbound_nodes": [["s", 0, 0, {"y": [[1, 2]]}]]},
        A_SHAPE,
        IMAGE,
        "computes with a shape and an array that is no vector\n  Give a number or a list of them.",
    ),
    "a size divided by nothing": (
        function("math.truediv") | {"inbound_nodes": [["s", 0, 0, {"y": 0}]]},
        A_SHAPE,
        IMAGE,
        "divides a size by 0\n  Give another number.",
    ),
    "a number that is no size": (
        function("math.multiply") | {"inbound_nodes": [["p", 0, 0, {"y": 2**50}]]},
        (
            *A_SHAPE,
            function("math.reduce_prod") | {"name": "p", "inbound_nodes": [["t", 0, 0, {}]]},
            function("__operators__.getitem", slice_spec={"start": 1})
            | {"name": "t", "inbound_nodes": [["s", 0, 0, {"slice_spec": {"start": 1}}]]},
        ),
        IMAGE,
        "computes a number that is no size\n  Compute with sizes of tensors, and small numbers.",
    ),
    "a size that is not there": (
        function("__operators__.getitem") | {"inbound_nodes": [["s", 0, 0, {"slice_spec": 4}]]},
        A_SHAPE,
        IMAGE,
        "takes number 4 of 4\n  Take one that is there.",
    ),
    "two places of a shape": (
        function("__operators__.getitem") | {"inbound_nodes": [["s", 0, 0, {"slice_spec": [1, 2]}]]},
        A_SHAPE,
        IMAGE,
        "takes part of a shape, which has one axis\n  Give one range or one place.",
    ),
    "none of the sizes": (
        function("__operators__.getitem") | {"inbound_nodes": [["s", 0, 0, {"slice_spec": {"start": 4}}]]},
        A_SHAPE,
        IMAGE,
        "takes no number of 4\n  Take some.",
    ),
    "fractions of sizes": (
        function("tile") | {"inbound_nodes": [["x", 0, 0, {"multiples": ["f", 0, 0]}]]},
        SIZES,
        IMAGE,
        'its argument "repeats" is a tensor\n  Give sizes: integers, or what was computed from a tensor\'s shape.',
    ),
    "a tensor for sizes": (
        function("tile", multiples=["y", 0, 0]),
        (),
        IMAGE,
        'its argument "repeats" is a tensor\n  Give sizes: integers, or what was computed from a tensor\'s shape.',
    ),
    "a place that is not known yet": (
        function("__operators__.getitem")
        | {"inbound_nodes": [["x", 0, 0, {"slice_spec": [{"start": None}, ["n", 0, 0]]}]]},
        (
            *A_SHAPE,
            function("__operators__.getitem") | {"name": "n", "inbound_nodes": [["s", 0, 0, {"slice_spec": 1}]]},
        ),
        OPEN,
        "depends on a number that is known only when the network runs\n  Write the number, or give known sizes.",
    ),
    "sizes that are not known yet among numbers": (
        function("math.multiply") | {"inbound_nodes": [["x", 0, 0, {"y": ["s", 0, 0]}]]},
        A_SHAPE,
        OPEN,
        "computes with sizes that are known only when the network runs\n  Give known sizes.",
    ),
    "a shape to fill without a batch": (
        function("fill") | {"inbound_nodes": [["t", 0, 0, {"value": 1.0}]]},
        (
            *A_SHAPE,
            function("__operators__.getitem")
            | {"name": "t", "inbound_nodes": [["s", 0, 0, {"slice_spec": {"start": 1}}]]},
        ),
        IMAGE,
        "is given numbers that are computed from a shape, which have no batch\n  Compute with them, no more.",
    ),
    "bicubic to a size that is not known yet": (
        function("image.resize", size=["t", 0, 0], method="bicubic"),
        (
            *A_SHAPE,
            function("__operators__.getitem")
            | {"name": "t", "inbound_nodes": [["s", 0, 0, {"slice_spec": {"start": 1, "stop": 3}}]]},
        ),
        OPEN,
        "interpolates to a size that is known only when the network runs\n  Give known sizes.",
    ),
    "bicubic to an enormous size": (
        function("image.resize", size=[10**7, 2], method="bicubic"),
        (),
        IMAGE,
        "interpolates an axis of 8 cells to 10000000\n  Use smaller images, or bilinear.",
    ),
    "numbers of the samples": (
        function("range") | {"inbound_nodes": [["b", 0, 0, {}]]},
        A_BATCH,
        OPEN,
        'its argument "start" is a tensor\n  Give whole numbers, of which none is the size of the batch.',
    ),
    "a range of nothing": (
        function("range") | {"inbound_nodes": [["n", 0, 0, {"limit": 2}]]},
        A_HEIGHT,
        IMAGE,
        'its argument "limit" is 2\n  Give a limit that is reached after 1 to 4194304 numbers.',
    ),
    "a power of a size that is no size": (
        function("math.pow") | {"inbound_nodes": [["n", 0, 0, {"y": 99}]]},
        A_HEIGHT,
        IMAGE,
        "raises 8 to the power of 99\n  Raise sizes to small powers.",
    ),
    "a cosine of a size": (
        function("math.cos") | {"inbound_nodes": [["n", 0, 0, {}]]},
        A_HEIGHT,
        IMAGE,
        "computes Cos of numbers that are computed from a shape\n  Use known sizes instead.",
    ),
    "the batch as a matrix": (
        function("ones") | {"inbound_nodes": [[["n", 0, 0, {}], ["b", 0, 0, {}]]]},
        (*A_HEIGHT, A_BATCH[-1]),
        IMAGE,
        'its argument "shape" is ["a tensor", "a tensor"]\n'
        "  Give sizes, some computed from the shape of a tensor; the batch's can be the first.",
    ),
    "an array of several rows for the batch": (
        function("tile")
        | {"inbound_nodes": [["_CONSTANT_VALUE", -1, [[1.0], [2.0]], {"multiples": [["b", 0, 0], 1]}]]},
        A_BATCH,
        IMAGE,
        'its argument "repeats" is ["a tensor", 1]\n'
        "  Give a number for each axis of (2, 1); the batch's for one of size 1.",
    ),
    "places of one tensor in a layer": (
        {"class_name": "Dense", "config": {"name": "a", "units": 2}, "name": "a", "inbound_nodes": [[["t", 0, 0, {}]]]},
        (function("range") | {"name": "t", "inbound_nodes": [["n", 0, 0, {}]]}, *A_HEIGHT),
        IMAGE,
        "is given numbers that are computed from a shape, which have no batch\n  Compute with them, no more.",
    ),
    "what is not known of a shape": (
        operation("Glu", axis=1),
        (),
        OPEN,
        "the size of axis 1 of its input (N, H, W, 3) is unknown, and the operators that compute this need it\n"
        "  Write all sizes that matter in the shape of the input layer.",
    ),
    "the batch behind": (
        operation("Exp", tensor("b")),
        (operation("Transpose", axes=[3, 0, 1, 2]) | {"name": "b"},),
        IMAGE,
        'its argument "x" (3, N, 8, 6) has its batch behind other axes\n'
        "  Take an entry of each axis before the batch first, as in x[0], or unstack it, or transpose it back.",
    ),
    "an axis put in before the batch": (
        operation("GetItem", tensor("b"), [None]),
        (operation("Transpose", axes=[3, 0, 1, 2]) | {"name": "b"},),
        IMAGE,
        "puts an axis into a tensor (3, N, 8, 6) whose batch stands behind others\n"
        "  Take an entry of each axis before the batch first.",
    ),
    "two channels that are to be gray": (
        operation("RGBToGrayscale"),
        (),
        (8, 6, 2),
        "takes images of 3 channels, and is given 2\n  Give red, green and blue.",
    ),
    "constants alone": (
        operation("Maximum", 1.0, 2.0, called={"unused": tensor("x")}),
        (),
        IMAGE,
        "is given no tensor\n  Give one of its arguments as a tensor.",
    ),
}


@pytest.mark.parametrize(("tested", "before", "shape", "message"), BEHIND_OTHERS.values(), ids=BEHIND_OTHERS)
def test_an_operation_behind_others_that_does_not_fit_is_refused(
    tested: dict[str, Any], before: tuple[dict[str, Any], ...], shape: tuple[int | None, ...], message: str
) -> None:
    with pytest.raises(ConversionError) as error:
        build(network(tested, *before, shape=shape))
    assert str(error.value).partition("): ")[2] == message


def test_numbers_of_a_shape_are_no_output() -> None:
    described = network(operation("Exp"), *A_SHAPE)
    described["config"]["output_layers"][0] = ["s", 0, 0]
    with pytest.raises(ConversionError) as error:
        build(described)
    assert str(error.value).partition("): ")[2] == (
        "is given numbers that are computed from a shape, which have no batch\n  Compute with them, no more."
    )


NOTICES: dict[str, tuple[dict[str, Any], str]] = {
    "gradients that are not stopped": (
        operation("StopGradient"),
        '"stop_gradient" has no effect: training differentiates what stands before it, too',
    ),
    "an interpolation that backends compute otherwise": (
        operation("Resize", size=[4, 4], interpolation="bicubic"),
        '"interpolation" is bicubic as Keras computes it on torch; on TensorFlow and JAX it weighs the cells otherwise',
    ),
}


@pytest.mark.parametrize(("tested", "notice"), NOTICES.values(), ids=NOTICES)
def test_what_an_operation_does_otherwise_is_said(
    tested: dict[str, Any], notice: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        build(network(tested))
    assert [message.partition("): ")[2] for message in caplog.messages] == [notice]
