"""Weights that Keras wrote: HDF5 files (`.h5`, `.weights.h5`) in the layouts of Keras 2 and 3, and `.keras` archives.

Variables get our names, `<layer>.<parameter>`, and ONNX axis order; models that are layers put their names before
those of their layers. The optimizer's state is left alone.
"""

import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from converters.errors import WeightFileError
from converters.weights.archive import Archive, put_member
from converters.weights.hdf5 import Hdf5Source, open_hdf5, text_attribute
from converters.weights.hdf5_writing import hdf5_in
from converters.weights.keras2_layout import holds_keras2_layout, read_keras2_layout, write_keras2_layout
from converters.weights.keras3_layout import read_keras3_layout, write_keras3_layout
from converters.weights.keras_arrays import put_values
from converters.weights.keras_config import stated_layers
from converters.weights.keras_names import NetworkLayer, name_variables
from converters.weights.registry import Writing, reads, rewrites, writes
from converters.weights.stored import PIECE_BYTES, OpenFile
from converters.weights.weight import Weights

if TYPE_CHECKING:
    import h5py

__all__ = [
    "ARCHIVE_SUFFIX",
    "HDF5_SUFFIXES",
    "KERAS3_SUFFIX",
    "read_keras_archive",
    "read_keras_hdf5",
    "rewrite_keras_archive",
    "rewrite_keras_hdf5",
    "rewrite_keras_weights",
    "stated_config",
    "stated_network",
    "write_keras_archive",
    "write_keras_hdf5",
    "write_keras_weights",
]

HDF5_SUFFIXES = (".h5", ".hdf5")
KERAS3_SUFFIX = ".weights.h5"
ARCHIVE_SUFFIX = ".keras"

CONFIG_ATTRIBUTE = "model_config"
"""Where `model.save("x.h5")` writes the network's JSON."""

VERSION_ATTRIBUTE = "keras_version"

CONFIG_MEMBER = "config.json"
WEIGHTS_MEMBER = "model.weights.h5"

METADATA_MEMBER = "metadata.json"

MAX_CONFIG_BYTES = 2**28

WRITTEN_METADATA = b'{"keras_version": "3.0.0", "date_saved": "1980-01-01@00:00:00"}'
"""Version of the layout; and of 1980, as the time of writing is no part of the weights."""


@reads(*HDF5_SUFFIXES, named_by_network=True)
def read_keras_hdf5(path: Path, network: Sequence[NetworkLayer] = ()) -> Weights:
    """The weights of an HDF5 file, in either layout.

    Args:
        network: the layers of the network that the weights are for; they tell the classes that the file does not.

    Raises:
        WeightFileError: if the file is broken, or was not written by Keras.
    """
    file = Hdf5Source.of(path)
    root = open_hdf5(file)
    return _read(root, stated_layers(text_attribute(root, CONFIG_ATTRIBUTE, file) or ""), network, file)


def stated_network(path: Path) -> tuple[NetworkLayer, ...]:
    """The layers of the network that a file of Keras says it holds the weights of, in its order; none of another file.

    Raises:
        WeightFileError: if the file is broken.
    """
    name = path.name.lower()
    if not path.is_file() or not path.stat().st_size:
        return ()  # which is said when it is read
    if name.endswith(ARCHIVE_SUFFIX):
        return tuple(_archived_layers(Archive(path)).values())
    if name.endswith(HDF5_SUFFIXES):
        file = Hdf5Source.of(path)
        return tuple(stated_layers(text_attribute(open_hdf5(file), CONFIG_ATTRIBUTE, file) or "").values())
    return ()


def stated_config(path: Path) -> tuple[str, str] | None:
    """The network's JSON in an HDF5 file that `model.save` wrote, and the version of Keras; None if it holds none.

    Raises:
        WeightFileError: if the file is broken.
    """
    file = Hdf5Source.of(path)
    root = open_hdf5(file)
    config = text_attribute(root, CONFIG_ATTRIBUTE, file)
    return None if config is None else (config, text_attribute(root, VERSION_ATTRIBUTE, file) or "")


def _archived_layers(archive: Archive) -> Mapping[str, NetworkLayer]:
    if CONFIG_MEMBER in archive.names and archive.size(CONFIG_MEMBER) <= MAX_CONFIG_BYTES:
        return stated_layers(archive.intact(CONFIG_MEMBER).tobytes())
    return {}


@reads(ARCHIVE_SUFFIX, named_by_network=True)
def read_keras_archive(path: Path, network: Sequence[NetworkLayer] = ()) -> Weights:
    """The weights of an archive that `model.save` wrote; the network's JSON beside them names them.

    Raises:
        WeightFileError: if the archive is broken, or holds no weights.
    """
    archive = Archive(path)
    if WEIGHTS_MEMBER not in archive.names:
        raise WeightFileError(
            f"holds no '{WEIGHTS_MEMBER}'", place=archive.file, fix="Give a file written by model.save of Keras 3."
        )
    layers = _archived_layers(archive)
    with archive.proven(WEIGHTS_MEMBER) as content:
        file = Hdf5Source(archive.file, content, archive.range(WEIGHTS_MEMBER))
        return _read(open_hdf5(file), layers, network, file)


@writes(KERAS3_SUFFIX, by_network=True)
def write_keras_weights(path: Path, weights: Weights, how: Writing) -> None:
    """Write a file that `load_weights` of Keras 3 takes, for a model of these layers.

    Raises:
        WeightFileError: if a weight has no place in the layers of the network, or a layer lacks one.
    """
    with path.open("r+b") as stream, hdf5_in(stream, "w") as file:
        write_keras3_layout(file, weights, how.network)


@writes(*HDF5_SUFFIXES, by_network=True)
def write_keras_hdf5(path: Path, weights: Weights, how: Writing) -> None:
    """Write a file as `save_weights` of Keras 2 does it. Raises as `write_keras_weights`."""
    with path.open("r+b") as stream, hdf5_in(stream, "w") as file:
        write_keras2_layout(file, weights, how.network)


@writes(ARCHIVE_SUFFIX, by_network=True)
def write_keras_archive(path: Path, weights: Weights, how: Writing) -> None:
    """Write an archive that `load_model` of Keras 3 takes. Raises as `write_keras_weights`."""
    if not how.config:
        raise WeightFileError(
            "holds a network beside its weights, and none is given",
            place=str(path),
            fix=f"Write a {KERAS3_SUFFIX} file.",
        )
    with tempfile.TemporaryFile(dir=path.parent) as inner, zipfile.ZipFile(path, "w") as archive:
        with hdf5_in(inner, "w") as file:
            write_keras3_layout(file, weights, how.network)
        put_member(archive, zipfile.ZipInfo(METADATA_MEMBER), [WRITTEN_METADATA])
        put_member(archive, zipfile.ZipInfo(CONFIG_MEMBER), [how.config.encode()])
        put_member(archive, zipfile.ZipInfo(WEIGHTS_MEMBER), _pieces(inner))


@rewrites(*HDF5_SUFFIXES)
def rewrite_keras_hdf5(path: Path, like: Path, kept: Weights, changed: Weights, _how: Writing) -> None:
    """Write the file `like`, in either layout, with other values in it; what else it holds, the optimizer's state
    among it, stays.
    """
    _rewrite_hdf5(path, like, kept, changed)


@rewrites(KERAS3_SUFFIX)
def rewrite_keras_weights(path: Path, like: Path, kept: Weights, changed: Weights, _how: Writing) -> None:
    """As `rewrite_keras_hdf5`."""
    _rewrite_hdf5(path, like, kept, changed)


@rewrites(ARCHIVE_SUFFIX)
def rewrite_keras_archive(path: Path, like: Path, kept: Weights, changed: Weights, _how: Writing) -> None:
    """Write the archive `like` with other values in its weights; its other members stay."""
    members = Archive(like)
    with tempfile.TemporaryFile(dir=path.parent) as inner, zipfile.ZipFile(path, "w") as archive:
        for piece in members.pieces(WEIGHTS_MEMBER):
            inner.write(piece.data)
        put_values(inner, kept, changed)
        for name in members.names:
            put_member(archive, members.info(name), _pieces(inner) if name == WEIGHTS_MEMBER else members.pieces(name))


def _rewrite_hdf5(path: Path, like: Path, kept: Weights, changed: Weights) -> None:
    source = OpenFile(like)
    with path.open("r+b") as file:
        source.copy(0, source.size, file)
        put_values(file, kept, changed)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    """All bytes of a file that was written, from its beginning."""
    file.seek(0)
    while piece := file.read(PIECE_BYTES):
        yield piece


def _read(
    root: "h5py.File", stated: Mapping[str, NetworkLayer], network: Sequence[NetworkLayer], file: Hdf5Source
) -> Weights:
    if holds_keras2_layout(root, file):
        return name_variables(read_keras2_layout(root, tuple(stated.values()), network, file), network)
    variables = read_keras3_layout(root, stated, network, file)
    if not variables and (not network or any(layer.variables for layer in network)):
        raise WeightFileError(
            "holds no weights in a layout of Keras",
            place=file.name,
            fix="Give a file written by model.save or save_weights.",
        )
    return name_variables(variables, network)
