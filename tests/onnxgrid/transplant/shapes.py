"""Both ends of a plan by names and shapes alone: values are never read."""

import numpy as np

from converters.weights import Weight
from onnxgrid.transplant.plan import TargetParameter


def never_read():
    raise AssertionError("a plan reads no values")


def source(shapes):
    return {name: Weight(name, shape, np.dtype(np.float32), never_read, "w.pt") for name, shape in shapes.items()}


def targets(shapes):
    return [TargetParameter(name, name.rpartition(".")[0], shape) for name, shape in shapes.items()]
