"""JSON with places: what each value's place is, and what broken JSON says. Whole messages are compared."""

import json
from pathlib import Path
from typing import Any

import pytest

from converters.errors import JsonError
from converters.json_text import JsonArray, JsonObject, parse_json, read_json

TEXT = """{
  "name": "net",
  "layers": [
    {"a": 1, "b": [null, {"c": 2.5}]}, true
  ]
}
"""


def test_values_are_those_of_the_standard_decoder() -> None:
    assert parse_json(TEXT, "net.json") == json.loads(TEXT)


def test_every_value_knows_its_place() -> None:
    value = parse_json(TEXT, "net.json")
    layers = value["layers"]
    assert isinstance(value, JsonObject)
    assert isinstance(layers, JsonArray)
    assert value.place() == "net.json:1:1"
    assert value.place("name") == "net.json:2:11"
    assert value.place("missing") == "net.json:1:1"
    assert value.place("layers") == layers.place() == "net.json:3:13"
    assert layers.place(0) == layers[0].place() == "net.json:4:5"
    assert layers.place(1) == "net.json:4:40"
    assert layers[0].place("b") == "net.json:4:19"
    assert layers[0]["b"][1].place("c") == "net.json:4:32"


def test_a_part_of_an_object_keeps_its_places() -> None:
    value = parse_json(TEXT, "net.json")
    part = value.only("layers", "missing")
    assert list(part) == ["layers"]
    assert part.place("layers") == value.place("layers")
    assert part.place() == value.place()


BROKEN = {
    "a missing comma": (
        '{"a": 1\n "b": 2}',
        'net.json:2:2: expected "," or a closing bracket\n     "b": 2}\n     ^\n'
        "  If a comma is missing, it belongs at line 1, column 8.",
    ),
    "a comma too many": (
        '{"a": 1,\n}',
        "net.json:2:1: a comma with nothing after it\n    }\n    ^\n  Remove the comma at line 1, column 8.",
    ),
    "a comma too many in a list": (
        "[1, ]",
        "net.json:1:5: a comma with nothing after it\n    [1, ]\n        ^\n  Remove the comma at line 1, column 3.",
    ),
    "half a file": (
        '{"layers": [1, 2',
        'net.json:1:17: the file ends in the middle of a value\n    {"layers": [1, 2\n                    ^\n'
        "  Close what is open, or give the whole file.",
    ),
    "a missing colon": (
        '{"a" 1}',
        "net.json:1:6: Expecting ':' delimiter\n    {\"a\" 1}\n         ^\n  Mend the JSON at the caret.",
    ),
    "a comment": (
        '{"a": 1 // one\n}',
        'net.json:1:9: expected "," or a closing bracket\n    {"a": 1 // one\n            ^\n'
        "  If a comma is missing, it belongs at line 1, column 8.",
    ),
    "more after the end": (
        '{"a": 1}\nx',
        "net.json:2:1: Extra data\n    x\n    ^\n  Mend the JSON at the caret.",
    ),
    "NaN": (
        '{"a": NaN}',
        "net.json:1:7: NaN is not JSON\n  Write a finite number, or null.",
    ),
    "nothing but NaN": ("NaN", "net.json:1:1: NaN is not JSON\n  Give a JSON object or array."),
    "a key twice": (
        '{"a": 1, "a": 2}',
        'net.json:1:15: the key "a" stands twice in one object\n  Remove one of the two.',
    ),
    "nothing": (" \n", "net.json: the file is empty\n  Give a file that holds JSON."),
    "a long line is cut": (
        '{"a": "' + 300 * "x" + '" "b": 2}',
        'net.json:1:310: expected "," or a closing bracket\n    ' + 58 * "x" + '" "b": 2}\n    ' + 60 * " " + "^\n"
        "  If a comma is missing, it belongs at line 1, column 309.",
    ),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_json_says_what_and_where(text: str, message: str) -> None:
    with pytest.raises(JsonError) as error:
        parse_json(text, "net.json")
    assert str(error.value) == message


def test_deep_nesting_is_an_error_of_the_file() -> None:
    with pytest.raises(JsonError) as error:
        parse_json("[" * 100_000, "net.json")
    assert str(error.value) == (
        "net.json: objects and arrays are nested too deeply (about 250 levels are the limit)\n  Nest less."
    )


FILES: dict[str, tuple[Any, str]] = {
    "a missing file": (None, "cannot be read: No such file or directory\n  Give the path of a readable JSON file."),
    "another encoding": (
        '{"a": "é"}'.encode("latin-1"),
        "is not UTF-8 text (byte 7 is 0xe9)\n"
        "  Give a JSON file; save it as UTF-8 if it is one. The name of a model ends in .onnx.",
    ),
    "an archive": (
        b"PK\x03\x04\xff",
        "is a zip archive, and no JSON\n  Give an archive of Keras as a file whose name ends in .keras.",
    ),
    "an HDF5 file": (
        b"\x89HDF\r\n\x1a\n",
        "is an HDF5 file, and no JSON\n  Give the network as JSON, and this file as its weights.",
    ),
}


@pytest.mark.parametrize(("content", "message"), FILES.values(), ids=FILES)
def test_a_file_that_cannot_be_read_says_why(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(JsonError) as error:
        read_json(path)
    assert str(error.value) == f"{path}: {message}"


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "net.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "net.json") == {"a": 1}


def test_a_file_of_200_mb_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    with path.open("wb") as file:
        file.write(b"[")
        file.truncate(200 * 2**20)
    with pytest.raises(JsonError) as error:
        read_json(path)
    assert str(error.value) == (
        f"{path}: is larger than 64 MiB, which no network's JSON is\n  Give the network without its weights."
    )


def test_a_number_of_many_digits_is_refused() -> None:
    with pytest.raises(JsonError) as error:
        parse_json('{"a": ' + "1" * 5000 + "}", "net.json")
    assert str(error.value) == "net.json:1:7: a number of 5000 digits\n  Write a smaller number."


@pytest.mark.parametrize("text", [r'{"a": "\ud800"}', r'["\ud800"]', r'{"\ud800": 3}'])
def test_half_a_character_is_refused(text: str) -> None:
    with pytest.raises(JsonError, match=r"net\.json:1:\d+: half of a character: \\ud800"):
        parse_json(text, "net.json")
