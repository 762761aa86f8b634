"""Small graphs as ONNX text."""

import numpy as np
import onnx_ir as ir

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'

X = "float[N,2,8,8] x"


def model(inputs: str, body: str, **parameters: tuple[int, ...]) -> ir.Model:
    """A graph from these inputs to y; the parameters are initializers of these shapes, all zero."""
    held = [f"float[{','.join(map(str, shape))}] {name}" for name, shape in parameters.items()]
    parsed = ir.from_onnx_text(f"{HEADER} net ({', '.join([inputs, *held])}) => (float[] y) {{ {body} }}")
    for value in list(parsed.graph.inputs):
        if value.name in parameters:
            value.const_value = ir.tensor(np.zeros(parameters[value.name], np.float32), name=value.name)
            parsed.graph.inputs.remove(value)
            parsed.graph.register_initializer(value)
    return parsed
