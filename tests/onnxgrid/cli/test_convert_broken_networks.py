"""`onnxgrid convert` of networks that were damaged at random: a model, or a message and nothing left behind."""

import copy
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from onnxgrid.cli.main import cli

ROOT = Path(__file__).parents[3]

NETWORKS = sorted([*ROOT.glob("models/digits_*.json"), *ROOT.glob("tests/converters/data/**/*.json")])

SEEDS = range(12)
DAMAGES = 15
"""Files per seed: some ten seconds in all."""

NUMBERS = [-1, 0, 1, 2, 7, 65536, 10**9, 2**31, 2**63, 10**400, 1e30, 1e308, -0.5, 1e-300, float("nan"), float("inf")]
TEXTS = ["", "relu", "same", "x", "Functional", "Conv2D", "Lambda", "InputLayer", "__tuple__", "ü" * 3, "x" * 5000]
LISTS = [[], {}, [[]], [None], [1, 2], [0, 0], [[1, 2], [3, 4]], [None, None, 3], ["x", 0, 0], [[["x", 0, 0, {}]]]]
OBJECTS = [{"class_name": "Zeros", "config": {}}, {"class_name": None}, {"class_name": "TensorShape", "items": [None]}]


def slots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value: what holds it, and the key or index."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from slots(value[key])


def damage(network: Any, draw: random.Random) -> None:
    """Change one place of a network: take it away, double it, or put something else there, maybe from elsewhere."""
    places = list(slots(network))
    holder, key = draw.choice(places)
    match draw.randrange(8):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        case 2 if isinstance(holder[key], int):
            holder[key] += draw.choice([-2, -1, 1, 2])
        case 3:
            other, name = draw.choice(places)
            holder[key] = copy.deepcopy(other[name])
        case _:
            group = draw.choice([[None, True, False], NUMBERS, TEXTS, LISTS, OBJECTS])
            holder[key] = copy.deepcopy(draw.choice(group))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_damaged_network_gives_a_model_or_a_message(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    source, output = tmp_path / "net.json", tmp_path / "net.onnx"
    for _number in range(DAMAGES):
        network = json.loads(draw.choice(NETWORKS).read_text())
        for _damage in range(draw.choice([1, 1, 2, 3])):
            damage(network, draw)
        source.write_text(json.dumps(network))
        result = CliRunner().invoke(cli, ["convert", str(source), "-o", str(output)])
        assert result.exit_code in (0, 2), source.read_text() + result.stderr
        assert output.exists() == (result.exit_code == 0)
        if result.exit_code == 2:
            assert re.search(rf"^Error: {re.escape(str(source))}(:\d+:\d+)?: .+\n  .+", result.stderr, re.MULTILINE)
        output.unlink(missing_ok=True)
        assert list(tmp_path.iterdir()) == [source]
