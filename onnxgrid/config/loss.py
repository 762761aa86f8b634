"""`loss`: the function that training lowers, and how it reads the network's output."""

from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import PlainValidator, model_validator

from onnxgrid.config.problems import fault_at
from onnxgrid.config.section import Section, Variants
from onnxgrid.config.values import AnyInteger, Factor, array_of, choose

__all__ = ["LOSSES", "BCELossConfig", "LossConfig", "MSELossConfig", "NLLLossConfig", "Source"]


class Source(Enum):
    """What the network's output is."""

    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"
    LOGITS = "logits"


SOURCES = {
    "sigmoid": Source.SIGMOID,
    "softmax": Source.SOFTMAX,
    "logits": Source.LOGITS,
    "linear": Source.LOGITS,
    "none": Source.LOGITS,
}


def _source(value: Any) -> Source:
    return choose(value, SOURCES, unsupported=("log_softmax",))


class NLLLossConfig(Section):
    """Negative log-likelihood of class indices under log-probabilities. `weight` has one number for each class."""

    function: Literal["NLL"] = "NLL"
    weight: Annotated[tuple[Factor, ...], array_of("numbers, one for each class")] | None = None
    ignore_index: AnyInteger | None = None

    @model_validator(mode="after")
    def _some_class_counts(self) -> "NLLLossConfig":
        if self.weight is not None and not any(self.weight):
            raise fault_at("weight", "is 0 for every class", "Give a number above 0 for at least one class.")
        return self


class BCELossConfig(Section):
    """Binary cross entropy. Without `source` the output is read as probabilities."""

    function: Literal["BCE"] = "BCE"
    source: Annotated[Source, PlainValidator(_source)] | None = None


class MSELossConfig(Section):
    """Mean squared error."""

    function: Literal["MSE"] = "MSE"


LOSSES = Variants(
    "function",
    {"NLL": NLLLossConfig, "BCE": BCELossConfig, "MSE": MSELossConfig},
    unsupported=(
        "Dice",
        "Jaccard",
        "Focal",
        "Lovasz",
        "Wasserstein",
        "YOLOv3",
        "Burgers_PDE",
        "Poisson2D_PDE",
        "Poisson3D_PDE",
    ),
)

LossConfig = Annotated[NLLLossConfig | BCELossConfig | MSELossConfig, PlainValidator(LOSSES.validate)]
