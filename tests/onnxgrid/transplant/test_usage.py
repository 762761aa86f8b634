"""How graphs use their parameters."""

import onnx_ir as ir
import pytest

from onnxgrid.transplant.usage import Flattened, ParameterUse, parameter_uses
from tests.graph_text import X, model

USES = {  # the fact -> body, shape of w, use of w
    "a convolution": ("y = Conv(x, w)", (3, 2, 3, 3), ParameterUse("Conv", 1)),
    "strides": ("y = Conv<strides=[2,1]>(x, w)", (3, 2, 3, 3), ParameterUse("Conv", 1, dense_grid=False)),
    "dilation": ("y = Conv<dilations=[2,2]>(x, w)", (3, 2, 3, 3), ParameterUse("Conv", 1, dense_grid=False)),
    "groups": ("y = Conv<group=2>(x, w)", (4, 1, 3, 3), ParameterUse("Conv", 1, groups=2)),
    "Keras' Flatten": (
        "t = Transpose<perm=[0,2,3,1]>(x) f = Flatten(t) y = Gemm<transB=1>(f, w)",
        (5, 128),
        ParameterUse("Gemm", 1, flattened=Flattened((8, 8), 2, channels_last=True)),
    ),
    "torch's Flatten, and a weight (in, out)": (
        "f = Flatten(x) y = MatMul(f, w)",
        (128, 5),
        ParameterUse("MatMul", 1, transposed=True, flattened=Flattened((8, 8), 2, channels_last=False)),
    ),
    "a weight turned in the graph": (
        "f = Flatten(x) v = Transpose<perm=[1,0]>(w) y = Gemm(f, v)",
        (5, 128),
        ParameterUse("Gemm", 1, flattened=Flattened((8, 8), 2, channels_last=False)),
    ),
    "a Reshape, dropout, and a shape to be inferred": (
        "r = Relu(x) s = Constant<value_ints=[-1,128]>() f = Reshape(r, s) d = Dropout(f) y = Gemm<transB=1>(d, w)",
        (5, 128),
        ParameterUse("Gemm", 1, flattened=Flattened((8, 8), 2, channels_last=False)),
    ),
    "axes in another order": (
        "t = Transpose<perm=[0,3,2,1]>(x) f = Flatten(t) y = Gemm<transB=1>(f, w)",
        (5, 128),
        ParameterUse("Gemm", 1),
    ),
    "no Flatten": ("r = Relu(x) y = MatMul(r, w)", (8, 5), ParameterUse("MatMul", 1, transposed=True)),
    "something else": ("y = PRelu(x, w)", (2, 1, 1), ParameterUse("PRelu", 1)),
}


@pytest.mark.parametrize(("body", "shape", "use"), USES.values(), ids=USES)
def test_a_graph_says_how_it_uses(body, shape, use):
    assert parameter_uses(model(X, body, w=shape)) == {"w": use}


def test_open_sizes_before_a_flatten_are_not_known():
    opened = model("float[N,2,H,8] x", "f = Flatten(x) y = Gemm<transB=1>(f, w)", w=(5, 128))
    assert parameter_uses(opened) == {"w": ParameterUse("Gemm", 1)}


def test_the_graph_is_left_as_it_is_even_where_shapes_cannot_be_inferred(caplog):
    broken = model(X, "r = Relu(x) f = Flatten(r) y = Gemm<transB=1>(f, w)", w=(5, 99))
    before = ir.to_proto(broken)
    assert parameter_uses(broken) == {"w": ParameterUse("Gemm", 1)}
    assert ir.to_proto(broken) == before
    assert caplog.text == ""
