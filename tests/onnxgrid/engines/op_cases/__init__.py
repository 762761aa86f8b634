"""Cases of every ONNX op in torch: one table per family. Who adds an op adds a case."""

from tests.onnxgrid.engines.op_cases import (
    activation,
    arithmetic,
    convolution,
    normalization,
    numbers,
    pooling,
    reduction,
    resampling,
    shape,
)
from tests.onnxgrid.engines.op_cases.case import Case

__all__ = ["CASES", "Case"]

CASES: dict[str, Case] = {
    fact: case
    for family in (
        activation,
        arithmetic,
        convolution,
        normalization,
        numbers,
        pooling,
        reduction,
        resampling,
        shape,
    )
    for fact, case in family.CASES.items()
}
