"""Whole networks become the nodes that a person would draw: as many of each operator as the list of layers implies.

What a layer implies is written down here, from Keras' layers alone; nothing of the converter is asked.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import onnx_ir as ir
import pytest
from keras import applications
from keras import layers as kl
from onnx_ir.passes.common import (
    CommonSubexpressionEliminationPass,
    IdentityEliminationPass,
    RemoveUnusedNodesPass,
)

import converters
from converters.roles import Role, initializer_roles
from tests.converters.keras_oracle import assert_every_size_is_known
from tests.converters.test_networks import unet

MODELS = Path(__file__).parents[2] / "models"

ACTIVATIONS: dict[str, tuple[str, ...]] = {
    "linear": (),
    "relu": ("Relu",),
    "sigmoid": ("Sigmoid",),
    "softmax": ("Softmax",),
    "silu": ("Sigmoid", "Mul"),
    "hard_silu": ("HardSwish",),
    "gelu": ("Div", "Erf", "Add", "Mul", "Mul"),
}
"""In opset 17, which has no operator for the last one and silu."""

PLAIN: dict[str, tuple[str, ...]] = {
    "InputLayer": (),
    "StochasticDepth": (),
    "Conv2D": ("Conv",),
    "Conv2DTranspose": ("ConvTranspose",),
    "DepthwiseConv2D": ("Conv",),
    "BatchNormalization": ("BatchNormalization",),
    "MaxPooling2D": ("MaxPool",),
    "AveragePooling2D": ("AveragePool",),
    "UpSampling2D": ("Resize",),
    "ZeroPadding2D": ("Pad",),
    "Dropout": ("Dropout",),
    "Concatenate": ("Concat",),
    "Activation": (),
    "LayerScale": ("Unsqueeze", "Mul"),  # its parameter (C,) meets channels that stand before space
}


def nodes_of(layer: Any) -> tuple[str, ...]:
    """The operators of a layer or operation, without those of its activation."""
    rank = len(layer.input.shape) if not isinstance(layer.input, list) else 0
    match layer:
        case keras.src.ops.numpy.Add():
            return ("Add",)
        case keras.src.ops.numpy.Multiply():
            return ("Mul",)
        case kl.Add() | kl.Multiply():
            return ("Add" if isinstance(layer, kl.Add) else "Mul",) * (len(layer.input) - 1)
        case kl.ReLU():
            return ("Clip",) if layer.max_value else ("Relu",)
        case kl.Dense():
            return ("Gemm",) if rank == 2 else ("Unsqueeze", "Conv")  # a parameter (out, in), over an image
        case kl.Flatten():
            return ("Flatten",) if layer.input.shape[1:3] == (1, 1) else ("Transpose", "Flatten")
        case kl.GlobalAveragePooling2D():
            return ("GlobalAveragePool",) if layer.keepdims else ("GlobalAveragePool", "Flatten")
        case kl.Reshape():
            return ("Reshape",)
        case kl.LayerNormalization():
            return ("LayerNormalization",) if rank == 2 else ("Transpose", "LayerNormalization", "Transpose")
        case kl.Rescaling():
            return ("Mul", "Add") if layer.offset else ("Mul",)
        case kl.Normalization():
            return ("BatchNormalization",) if layer.input_mean is None else ("Sub", "Div")
    return PLAIN[type(layer).__name__]


def layers_of(model: keras.Model) -> Iterator[Any]:
    """The layers and operations of a model and of the models in it, but for the inputs of the latter."""
    for layer in model.layers if isinstance(model, keras.Sequential) else model.operations:
        if isinstance(layer, keras.Model):
            yield from (inner for inner in layers_of(layer) if not isinstance(inner, kl.InputLayer))
        else:
            yield layer


def expected_nodes(model: keras.Model) -> Counter[str]:
    nodes: Counter[str] = Counter()
    for layer in layers_of(model):
        nodes.update(nodes_of(layer))
        activation = getattr(layer, "activation", None)
        if activation is not None:
            nodes.update(ACTIVATIONS[activation.__name__])
        follows = [node.operation for node in layer._outbound_nodes]
        if "Flatten" in nodes_of(layer) and len(follows) == 1 and isinstance(follows[0], kl.Reshape):
            # A pooled image, flattened, is reshaped to an image of one cell: it is one already.
            assert follows[0].output.shape[1:3] == (1, 1)
            nodes.subtract(["Flatten", "Reshape"])
    return +nodes


def segmentation_unet() -> keras.Model:
    """A decoder over the levels of MobileNetV2, with the layers and the order of the usual segmentation packages."""
    backbone = applications.MobileNetV2(weights=None, include_top=False, input_shape=(96, 96, 3))
    skips = [f"block_{number}_expand_relu" for number in (13, 6, 3, 1)]
    x = backbone.output
    for stage, filters in enumerate((256, 128, 64, 32, 16)):
        x = kl.UpSampling2D(2, name=f"decoder_stage{stage}_upsampling")(x)
        if stage < len(skips):
            x = kl.Concatenate(name=f"decoder_stage{stage}_concat")([x, backbone.get_layer(skips[stage]).output])
        for half in "ab":
            name = f"decoder_stage{stage}{half}"
            x = kl.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
            x = kl.Activation("relu", name=f"{name}_relu")(kl.BatchNormalization(name=f"{name}_bn")(x))
    x = kl.Conv2D(3, 3, padding="same", name="final_conv")(x)
    return keras.Model(backbone.input, kl.Activation("sigmoid", name="sigmoid")(x))


NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "ResNet50": lambda: applications.ResNet50(weights=None),
    "MobileNetV2": lambda: applications.MobileNetV2(weights=None),
    "DenseNet121": lambda: applications.DenseNet121(weights=None),
    "EfficientNetB0": lambda: applications.EfficientNetB0(weights=None),
    "ConvNeXtTiny": lambda: applications.ConvNeXtTiny(weights=None, include_preprocessing=False),
    "MobileNetV3Small": lambda: applications.MobileNetV3Small(weights=None, input_shape=(224, 224, 3)),
    "a U-Net": unet,
    "a U-Net over MobileNetV2": segmentation_unet,
}


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[keras.Model, ir.Model]]:
    """A network by its name, in Keras and in ONNX; each is made once."""
    made: dict[str, tuple[keras.Model, ir.Model]] = {}

    def network(name: str) -> tuple[keras.Model, ir.Model]:
        if name not in made:
            with keras.device("meta"):  # no weight is allocated
                model = NETWORKS[name]()
            path = tmp_path_factory.mktemp("networks") / "net.json"
            path.write_text(model.to_json())
            made[name] = model, converters.convert(path)
        return made[name]

    return network


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_has_the_nodes_that_its_layers_imply(name: str, converted: Any) -> None:
    model, onnx_model = converted(name)
    assert Counter(node.op_type for node in onnx_model.graph) == expected_nodes(model)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_size_in_a_network_is_known(name: str, converted: Any) -> None:
    _model, onnx_model = converted(name)
    assert_every_size_is_known(onnx_model)


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_is_computed_from_constants(name: str, converted: Any) -> None:
    """But that a parameter, which keeps its shape, is brought to where an operator wants it."""
    _model, onnx_model = converted(name)
    roles = initializer_roles(onnx_model)
    for node in onnx_model.graph:
        if all(value is not None and value.is_initializer() for value in node.inputs):
            assert node.op_type in ("Transpose", "Unsqueeze"), node.name
            assert roles[str(node.inputs[0].name)].kind is Role.PARAMETER, node.name


@pytest.mark.parametrize("name", NETWORKS)
def test_no_transpose_is_there_twice_or_taken_back(name: str, converted: Any) -> None:
    _model, onnx_model = converted(name)
    transposes = [node for node in onnx_model.graph if node.op_type == "Transpose"]
    made = Counter((str(node.inputs[0].name), tuple(node.attributes["perm"].as_ints())) for node in transposes)
    assert not [transpose for transpose, count in made.items() if count > 1]
    for node in transposes:
        before = node.inputs[0].producer()
        assert before is None or before.op_type != "Transpose", node.name


@pytest.mark.parametrize("name", NETWORKS)
def test_the_clean_up_of_onnx_ir_finds_nothing_left(name: str, converted: Any) -> None:
    _model, onnx_model = converted(name)
    cleaned = onnx_model.clone()
    for clean_up in (IdentityEliminationPass(), CommonSubexpressionEliminationPass(), RemoveUnusedNodesPass()):
        clean_up(cleaned)
    assert len(cleaned.graph) == len(onnx_model.graph)


@pytest.mark.parametrize("path", sorted(MODELS.glob("digits_*.json")), ids=lambda path: path.stem)
@pytest.mark.parametrize("dynamic", [False, True])
def test_every_size_in_our_own_networks_is_known(path: Path, dynamic: bool) -> None:
    fixed = any(layer["class_name"] == "Flatten" for layer in json.loads(path.read_text())["config"]["layers"])
    if not (dynamic and fixed):
        assert_every_size_is_known(converters.convert(path, dynamic_spatial=dynamic))
