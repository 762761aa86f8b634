"""`freeze` and `optimizer.layer_rates`: lists in the configuration, or files of `onnxgrid transplant`."""

import json
from pathlib import Path

import pytest

from onnxgrid.config import read_config
from onnxgrid.config.layers import LayerRate, matches_layer
from onnxgrid.errors import ConfigError

BASE = {
    "layers": "net.json",
    "data": {"input_type": "images", "target_type": "labels", "input_path": "d"},
    "optimizer": {"type": "SGD"},
    "loss": {"function": "NLL"},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("d").mkdir()
    Path("net.json").write_text("{}")


def read(freeze=None, rates=None):
    content = json.loads(json.dumps(BASE))
    if freeze is not None:
        content["freeze"] = freeze
    if rates is not None:
        content["optimizer"]["layer_rates"] = rates
    Path("run.json").write_text(json.dumps({"neural_network": content}))
    return read_config(Path("run.json"))


def test_without_them_nothing_is_chosen():
    assert (read().freeze, read().optimizer.layer_rates) == ((), None)


def test_they_stand_in_the_configuration_or_in_files():
    rates = [{"layers": ["enc_*", "mid"], "factor": 0.1}, {"layers": ["out"], "factor": 2}]
    Path("freeze.json").write_text(json.dumps({"freeze": ["enc_*", "mid"]}))
    Path("rates.json").write_text(json.dumps({"layer_rates": rates}))
    for config in (read(["enc_*", "mid"], rates), read("freeze.json", "rates.json")):
        assert config.freeze == ("enc_*", "mid")
        assert config.optimizer.layer_rates == (LayerRate(("enc_*", "mid"), 0.1), LayerRate(("out",), 2.0))


LAYERS = 'Give an array of layers or patterns, as ["conv_1", "enc_*"], or a file of onnxgrid transplant.'
RATES = 'Give an array of objects, as [{"layers": ["enc_*"], "factor": 0.1}], or a file of onnxgrid transplant.'

WRONG = {
    "a number": ({"freeze": 3}, "freeze is 3", LAYERS),
    "a list of numbers": ({"freeze": ["a", 3]}, 'freeze is ["a", 3]', LAYERS),
    "an empty name": ({"freeze": [""]}, 'freeze is [""]', LAYERS),
    "another file": ({"freeze": "run.json"}, 'freeze is "run.json", a file without "freeze"', LAYERS),
    "no JSON": ({"freeze": "text"}, 'freeze is "text", a file without "freeze"', LAYERS),
    "rates without layers": (
        {"rates": [{"factor": 1}]},
        'optimizer.layer_rates holds {"factor": 1}',
        RATES,
    ),
    "rates with more": (
        {"rates": [{"layers": ["a"], "factor": 1, "x": 2}]},
        'optimizer.layer_rates holds {"layers": ["a"], "factor": 1, "x": 2}',
        RATES,
    ),
    "rates below 0": (
        {"rates": [{"layers": ["a"], "factor": -1}]},
        "optimizer.layer_rates holds the factor -1",
        "Give a number of 0 or more.",
    ),
    "rates that are true": (
        {"rates": [{"layers": ["a"], "factor": True}]},
        "optimizer.layer_rates holds the factor true",
        "Give a number of 0 or more.",
    ),
    "one rate alone": (
        {"rates": {"layers": ["a"], "factor": 1}},
        'optimizer.layer_rates is {"layers": ["a"], "factor": 1}',
        RATES,
    ),
}


@pytest.mark.parametrize(("given", "problem", "fix"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told(given, problem, fix):
    Path("text").write_text("{")
    with pytest.raises(ConfigError) as caught:
        read(**given)
    place, _, message = str(caught.value).partition(" ")
    assert place.startswith("run.json:1:")
    assert message == f"{problem}\n  {fix}"


def test_names_with_brackets_match_themselves():
    assert matches_layer("block[1]", ["block[1]"])
    assert matches_layer("block1", ["block[1]"])
    assert not matches_layer("block2", ["block[1]", "b"])
