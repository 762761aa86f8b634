"""Variables of Keras' files in ONNX' order of axes, and new values for them in the places where they lie."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import ml_dtypes

from converters.axes import AxisOrder
from converters.errors import WeightFileError
from converters.weights.hdf5 import Hdf5Array
from converters.weights.hdf5_writing import hdf5_in
from converters.weights.stored import ByteRange, FileArray
from converters.weights.weight import Array, Weight, Weights, as_bytes

__all__ = ["BFLOAT16_ATTRIBUTE", "KerasArray", "put_values", "store_array"]

BFLOAT16_ATTRIBUTE = "dtype"
"""Keras stores the bits of a bfloat16, and says so here."""


@dataclass(frozen=True)
class KerasArray(FileArray):
    """What reads a variable.

    Args:
        stored: as the file has it.
        axes: how it is turned into ONNX' order.
        axes_are_told: false if only a model tells that order, and none did, so that the axes stand as Keras has them.
    """

    stored: Weight
    axes: AxisOrder
    axes_are_told: bool = True

    @property
    def range(self) -> ByteRange | None:
        return self.stored.range if self.axes.keeps_order else None

    def __call__(self) -> Array:
        return self.axes.to_onnx(self.stored.read())

    def as_stored(self, weight: Weight) -> Array:
        """Other values for the variable, in Keras' order."""
        return self.axes.to_keras(weight.read(), self.stored.shape)

    def pieces(self) -> Iterator[Array]:
        yield from self.stored.pieces() if self.axes.keeps_order else [self()]


def put_values(file: IO[bytes], kept: Weights, changed: Weights) -> None:
    """Change an HDF5 file, open for reading and writing: variables get other values, and types where these differ.

    Args:
        kept: what was read of it, or of a file that it is a copy of.
        changed: the new values, by names of `kept`.

    Raises:
        WeightFileError: if one cannot be read, or not be written into such a file.
    """
    places = {name: _place(kept[name]) for name in changed}
    as_bits = {
        name
        for name, (_array, place) in places.items()
        if place.start is not None and place.stored_dtype.isnative and changed[name].dtype == kept[name].dtype
    }
    for name in as_bits:
        array, place = places[name]
        assert place.start is not None
        file.seek(place.start)
        file.write(as_bytes(array.as_stored(changed[name])))
    file.flush()
    if len(as_bits) < len(changed):
        _put_by_hdf5(file, {name: place for name, place in places.items() if name not in as_bits}, changed)


def _put_by_hdf5(file: IO[bytes], places: Mapping[str, tuple[KerasArray, Hdf5Array]], changed: Weights) -> None:
    with hdf5_in(file, "r+") as opened:
        for name, (array, place) in places.items():
            values = array.as_stored(changed[name])
            dataset = opened[place.path]
            if values.dtype == dataset.dtype.newbyteorder("="):
                dataset[...] = values
            else:
                group, own = dataset.parent, dataset.name.rpartition("/")[2]
                del group[own]
                store_array(group, own, values)


def store_array(group: Any, name: str, values: Array) -> None:
    """Add a dataset to a group of an HDF5 file, as Keras does it."""
    dataset = group.create_dataset(name, data=values)
    if values.dtype == ml_dtypes.bfloat16:
        dataset.attrs[BFLOAT16_ATTRIBUTE] = "bfloat16"


def _place(weight: Weight) -> tuple[KerasArray, Hdf5Array]:
    array = weight.read
    assert isinstance(array, KerasArray)
    if not isinstance(array.stored.read, Hdf5Array):
        raise WeightFileError(
            "lies in the file as NVIDIA's library wants it, which is read and not written",
            place=weight.place,
            fix="Give a target of another kind, or load the file in Keras and save it anew.",
        )
    return array, array.stored.read
