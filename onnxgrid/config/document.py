"""The JSON of a configuration file, with the values that options set, and the place where each value stands."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from converters.errors import JsonError
from converters.json_text import JsonArray, JsonObject, parse_json, read_json
from onnxgrid.config.problems import KeyPath, dotted, shown
from onnxgrid.errors import ConfigError

__all__ = ["ROOT", "Document"]

ROOT = "neural_network"
"""The one object of a configuration file; paths are told relative to it."""

STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
EXAMPLE = "Write --set KEY=VALUE, for example --set data.batch_size=32."


class Document:
    """`neural_network` of a file. `content` is changed by `set` and `remove`, which is what options are for."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            JsonError: if it is not JSON.
            ConfigError: if it has no object `neural_network`.
        """
        self._root = read_json(path)
        self._options: dict[KeyPath, str] = {}
        fix = f'Put the configuration into one object: {{"{ROOT}": {{...}}}}.'
        if not isinstance(self._root, JsonObject):
            raise ConfigError(f"the file holds {shown(self._root)}", place=f"{path}:1:1", fix=fix)
        if not isinstance(self._root.get(ROOT), JsonObject):
            problem = f"{ROOT} is {shown(self._root[ROOT])}" if ROOT in self._root else f"{ROOT} is missing"
            raise ConfigError(problem, place=self._root.place(ROOT), fix=fix)
        self.content: JsonObject = self._root[ROOT]
        self._place: str = self._root.place(ROOT)

    def strangers(self) -> dict[str, str]:
        """The keys that stand beside `neural_network`, and their places."""
        return {key: self._root.place(key) for key in self._root if key != ROOT}

    def place(self, path: KeyPath) -> str:
        """Where the value stands: `file:line:column`, or the option that set it.

        A value that is missing stands where the object does that lacks it.
        """
        for length in range(len(path), 0, -1):
            if path[:length] in self._options:
                return self._options[path[:length]]
        node: Any = self.content
        place = self._place
        for step in path:
            if isinstance(node, JsonObject) and step in node:
                place = node.place(str(step))
            elif isinstance(node, JsonArray) and isinstance(step, int):
                place = node.place(step)
            else:
                return place
            node = node[step]
        return place

    def remove(self, path: KeyPath) -> None:
        """Take a value out."""
        node: Any = self.content
        for step in path[:-1]:
            node = node[step]
        del node[path[-1]]

    def set(self, option: str) -> None:
        """Set one value as the option `--set KEY=VALUE` says. The value is JSON, or else a string.

        Raises:
            ConfigError: if KEY is no path or leads through something that is no object or array.
        """
        place = f"--set {option}"
        key, equals, text = option.partition("=")
        if not equals:
            raise ConfigError('there is no "="', place=place, fix=EXAMPLE)
        path = _parse_path(key.strip(), place)
        node: Any = self.content
        for length, step in enumerate(path[:-1]):
            _check_step(node, step, dotted(path[:length]) or ROOT, place)
            if isinstance(step, str) and node.get(step) is None:
                node[step] = {}
            node = node[step]
        _check_step(node, path[-1], dotted(path[:-1]) or ROOT, place)
        node[path[-1]] = _parse_value(text, f"--set {key}")
        self._options = {other: at for other, at in self._options.items() if other[: len(path)] != path}
        self._options[path] = place


def _check_step(node: Any, step: str | int, parent: str, place: str) -> None:
    """Refuse a step that does not lead into the node: an index that is not there, a key of what is no object."""
    if isinstance(step, int):
        if not isinstance(node, list):
            problem = f"{parent} is {shown(node)}, not an array"
            raise ConfigError(problem, place=place, fix="Give the path of a key in an object.")
        if step >= len(node):
            problem = f"{parent} has no [{step}]: its length is {len(node)}"
            raise ConfigError(problem, place=place, fix="Give an index that exists, counted from 0.")
    elif not isinstance(node, Mapping):
        problem = f"{parent} is {shown(node)}, not an object"
        raise ConfigError(problem, place=place, fix="Give the path of a key in an object.")


def _parse_path(key: str, place: str) -> KeyPath:
    """("data", "slicers", 1) from data.slicers[1], with or without neural_network in front."""
    steps = list(STEP.finditer(f".{key}"))
    if not key or "".join(step[0] for step in steps) != f".{key}":
        raise ConfigError(f'"{key}" is not the path of a key', place=place, fix=EXAMPLE)
    path = tuple(step[1] if step[2] is None else int(step[2]) for step in steps)
    path = path[1:] if path[0] == ROOT else path
    if not path:
        raise ConfigError(f"{ROOT} cannot be set as a whole", place=place, fix=EXAMPLE)
    return path


def _parse_value(text: str, name: str) -> Any:
    """The JSON value, or else the text itself. `name` stands for the file in later errors about an inline network."""
    try:
        return parse_json(text, name)
    except JsonError:
        return text
