"""Small ONNX models for tests, with the names and metadata that `converters.convert` writes, built without it."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir

Arrays = Mapping[str, np.ndarray]

OPERATORS = {2: "Gemm", 4: "Conv"}


def small_model(arrays: Arrays, *, frozen: tuple[str, ...] = (), fixed: tuple[str, ...] = ()) -> ir.Model:
    """A chain of one node a layer, each reading its `<layer>.weight`, `.bias`, `.running_mean`, `.running_var`.

    A layer is Gemm or Conv by the rank of its weight, or BatchNormalization if it has statistics. Ends in a Reshape,
    whose shape is an initializer too. `fixed` names initializers that are never trained.
    """
    layers: dict[str, list[str]] = {}
    for name in arrays:
        layers.setdefault(name.rpartition(".")[0], []).append(name)
    value = ir.val("x", dtype=ir.DataType.FLOAT, shape=ir.Shape(["N", 2, 5, 4]))
    inputs, nodes, initializers = [value], [], []
    for order, (layer, names) in enumerate(layers.items(), start=1):
        values = [_initializer(name, arrays[name]) for name in names]
        statistics = any(name.endswith(".running_mean") for name in names)
        operator = "BatchNormalization" if statistics else OPERATORS.get(arrays[names[0]].ndim, "Add")
        metadata = {"onnxgrid.layer": layer, "onnxgrid.class_name": operator, "onnxgrid.order": str(order)}
        if layer in frozen:
            metadata["onnxgrid.trainable"] = "false"
        if set(fixed) & set(names):
            metadata["onnxgrid.fixed"] = json.dumps(sorted(set(fixed) & set(names)))
        nodes.append(_node(operator, [value, *values], layer, metadata))
        value = nodes[-1].outputs[0]
        initializers.extend(values)
    shape = _initializer("flat/shape", np.array([0, -1], dtype=np.int64))
    metadata = {"onnxgrid.layer": "flat", "onnxgrid.class_name": "Flatten", "onnxgrid.order": str(len(nodes) + 1)}
    nodes.append(_node("Reshape", [value, shape], "flat", metadata))
    outputs = [nodes[-1].outputs[0]]
    graph = ir.Graph(
        inputs, outputs, nodes=nodes, initializers=[*initializers, shape], opset_imports={"": 17}, name="net"
    )
    return ir.Model(graph, ir_version=9, producer_name="onnxgrid", metadata_props={"onnxgrid.network": "net"})


def save_small_model(path: Path, arrays: Arrays, **options: tuple[str, ...]) -> Path:
    """`small_model` in a file; the path again."""
    ir.save(small_model(arrays, **options), path)
    return path


def initializers_of(path: Path) -> dict[str, np.ndarray]:
    """Every initializer of a model file, by name."""
    return {name: value.const_value.numpy() for name, value in ir.load(path).graph.initializers.items()}


def numbered(shape: tuple[int, ...], start: float = 0, dtype: type = np.float32) -> np.ndarray:
    """start, start + 1, ... in this shape: no two values alike."""
    return (np.arange(np.prod(shape)) + start).astype(dtype).reshape(shape)


def _node(operator: str, inputs: list[ir.Value], layer: str, metadata: dict[str, str]) -> ir.Node:
    output = ir.val(layer, dtype=ir.DataType.FLOAT, shape=ir.Shape(["N", 3, 5, 4]))
    return ir.node(operator, inputs, outputs=[output], name=layer, metadata_props=metadata)


def _initializer(name: str, array: np.ndarray) -> ir.Value:
    return ir.val(name, const_value=ir.tensor(array, name=name))
