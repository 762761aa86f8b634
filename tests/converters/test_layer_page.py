"""docs/layers.md names all that can be converted, and no more."""

import re
from pathlib import Path

from converters.keras_wrappers import TIME_DISTRIBUTED
from converters.layers import LAYERS
from converters.layers.operations import KERAS_PREFIX, OPERATIONS, RAW_PREFIX

PAGE = Path(__file__).parents[2] / "docs" / "layers.md"


def sections() -> dict[str, str]:
    parts = re.split(r"^## (.*)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def names(paragraphs: str) -> list[str]:
    """Those in paragraphs that are lists of names in backticks."""
    lists = re.findall(r"^`.*?`\.$", paragraphs, flags=re.MULTILINE | re.DOTALL)
    return [name for text in lists for name in re.findall(r"`([^`]+)`", text)]


def test_the_layers_are_those_that_are_registered() -> None:
    assert sorted(names(sections()["Layers"])) == sorted({TIME_DISTRIBUTED, *LAYERS})


def test_the_operations_are_those_that_are_registered() -> None:
    functions, nodes = sections()["Functions of TensorFlow"].split("`TensorFlowOpLayer`")
    groups = re.findall(r"^\*\*`([^`]+)`\*\*:\n(.*?)\.$", functions, flags=re.MULTILINE | re.DOTALL)
    listed = [
        *(f"{KERAS_PREFIX}{name}" for name in names(sections()["Operations of Keras 3"])),
        *(f"{group}.{name}" for group, text in groups for name in re.findall(r"`([^`]+)`", text)),
        *(f"{RAW_PREFIX}{name}" for name in names(nodes)),
    ]
    assert sorted(listed) == sorted(OPERATIONS)
