"""Every layer and option against Keras: the cases of `layer_cases`, one oracle."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras import layers as kl

import converters
from converters.layers import LAYERS
from converters.layers.opsets import MAX_OPSET, MIN_OPSET
from tests.converters.keras_oracle import assert_equals_keras, convert_keras, functional, run_onnx
from tests.converters.layer_cases import CASES, Case, flat
from tests.converters.layer_cases.case import IMAGE, class_name

ALIASES = sorted(name for name, entry in LAYERS.items() if entry.class_name != name)


def assert_case(case: Case, folder: Path, edit: Any) -> None:
    assert_equals_keras(
        case.model(),
        folder,
        edit=edit,
        sizes=case.sizes,
        numbers_below=case.numbers_below,
        raw_inputs=case.raw_inputs,
        raw_outputs=case.raw_outputs,
        hidden_steps=case.hidden_steps,
    )


@pytest.mark.parametrize("case", flat().values(), ids=flat())
def test_a_layer_equals_keras(case: Case, tmp_path: Path) -> None:
    assert_case(case, tmp_path, case.edit)


@pytest.mark.parametrize("case", flat().values(), ids=flat())
def test_a_layer_is_written_in_the_oldest_and_the_newest_opset(case: Case, tmp_path: Path) -> None:
    """The checker, which `converters.convert` runs, knows each opset's operators and their attributes."""
    description = json.loads(case.model().to_json())
    if case.edit is not None:
        case.edit(description)
    (tmp_path / "net.json").write_text(json.dumps(description))
    for opset in (MIN_OPSET, MAX_OPSET):
        assert converters.convert(tmp_path / "net.json", opset=opset).graph.opset_imports == {"": opset}


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_is_the_class_itself(alias: str, tmp_path: Path) -> None:
    own_name = LAYERS[alias].class_name
    case = next(iter(CASES[own_name].values()))

    def edit(description: dict[str, Any]) -> None:
        if case.edit is not None:
            case.edit(description)
        layers = [layer for layer in description["config"]["layers"] if layer["class_name"] == own_name]
        assert layers
        for layer in layers:
            layer["class_name"] = alias

    assert_case(case, tmp_path, edit)


@pytest.mark.parametrize("class_name", sorted({entry.class_name for entry in LAYERS.values()}))
def test_every_class_has_a_case(class_name: str) -> None:
    assert CASES.get(class_name), f"add cases for {class_name} to tests/converters/layer_cases"


def test_a_package_before_the_class_name_does_not_matter(tmp_path: Path) -> None:
    model = functional(kl.Conv2D(4, 3, name="tested"), IMAGE)
    assert_equals_keras(model, tmp_path, edit=class_name("Package>Conv2D"))


def test_data_that_never_vary_are_divided_by_what_keras_divides_by(tmp_path: Path) -> None:
    layer = kl.Normalization(name="tested")
    model = functional(layer, IMAGE)
    layer.adapt_mean.assign(np.array([1, 2, 3], np.float32))
    layer.adapt_variance.assign(np.array([0, 4, 1e-3], np.float32))
    layer.finalize_state()
    x = np.random.default_rng(0).standard_normal((2, *IMAGE)).astype(np.float32)
    (output,) = run_onnx(convert_keras(model, tmp_path), x)
    np.testing.assert_allclose(output, model(x).detach(), rtol=1e-5, atol=1e-5)
