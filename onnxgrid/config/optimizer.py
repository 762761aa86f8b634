"""`optimizer`: the update rule. The learning rate is 0.01 by default for every type, unlike torch's."""

from typing import Annotated, Literal

from pydantic import PlainValidator, model_validator

from onnxgrid.config.layers import LayerRates
from onnxgrid.config.problems import fault_at, shown
from onnxgrid.config.schedule import ScheduleConfig
from onnxgrid.config.section import Section, Variants
from onnxgrid.config.values import Factor, Flag, Fraction, Number

__all__ = ["OPTIMIZERS", "AdamConfig", "OptimizerConfig", "SGDConfig"]


class SGDConfig(Section):
    """Stochastic gradient descent, as torch.optim.SGD defines it."""

    type: Literal["SGD"] = "SGD"
    learning_rate: Factor = 0.01
    momentum: Factor = 0.0
    weight_decay: Factor = 0.0
    dampening: Number = 0.0
    nesterov: Flag = False
    lr_scheduler: ScheduleConfig | None = None
    layer_rates: LayerRates = None

    @model_validator(mode="after")
    def _nesterov_fits(self) -> "SGDConfig":
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise fault_at(
                "nesterov",
                f"is true with momentum {shown(self.momentum)} and dampening {shown(self.dampening)}",
                "Give a momentum above 0 and no dampening, or leave nesterov out.",
            )
        return self


class AdamConfig(Section):
    """Adam, as torch.optim.Adam defines it."""

    type: Literal["Adam"] = "Adam"
    learning_rate: Factor = 0.01
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: Factor = 1e-8
    weight_decay: Factor = 0.0
    amsgrad: Flag = False
    lr_scheduler: ScheduleConfig | None = None
    layer_rates: LayerRates = None


OPTIMIZERS = Variants(
    "type",
    {"SGD": SGDConfig, "Adam": AdamConfig},
    unsupported=("Adagrad", "AdamW", "RMSprop", "LARS", "LAMB", "Hessian"),
)

OptimizerConfig = Annotated[SGDConfig | AdamConfig, PlainValidator(OPTIMIZERS.validate)]
