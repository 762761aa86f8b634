"""Cases of every layer and option: one table per family. Who adds a layer adds a case."""

from tests.converters.layer_cases import (
    activation,
    applications,
    attention,
    convolution,
    core,
    images,
    merge,
    normalization,
    pooling,
    recurrent,
    reshape,
)
from tests.converters.layer_cases.case import Case

__all__ = ["CASES", "Case", "flat"]

CASES: dict[str, dict[str, Case]] = {
    class_name: cases
    for family in (
        *(core, convolution, pooling, normalization, activation, merge, reshape, images),
        *(applications, recurrent, attention),
    )
    for class_name, cases in family.CASES.items()
}
"""Class name -> the fact under test -> case."""


def flat() -> dict[str, Case]:
    """Every case, by class and fact."""
    return {f"{name}: {fact}": case for name, cases in CASES.items() for fact, case in cases.items()}
