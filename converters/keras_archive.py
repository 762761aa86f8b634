"""The network in a `.keras` archive: its `config.json`, read where it lies; `converters.weights` reads its weights."""

import json
from pathlib import Path
from typing import Any

from converters.errors import JsonError
from converters.json_text import MAX_JSON_BYTES, parse_json
from converters.keras_version import major_version
from converters.weights.archive import Archive
from converters.weights.keras import ARCHIVE_SUFFIX

__all__ = [
    "ARCHIVED_CONFIG",
    "ARCHIVE_SUFFIX",
    "archived_config",
    "archived_keras_version",
    "read_archived_config",
]

ARCHIVED_CONFIG = "config.json"

METADATA = "metadata.json"
MAX_METADATA_BYTES = 2**16


def read_archived_config(path: Path) -> Any:
    """The parsed `config.json` of an archive; errors in it name it as `archive.keras/config.json:line:column`.

    Raises:
        WeightFileError: if the file is no zip archive, or one that cannot be read in good faith.
        JsonError: if it holds no `config.json`, one that is too large, or one that is not JSON.
    """
    return parse_json(archived_config(path), f"{path}/{ARCHIVED_CONFIG}")


def archived_config(path: Path) -> str:
    """The text of the `config.json` of an archive. Raises as `read_archived_config`."""
    archive = Archive(path)
    if ARCHIVED_CONFIG not in archive.names:
        raise JsonError(
            f"holds no {ARCHIVED_CONFIG}", place=str(path), fix="Give an archive that Keras 3 wrote with model.save()."
        )
    if archive.size(ARCHIVED_CONFIG) > MAX_JSON_BYTES:
        raise JsonError(
            f"its {ARCHIVED_CONFIG} is larger than {MAX_JSON_BYTES // 2**20} MiB, which no network's JSON is",
            place=str(path),
            fix="Give an archive that Keras 3 wrote with model.save().",
        )
    try:
        return archive.intact(ARCHIVED_CONFIG).tobytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise JsonError(
            f"is not UTF-8 text (byte {error.start} is {error.object[error.start]:#04x})",
            place=f"{path}/{ARCHIVED_CONFIG}",
            fix="Give an archive that Keras 3 wrote with model.save().",
        ) from None


def archived_keras_version(path: Path) -> int | None:
    """The major version of Keras that wrote an archive, None if its `metadata.json` does not say.

    Raises:
        WeightFileError: if the file is no zip archive, or one that cannot be read in good faith.
    """
    archive = Archive(path)
    if METADATA not in archive.names or archive.size(METADATA) > MAX_METADATA_BYTES:
        return None
    try:
        metadata = json.loads(archive.intact(METADATA).tobytes())
    except (ValueError, RecursionError):
        return None
    return major_version(metadata.get("keras_version")) if isinstance(metadata, dict) else None
