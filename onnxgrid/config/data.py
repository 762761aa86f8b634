"""`data`: where the samples are, what they are, and how many make a batch."""

from enum import Enum
from typing import Annotated, Any, ClassVar

from pydantic import AliasChoices, Field, PlainValidator

from onnxgrid.config.paths import InputPlace
from onnxgrid.config.problems import fault, quoted
from onnxgrid.config.section import Section
from onnxgrid.config.values import Count, Flag, Text, WholeNumber, choose

__all__ = ["DataConfig", "DataType"]


class DataType(Enum):
    """The loader of one side. Labels are for targets only: the class of a sample is the name of its directory."""

    IMAGES = "images"
    LABELS = "labels"
    NUMPY = "numpy"


UNSUPPORTED_TYPES = ("mnist", "hdf5", "pde")
INPUT_TYPES = {kind.value: kind for kind in (DataType.IMAGES, DataType.NUMPY)}
TARGET_TYPES = {kind.value: kind for kind in DataType}


def _input_type(value: Any) -> DataType:
    """One of `INPUT_TYPES`; labels get an answer of their own."""
    if value is DataType.LABELS or (isinstance(value, str) and value.casefold() == DataType.LABELS.value):
        raise fault(
            'is "labels", which is a type of targets only',
            f"Give target_type and, for the inputs, input_type: one of {quoted(tuple(INPUT_TYPES))}.",
        )
    return choose(value, INPUT_TYPES, unsupported=UNSUPPORTED_TYPES)


def _target_type(value: Any) -> DataType:
    return choose(value, TARGET_TYPES, unsupported=UNSUPPORTED_TYPES)


class DataConfig(Section):
    """Training and evaluation data.

    The shorthands `type` and `grayscale` stand for both sides; a key of one side wins over them.
    Batch sizes count samples.
    """

    unsupported: ClassVar = {
        "transforms": ([],),
        "input_transforms": ([],),
        "target_transforms": ([],),
        "slicers": ([],),
        "test_output_path": (),
        "hdf5_outfile": (),
        "hdf5_precision": ("single",),
        "domain_size": (),
        "num_examples": (),
        "num_test_examples": (),
        "bc_frequency": (),
        "bc_type": (),
        "bc_terms": (),
    }

    ignorable: ClassVar = {"target_is_mask": "only transforms read it"}

    input_type: Annotated[DataType, PlainValidator(_input_type)] = Field(
        validation_alias=AliasChoices("input_type", "type"), description="one of: " + quoted(tuple(INPUT_TYPES))
    )
    target_type: Annotated[DataType, PlainValidator(_target_type)] | None = Field(
        default=None, validation_alias=AliasChoices("target_type", "type")
    )
    input_path: InputPlace | None = None
    target_path: InputPlace | None = None
    test_input_path: InputPlace | None = None
    test_target_path: InputPlace | None = None
    batch_size: Count = 64
    test_batch_size: Count = 64
    preload: Flag = False
    input_grayscale: Flag = Field(default=False, validation_alias=AliasChoices("input_grayscale", "grayscale"))
    target_grayscale: Flag = Field(default=False, validation_alias=AliasChoices("target_grayscale", "grayscale"))
    training_tag: Text | None = None
    testing_tag: Text | None = Field(default=None, validation_alias=AliasChoices("testing_tag", "test_tag"))
    seed: WholeNumber = 42
