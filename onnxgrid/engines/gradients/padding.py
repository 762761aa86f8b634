"""Pass: asymmetric padding of convolutions becomes nodes of its own, since ATen's convolution gradients pad both ends
alike.

* Conv with unequal pads: a Pad node in front, no pads in the Conv.
* ConvTranspose with unequal pads: no pads in the ConvTranspose, a Slice node behind it that crops the same cells.

Leaves alone nodes whose pads are symmetric, and `auto_pad`, which needs the input's size.
"""

import numpy as np
import onnx_ir as ir

__all__ = ["make_padding_explicit"]


def make_padding_explicit(model: ir.Model) -> int:
    """Rewrite the main graph in place; return how many nodes changed."""
    changed = 0
    for node in list(model.graph):
        if node.domain != "" or node.op_type not in ("Conv", "ConvTranspose"):
            continue
        pads = list(node.attributes.get_ints("pads", []))
        begin, end = pads[: len(pads) // 2], pads[len(pads) // 2 :]
        if begin == end:
            continue
        node.attributes["pads"] = ir.AttrInt64s("pads", [0] * len(pads))
        if node.op_type == "Conv":
            _pad_before(model.graph, node, begin, end)
        else:
            _crop_behind(model.graph, node, begin, end)
        changed += 1
    return changed


def _pad_before(graph: ir.Graph, conv: ir.Node, begin: list[int], end: list[int]) -> None:
    x = conv.inputs[0]
    assert x is not None
    pads = _int64(graph, f"{conv.name}/pads", [0, 0, *begin, 0, 0, *end])
    pad = ir.node("Pad", [x, pads], {"mode": "constant"}, name=f"{conv.name}/pad")
    pad.outputs[0].type = x.type
    graph.insert_before(conv, pad)
    conv.replace_input_with(0, pad.outputs[0])


def _crop_behind(graph: ir.Graph, conv: ir.Node, begin: list[int], end: list[int]) -> None:
    full, axes = conv.outputs[0], list(range(2, 2 + len(begin)))
    crop = ir.node(
        "Slice",
        [
            full,
            _int64(graph, f"{conv.name}/starts", begin),
            _int64(graph, f"{conv.name}/ends", [-last if last else np.iinfo(np.int64).max for last in end]),
            _int64(graph, f"{conv.name}/axes", axes),
        ],
        name=f"{conv.name}/crop",
    )
    cropped = crop.outputs[0]
    cropped.type, cropped.shape = full.type, full.shape
    full.replace_all_uses_with(cropped, replace_graph_outputs=True)
    crop.replace_input_with(0, full)
    cropped.name, full.name, full.shape = full.name, f"{conv.name}/full", None
    graph.insert_after(conv, crop)


def _int64(graph: ir.Graph, name: str, values: list[int]) -> ir.Value:
    initializer = ir.Value(name=name, const_value=ir.tensor(np.array(values, dtype=np.int64), name=name))
    graph.register_initializer(initializer)
    return initializer
