"""Every layer and option given back to Keras: the cases of `layer_cases`, compared with the model they came from."""

import importlib
import inspect
from pathlib import Path

import keras
import pytest

from converters.errors import ConversionError
from converters.initializers import READERS
from converters.layers import LAYERS
from converters.to_keras.classes import KEYS, MODULES, WITHOUT_TRAINABLE
from converters.to_keras.given_back import LAYERS_MODULE
from converters.to_keras.layers import SPECIAL
from converters.to_keras.objects import INITIALIZERS, PENALTIES
from tests.converters.keras_oracle import convert_keras, random_inputs, random_numbers, randomize
from tests.converters.keras_round_trip import assert_predicts_the_same, given_back, predictions
from tests.converters.layer_cases import Case, flat
from tests.converters.layer_cases.normalization import LayerNormalizationByDefinition, RMSNormalizationByDefinition
from tests.converters.layer_cases.pooling import MeanOfRealCells

# Keras wants to withdraw the option.
pytestmark = pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`:UserWarning")

NOT_GIVEN_BACK = {
    "DepthwiseConv3D": "layer 'tested' (DepthwiseConv3D): cannot be given back: "
    "Keras has no depthwise convolution over three axes\n"
    "  Write it as a Conv3D with as many groups as it has input channels, and convert again.",
    "InstanceNormalization: of keras-contrib": "layer 'tested' (InstanceNormalization): cannot be given back: "
    "Keras 3 adds epsilon to the variance, and keras-contrib, whose layer it is, adds it to the deviation\n"
    '  Write "groups": -1 in its config where the difference does not matter, and convert again.',
}
"""Beginning of cases -> what is said of them."""

BY_DEFINITION = {
    MeanOfRealCells: [f"AveragePooling{rank}D" for rank in (1, 2, 3)],
    LayerNormalizationByDefinition: ["LayerNormalization"],
    RMSNormalizationByDefinition: ["RMSNormalization"],
}
"""Oracle that takes the place of a class of Keras which is wrong, or refuses, on torch -> such classes."""


def oracles(model: keras.Model) -> dict[str, type]:
    """By class of Keras, the oracle of that name: files of weights find layers by the names of their classes."""
    found = {name: type(layer) for layer in model.layers for name in BY_DEFINITION.get(type(layer), ())}
    return {name: type(name, (oracle,), {}) for name, oracle in found.items()}


@pytest.mark.parametrize("name", flat())
def test_a_layer_that_was_given_back_predicts_the_same(name: str, tmp_path: Path) -> None:
    case: Case = flat()[name]
    model = case.model()
    randomize(model)
    converted = convert_keras(model, tmp_path, case.edit)
    refusal = next((text for beginning, text in NOT_GIVEN_BACK.items() if name.startswith(beginning)), None)
    if refusal is not None:
        with pytest.raises(ConversionError) as error:
            given_back(converted, tmp_path)
        assert str(error.value) == f"net.onnx: {refusal}"
        return
    shapes = case.sizes or [tuple(x.shape[1:]) for x in model.inputs]
    below = case.numbers_below
    inputs = random_inputs(shapes) if below is None else [random_numbers(shape, below) for shape in shapes]
    assert_predicts_the_same(given_back(converted, tmp_path, oracles(model)), predictions(model, inputs), inputs)


@pytest.mark.parametrize("class_name", sorted({entry.class_name for entry in LAYERS.values()} - {"InputLayer"}))
def test_every_class_has_a_rule(class_name: str) -> None:
    assert class_name in KEYS | SPECIAL, (
        f"say in converters/to_keras/classes.py or layers.py how {class_name} is given back"
    )


@pytest.mark.parametrize("class_name", KEYS)
def test_keras_takes_the_keys_of_each_class(class_name: str) -> None:
    found = getattr(importlib.import_module(MODULES.get(class_name, LAYERS_MODULE)), class_name)
    known = inspect.signature(found.__init__).parameters
    takes_more = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in known.values())
    assert takes_more == (class_name not in WITHOUT_TRAINABLE)
    assert set(KEYS[class_name]) - {"rms_scaling"} <= set(known)  # which Keras takes, and lists no more


def test_keras_takes_the_keys_of_each_object() -> None:
    assert set(INITIALIZERS) == set(READERS)
    for module, keys_of in (
        (keras.initializers, INITIALIZERS),
        (keras.regularizers, PENALTIES["regularizer"]),
        (keras.constraints, PENALTIES["constraint"]),
    ):
        for class_name, keys in keys_of.items():
            known = set(inspect.signature(getattr(module, class_name).__init__).parameters)
            assert set(keys) <= known, class_name
