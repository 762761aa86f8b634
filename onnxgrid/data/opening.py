"""From the `data` section to a data set: samples found, paired with their targets and, if so configured, loaded."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt
import torch

from onnxgrid.config.data import DataConfig, DataType
from onnxgrid.config.paths import InputPath
from onnxgrid.data.class_maps import class_map
from onnxgrid.data.columns import Column, FileColumn, StoredColumn
from onnxgrid.data.dataset import Dataset, TargetKind
from onnxgrid.data.images import ImageFiles
from onnxgrid.data.labels import class_indices, class_labels, class_names
from onnxgrid.data.numpy_arrays import NumpyArrays
from onnxgrid.data.pairing import check_pairing
from onnxgrid.data.samples import Array, Samples
from onnxgrid.errors import DataError

__all__ = ["Split", "open_dataset"]

Log = Callable[[str], None]

CLASS_MAP_FIXES = {
    DataType.IMAGES: "Pixels are divided by 255: give masks of 0 and 255 for classes 0 and 1, or .npy class maps.",
    DataType.NUMPY: "Give whole numbers.",
}

logger = logging.getLogger(__name__)


class Split(Enum):
    """Which of a run's data sets; the value is the word in the log."""

    TRAINING = "training"
    TEST = "test"


def open_dataset(
    data: DataConfig, split: Split, *, target_kind: TargetKind, classes: tuple[str, ...] | None, log: Log
) -> Dataset | None:
    """The data set of the split; None if the configuration has none. With `preload`, everything is read here.

    Args:
        classes: class names that are known already: those of the training data, for the test data.
        log: receives the lines about what is looked for and loaded.

    Raises:
        DataError: for data that cannot be used.
    """
    training = split is Split.TRAINING
    root = data.input_path if training else data.test_input_path
    target_root = data.target_path if training else data.test_target_path
    if root is None:
        return None
    opening = _Opening(data, split, log)
    samples = opening.find("input", root, data.input_type, grayscale=data.input_grayscale)
    inputs = opening.column("input", samples, data.input_type, _as_float)
    targets: Column | None = None
    label_names: tuple[str, ...] | None = None
    if data.target_type is DataType.LABELS:
        if target_root is not None:
            logger.warning("%s is not read: labels are the directories of the inputs", target_root.given)
        targets, label_names = opening.labels(samples, target_kind, classes)
    elif target_root is not None:
        assert data.target_type is not None, "a configuration with a target path has a target type"
        found = opening.find("target", target_root, data.target_type, grayscale=data.target_grayscale)
        check_pairing(samples.names, found.names, input_root=root.path, target_root=target_root.path)
        to_classes = target_kind is TargetKind.CLASS_INDICES
        convert = _class_maps(data, target_root, samples, found) if to_classes else _as_float
        targets = opening.column("target", found, data.target_type, convert)
    kind = "images" if data.input_type is DataType.IMAGES else "samples"
    return Dataset(inputs, targets, names=samples.names, classes=label_names, kind=kind)


@dataclass(frozen=True)
class _Opening:
    """The opening of one data set, with what its log lines need. A side is "input" or "target"."""

    data: DataConfig
    split: Split
    log: Log

    def find(self, side: str, root: InputPath, kind: DataType, *, grayscale: bool) -> Samples:
        """The samples of one side."""
        if kind is DataType.IMAGES:
            self.log(f"Discovering {self.split.value} {side} images...")
            return ImageFiles(root.path, grayscale=grayscale)
        self.log(f"Discovering {self.split.value} {side} NumPy samples...")
        if root.path.is_file():
            self.log(f"Loading file: {root.given}")
        return NumpyArrays(root.path, memory_map=not self.data.preload)

    def column(self, side: str, samples: Samples, kind: DataType, convert: Callable[[Array, int], Array]) -> Column:
        """The samples as tensors, in memory if so configured."""
        column = FileColumn(samples, convert)
        if not self.data.preload:
            return column
        noun = "images" if kind is DataType.IMAGES else "NumPy arrays"
        self.log(f"Pre-loading {self.split.value} {side} {noun}...")
        return column.load()

    def labels(
        self, samples: Samples, target_kind: TargetKind, known: tuple[str, ...] | None
    ) -> tuple[Column, tuple[str, ...]]:
        """The directories' names as targets, and the classes: the known ones, or those that occur."""
        self.log(f"Discovering {self.split.value} labels...")
        tag = self.data.training_tag if self.split is Split.TRAINING else self.data.testing_tag
        labels = class_labels(samples.files, tag=tag)
        classes = class_names(labels) if known is None else known
        self.log(f"Number of class labels: {len(set(labels))}")
        dtype = torch.int64 if target_kind is TargetKind.CLASS_INDICES else torch.float32
        return StoredColumn(torch.tensor(class_indices(labels, classes, samples.files), dtype=dtype)), classes


def _class_maps(data: DataConfig, root: InputPath, inputs: Samples, targets: Samples) -> Callable[[Array, int], Array]:
    """The conversion of targets to class indices."""
    assert data.target_type is not None, "a configuration with a target path has a target type"
    if data.target_type is DataType.IMAGES and not data.target_grayscale:
        raise DataError(
            "these images have three channels where class indices are needed",
            place=str(root.path),
            fix="Set data.target_grayscale to true.",
        )
    fix = CLASS_MAP_FIXES[data.target_type]
    return lambda values, index: class_map(values, input_shape=inputs.shape, place=targets.place(index), fix=fix)


def _as_float(values: Array, _index: int) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what is too large becomes infinite, which the loss will show
        return np.asarray(values, dtype=np.float32)
