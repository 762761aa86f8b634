"""`--set KEY=VALUE`: what it changes and how it fails."""

import json
from pathlib import Path

import pytest

from converters.json_text import JsonObject
from onnxgrid.config.document import Document
from onnxgrid.errors import ConfigError

CONTENT = {"layers": "net.json", "num_epochs": 2, "data": {"batch_size": 8, "sizes": [[1, 2], [3]]}}


@pytest.fixture
def document(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("run.json").write_text(json.dumps({"neural_network": CONTENT}))
    return Document(Path("run.json"))


SET = {
    "a number": ("num_epochs=5", {"num_epochs": 5}),
    "below neural_network, told": ("neural_network.num_epochs=5", {"num_epochs": 5}),
    "a string": ("layers=other.json", {"layers": "other.json"}),
    "a string with an equals sign": ("layers=a=b", {"layers": "a=b"}),
    "a string in JSON": ('layers="5"', {"layers": "5"}),
    "an empty string": ("layers=", {"layers": ""}),
    "null": ("layers=null", {"layers": None}),
    "NaN, which is not JSON": ("layers=NaN", {"layers": "NaN"}),
    "an object": ('data={"batch_size": 4}', {"data": {"batch_size": 4}}),
    "a key of an object": ("data.batch_size=4", {"data": CONTENT["data"] | {"batch_size": 4}}),
    "an item": ("data.sizes[0][1]=9", {"data": CONTENT["data"] | {"sizes": [[1, 9], [3]]}}),
    "a new key": ("outfile=x.txt", {"outfile": "x.txt"}),
    "a key of a new object": ("checkpoints.save=ck", {"checkpoints": {"save": "ck"}}),
}


@pytest.mark.parametrize(("option", "changes"), SET.values(), ids=SET)
def test_one_value_is_set(document, option, changes):
    document.set(option)
    assert document.content == CONTENT | changes


REFUSED = {
    "no equals sign": ("num_epochs", 'there is no "="\n  Write --set KEY=VALUE, for example --set data.batch_size=32.'),
    "no key": ("=3", '"" is not the path of a key\n  Write --set KEY=VALUE, for example --set data.batch_size=32.'),
    "a hole in the path": (
        "data..seed=3",
        '"data..seed" is not the path of a key\n  Write --set KEY=VALUE, for example --set data.batch_size=32.',
    ),
    "the whole": (
        "neural_network={}",
        "neural_network cannot be set as a whole\n  Write --set KEY=VALUE, for example --set data.batch_size=32.",
    ),
    "through a string": (
        "layers.name=x",
        'layers is "net.json", not an object\n  Give the path of a key in an object.',
    ),
    "through a number": (
        "num_epochs.a.b=x",
        "num_epochs is 2, not an object\n  Give the path of a key in an object.",
    ),
    "an index of an object": (
        "data[0]=x",
        'data is {"batch_size": 8, "sizes": [[1, 2], [3]]}, not an array\n  Give the path of a key in an object.',
    ),
    "an item that is not there": (
        "data.sizes[1][1]=x",
        "data.sizes[1] has no [1]: its length is 1\n  Give an index that exists, counted from 0.",
    ),
}


@pytest.mark.parametrize(("option", "message"), REFUSED.values(), ids=REFUSED)
def test_an_option_that_cannot_be_followed_is_refused(document, option, message):
    with pytest.raises(ConfigError) as caught:
        document.set(option)
    assert str(caught.value) == f"--set {option}: {message}"


def test_a_value_is_placed_at_the_option_that_set_it_last(document):
    document.set("data.batch_size=1")
    assert document.place(("data", "batch_size")) == "--set data.batch_size=1"
    document.set('data={"batch_size": 2}')
    assert document.place(("data", "batch_size")) == '--set data={"batch_size": 2}'
    document.set("data.batch_size=3")
    assert document.place(("data", "batch_size")) == "--set data.batch_size=3"


def test_a_value_of_the_file_is_placed_by_line_and_column(document):
    assert document.place(("data", "sizes", 0, 1)) == "run.json:1:100"
    assert document.place(("data", "missing")) == document.place(("data",)) == "run.json:1:68"


def test_an_inline_network_that_an_option_sets_knows_its_place(document):
    document.set('layers={"class_name": 1}')
    assert isinstance(document.content["layers"], JsonObject)
    assert document.content["layers"].place("class_name") == "--set layers:1:16"
