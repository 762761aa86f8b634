"""Weights that Keras wrote: HDF5 files (`.h5`, `.weights.h5`) in the layouts of Keras 2 and 3, and `.keras` archives.

Variables get our names, `<layer>.<parameter>`, and ONNX axis order; models that are layers put their names before
those of their layers. The optimizer's state is left alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from converters.errors import WeightFileError
from converters.weights.archive import Archive
from converters.weights.hdf5 import Hdf5Source, open_hdf5, text_attribute
from converters.weights.keras2_layout import holds_keras2_layout, read_keras2_layout
from converters.weights.keras3_layout import read_keras3_layout, write_keras3_layout
from converters.weights.keras_config import stated_layers
from converters.weights.keras_names import NetworkLayer, name_variables
from converters.weights.registry import Writing, reads, writes
from converters.weights.weight import Weights

if TYPE_CHECKING:
    import h5py

__all__ = ["HDF5_SUFFIXES", "KERAS3_SUFFIX", "read_keras_archive", "read_keras_hdf5", "write_keras_weights"]

HDF5_SUFFIXES = (".h5", ".hdf5")
KERAS3_SUFFIX = ".weights.h5"

CONFIG_ATTRIBUTE = "model_config"
"""Where `model.save("x.h5")` writes the network's JSON."""

CONFIG_MEMBER = "config.json"
WEIGHTS_MEMBER = "model.weights.h5"

MAX_CONFIG_BYTES = 2**28


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


@reads(".keras", named_by_network=True)
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
    stated: Mapping[str, NetworkLayer] = {}
    if CONFIG_MEMBER in archive.names and archive.size(CONFIG_MEMBER) <= MAX_CONFIG_BYTES:
        stated = stated_layers(archive.intact(CONFIG_MEMBER).tobytes())
    file = Hdf5Source(archive.file, archive.intact(WEIGHTS_MEMBER))
    return _read(open_hdf5(file), stated, network, file)


@writes(KERAS3_SUFFIX, by_network=True)
def write_keras_weights(path: Path, weights: Weights, how: Writing) -> None:
    """Write a file that `load_weights` of Keras 3 takes, for a model of these layers.

    Raises:
        WeightFileError: if a weight has no place in the layers of the network, or a layer lacks one.
    """
    write_keras3_layout(path, weights, how.network)


def _read(
    root: "h5py.File", stated: Mapping[str, NetworkLayer], network: Sequence[NetworkLayer], file: Hdf5Source
) -> Weights:
    if holds_keras2_layout(root, file):
        return name_variables(read_keras2_layout(root, tuple(stated.values()), network, file), network)
    variables = read_keras3_layout(root, stated, network, file)
    if not variables:
        raise WeightFileError(
            "holds no weights in a layout of Keras",
            place=file.name,
            fix="Give a file written by model.save or save_weights.",
        )
    return name_variables(variables, network)
