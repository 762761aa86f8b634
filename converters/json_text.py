"""JSON that remembers where in its file each value stands, so that every later error can say so.

The standard decoder does the parsing. `JsonObject` and `JsonArray` are a dict and a list that also hold the offset of
each of their values.
"""

import json
import json.decoder
import json.scanner
import re
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converters.errors import JsonError

__all__ = ["JsonArray", "JsonObject", "JsonText", "parse_json", "read_json"]

MAX_SHOWN_COLUMNS = 120
"""A longer offending line is cut around the column, so that a one-line file does not flood the terminal."""


MAX_JSON_BYTES = 2**26
"""64 MiB: a network's JSON has a few megabytes at most, and takes many times its size once it is parsed."""


@dataclass(frozen=True)
class JsonText:
    """The text of a JSON file and its name, for turning offsets into `file:line:column`."""

    name: str
    text: str
    line_starts: list[int] = field(default_factory=list, repr=False, compare=False)

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both counted from 1."""
        if not self.line_starts:
            self.line_starts.append(0)
            self.line_starts.extend(match.end() for match in re.finditer("\n", self.text))
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def place(self, offset: int) -> str:
        """`file:line:column` of an offset."""
        line, column = self.position(offset)
        return f"{self.name}:{line}:{column}"

    def excerpt(self, offset: int) -> str:
        """The line that holds the offset, and below it a caret under the column."""
        line, column = self.position(offset)
        start = self.line_starts[line - 1]
        end = self.line_starts[line] if line < len(self.line_starts) else len(self.text)
        first = start + max(0, column - 1 - MAX_SHOWN_COLUMNS // 2)
        shown = self.text[first : min(end, first + MAX_SHOWN_COLUMNS)].rstrip().replace("\t", " ")
        return f"{shown}\n{' ' * (offset - first)}^"


class JsonObject(dict[str, Any]):
    """A JSON object; `place(key)` says where the value of a key stands, `place()` where the object does."""

    def __init__(self, pairs: Iterable[tuple[str, Any]], offsets: list[int], start: int, source: JsonText) -> None:
        super().__init__(pairs)
        self._offsets = dict(zip(self, offsets, strict=True))
        self._start, self._source = start, source

    def place(self, key: str | None = None) -> str:
        return self._source.place(self._start if key is None else self._offsets.get(key, self._start))

    def only(self, *keys: str) -> "JsonObject":
        """A copy that holds those of the keys that are here, and stands at the same place."""
        kept = [key for key in self if key in keys]
        return JsonObject(
            ((key, self[key]) for key in kept), [self._offsets[key] for key in kept], self._start, self._source
        )


class JsonArray(list[Any]):
    """A JSON array; `place(index)` says where an item stands, `place()` where the array does."""

    def __init__(self, items: Iterable[Any], offsets: list[int], start: int, source: JsonText) -> None:
        super().__init__(items)
        self._offsets, self._start, self._source = offsets, start, source

    def place(self, index: int | None = None) -> str:
        return self._source.place(self._start if index is None else self._offsets[index])


class _Decoder(json.JSONDecoder):
    """The standard decoder, in its Python form, building objects that know their offsets."""

    def __init__(self, source: JsonText) -> None:
        super().__init__(parse_constant=_refuse_constant, parse_int=_parse_integer)
        self.source = source
        self.parse_object, self.parse_array = self._object, self._array
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]

    def _object(
        self, text_and_end: tuple[str, int], strict: bool, scan_once: Callable[[str, int], tuple[Any, int]], *_: Any
    ) -> tuple[JsonObject, int]:
        start = text_and_end[1] - 1
        offsets: list[int] = []
        recorded = self._recording(scan_once, offsets)
        pairs, end = json.decoder.JSONObject(text_and_end, strict, recorded, None, list, {})  # type: ignore[attr-defined]
        seen: set[str] = set()
        for (key, _value), offset in zip(pairs, offsets, strict=True):
            if not key.isascii():
                self._require_text(key, offset)
            if key in seen:
                raise JsonError(
                    f'the key "{key}" stands twice in one object',
                    place=self.source.place(offset),
                    fix="Remove one of the two.",
                )
            seen.add(key)
        return JsonObject(pairs, offsets, start, self.source), end

    def _array(
        self, text_and_end: tuple[str, int], scan_once: Callable[[str, int], tuple[Any, int]], *_: Any
    ) -> tuple[JsonArray, int]:
        offsets: list[int] = []
        items, end = json.decoder.JSONArray(text_and_end, self._recording(scan_once, offsets))  # type: ignore[attr-defined]
        return JsonArray(items, offsets, text_and_end[1] - 1, self.source), end

    def _recording(
        self, scan_once: Callable[[str, int], tuple[Any, int]], offsets: list[int]
    ) -> Callable[[str, int], tuple[Any, int]]:
        def scan(text: str, offset: int) -> tuple[Any, int]:
            try:
                value = scan_once(text, offset)
            except _NotANumber as constant:
                raise JsonError(
                    f"{constant} is not JSON", place=self.source.place(offset), fix="Write a finite number, or null."
                ) from None
            except _TooLong as digits:
                raise JsonError(
                    f"a number of {digits} digits", place=self.source.place(offset), fix="Write a smaller number."
                ) from None
            if isinstance(value[0], str) and not value[0].isascii():
                self._require_text(value[0], offset)
            offsets.append(offset)
            return value

        return scan

    def _require_text(self, text: str, offset: int) -> None:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise JsonError(
                f"half of a character: \\u{ord(text[error.start]):04x}",
                place=self.source.place(offset),
                fix="Write both halves, or remove it.",
            ) from None


class _NotANumber(Exception):
    pass


class _TooLong(Exception):
    pass


MAX_DIGITS = 1000
"""Far beyond any number that means something; Python itself refuses 4300, in words of its own."""


BINARY_FILES = {
    b"PK\x03\x04": ("a zip archive", "Give an archive of Keras as a file whose name ends in .keras."),
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file", "Give the network as JSON, and this file as its weights."),
}
"""How files begin that may be taken for a network: what they are, and what to do."""


def _parse_integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise _TooLong(len(digits))
    return int(digits)


def _refuse_constant(name: str) -> Any:
    raise _NotANumber(name)


def parse_json(text: str, name: str) -> Any:
    """The value of a JSON text, its objects and arrays as `JsonObject` and `JsonArray`.

    Args:
        name: the file's name, for error messages.

    Raises:
        JsonError: with `file:line:column` and the offending line.
    """
    source = JsonText(name, text)
    if not text.strip():
        raise JsonError("the file is empty", place=name, fix="Give a file that holds JSON.")
    try:
        return _Decoder(source).decode(text)
    except json.JSONDecodeError as error:
        raise _syntax_error(error, source) from None
    except (_NotANumber, _TooLong) as number:
        raise JsonError(f"{number} is not JSON", place=source.place(0), fix="Give a JSON object or array.") from None
    except RecursionError:
        depth = sys.getrecursionlimit()
        raise JsonError(
            f"objects and arrays are nested too deeply (about {depth // 4} levels are the limit)",
            place=name,
            fix="Nest less.",
        ) from None


def _syntax_error(error: json.JSONDecodeError, source: JsonText) -> JsonError:
    problem, fix, offset = error.msg, "Mend the JSON at the caret.", error.pos
    before = source.text[:offset].rstrip()
    if error.msg == "Expecting ',' delimiter" and offset < len(source.text):
        line, column = source.position(len(before))
        problem, fix = (
            'expected "," or a closing bracket',
            f"If a comma is missing, it belongs at line {line}, column {column}.",
        )
    elif before.endswith(",") and source.text[offset : offset + 1] in ("}", "]", ""):
        line, column = source.position(len(before) - 1)
        problem, fix = "a comma with nothing after it", f"Remove the comma at line {line}, column {column}."
    elif offset >= len(source.text.rstrip()):
        problem, fix = "the file ends in the middle of a value", "Close what is open, or give the whole file."
    shown = "\n".join("    " + line for line in source.excerpt(offset).splitlines())
    return JsonError(f"{problem}\n{shown}", place=source.place(offset), fix=fix)


def read_json(path: Path) -> Any:
    """`parse_json` of a UTF-8 file.

    Raises:
        JsonError: if the file cannot be read, is larger than `MAX_JSON_BYTES`, is not UTF-8 or is not JSON.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_JSON_BYTES + 1)
        if len(data) > MAX_JSON_BYTES:
            raise JsonError(
                f"is larger than {MAX_JSON_BYTES // 2**20} MiB, which no network's JSON is",
                place=str(path),
                fix="Give the network without its weights.",
            )
        return parse_json(data.decode("utf-8-sig"), str(path))
    except OSError as error:
        raise JsonError(
            f"cannot be read: {error.strerror}", place=str(path), fix="Give the path of a readable JSON file."
        ) from None
    except UnicodeDecodeError as error:
        raise _not_text(error, path) from None


def _not_text(error: UnicodeDecodeError, path: Path) -> JsonError:
    for signature, (kind, fix) in BINARY_FILES.items():
        if error.object.startswith(signature):
            return JsonError(f"is {kind}, and no JSON", place=str(path), fix=fix)
    return JsonError(
        f"is not UTF-8 text (byte {error.start} is {error.object[error.start]:#04x})",
        place=str(path),
        fix="Give a JSON file; save it as UTF-8 if it is one. The name of a model ends in .onnx.",
    )
