"""The pass that keeps channels last between kernels, as ONNX text: before, after, a second run that finds nothing."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from onnxgrid.engines.kernel_choice.layout import join_transposes

LAST, FIRST = "Transpose <perm: ints = [0, 2, 3, 1]>", "Transpose <perm: ints = [0, 3, 1, 2]>"

CASES: dict[str, tuple[str, str, int]] = {
    "there and back": (
        f"a = {LAST} (x) b = Abs (a) c = {FIRST} (b) d = {LAST} (c) e = Neg (d) y = {FIRST} (e)",
        f"a = {LAST} (x) b = Abs (a) e = Neg (b) y = {FIRST} (e)",
        2,
    ),
    "the same value twice": (
        f"a = {LAST} (x) b = {LAST} (x) c = Add (a, b) y = {FIRST} (c)",
        f"a = {LAST} (x) c = Add (a, a) y = {FIRST} (c)",
        1,
    ),
    "an op that works element by element": (
        f"a = {LAST} (x) b = Softplus (a) c = {FIRST} (b) d = Relu (c) e = {LAST} (d) f = Softplus (e) y = {FIRST} (f)",
        f"a = {LAST} (x) b = Softplus (a) \"d/last\" = Relu (b) f = Softplus (\"d/last\") y = {FIRST} (f)",
        2,
    ),
    "a Concat along the channels": (
        f"a = {LAST} (x) b = Softplus (a) c = {FIRST} (b) y = Concat <axis: int = 1> (c, c)",
        f"a = {LAST} (x) b = Softplus (a) \"y/last\" = Concat <axis: int = 3> (b, b) y = {FIRST} (\"y/last\")",
        0,
    ),
    "a Concat along another axis": (
        f"a = {LAST} (x) b = Softplus (a) c = {FIRST} (b) y = Concat <axis: int = 2> (c, c)",
        f"a = {LAST} (x) b = Softplus (a) c = {FIRST} (b) y = Concat <axis: int = 2> (c, c)",
        0,
    ),
    "an op that reads something else too": (
        f"a = {LAST} (x) b = Softplus (a) c = {FIRST} (b) y = Add (c, x)",
        f"a = {LAST} (x) b = Softplus (a) c = {FIRST} (b) y = Add (c, x)",
        0,
    ),
    "transposes of another kind": (
        "a = Transpose <perm: ints = [3, 2, 1, 0]> (x) y = Transpose <perm: ints = [3, 2, 1, 0]> (a)",
        "a = Transpose <perm: ints = [3, 2, 1, 0]> (x) y = Transpose <perm: ints = [3, 2, 1, 0]> (a)",
        0,
    ),
}  # fmt: skip


def model_of(body: str) -> ir.Model:
    header = '<ir_version: 9, opset_import: ["" : 17]> net (float[2, 3, 4, 5] x) => (float[a, b, c, d] y)'
    return ir.from_proto(onnx.parser.parse_model(f"{header} {{ {body} }}"))


def text_of(model: ir.Model) -> str:
    proto = ir.to_proto(model)
    for node in proto.graph.node:
        node.ClearField("name")
    text = onnx.printer.to_text(proto.graph)
    return " ".join(text.partition("{")[2].split())


@pytest.mark.parametrize(("before", "after", "gone"), CASES.values(), ids=CASES)
def test_channels_stay_last_between_those_who_want_them_so(before: str, after: str, gone: int) -> None:
    model, x = model_of(before), np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    expected = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString()).run(None, {"x": x})
    assert join_transposes(model.graph) == gone
    assert text_of(model) == text_of(model_of(after))
    found = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString()).run(None, {"x": x})
    np.testing.assert_array_equal(found[0], expected[0])
    assert join_transposes(model.graph) == 0
    assert text_of(model) == text_of(model_of(after))
