"""The whole run: `neural_network`, the one object of a configuration file, and the rules between its sections."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field, PlainValidator, ValidationInfo

from converters.json_text import JsonArray, JsonObject
from onnxgrid.config.checkpoints import CheckpointsConfig
from onnxgrid.config.data import DataConfig
from onnxgrid.config.layers import FrozenLayers
from onnxgrid.config.loss import LOSSES, LossConfig, NLLLossConfig
from onnxgrid.config.optimizer import OPTIMIZERS, OptimizerConfig
from onnxgrid.config.paths import InputPath, OutputPath, find_file
from onnxgrid.config.problems import KeyPath, Problem, fault, shown
from onnxgrid.config.schedule import SCHEDULES
from onnxgrid.config.section import Section, Variants
from onnxgrid.config.values import Count

__all__ = ["SECTIONS", "InlineNetwork", "RunConfig", "contradictions"]


@dataclass(frozen=True)
class InlineNetwork:
    """A network written into the configuration: its JSON, which knows its places in the file. Not to be changed."""

    content: JsonArray | JsonObject


def _layers(given: Any, info: ValidationInfo) -> InputPath | InlineNetwork:
    if isinstance(given, InlineNetwork):
        return given
    if isinstance(given, JsonArray | JsonObject):
        return InlineNetwork(given)
    if isinstance(given, str | InputPath):
        return find_file(given, info)
    raise fault(f"is {shown(given)}", "Give the path of a network JSON file, or the network itself.")


class RunConfig(Section):
    """A run that makes sense: there is data to work on, and training has an optimizer, a loss and targets."""

    unsupported: ClassVar = {"debug": (False,), "multigrid": ()}
    ignorable: ClassVar = {"debug_interval": "only debug reads it"}

    layers: Annotated[InputPath | InlineNetwork, PlainValidator(_layers)] = Field(
        description="the path of a network JSON file, or the network itself"
    )
    data: DataConfig = Field(description="an object that says where the data is")
    optimizer: OptimizerConfig | None = None
    loss: LossConfig | None = None
    num_epochs: Count = 1
    freeze: FrozenLayers = ()
    outfile: OutputPath | None = None
    checkpoints: CheckpointsConfig = CheckpointsConfig()


SECTIONS: Mapping[KeyPath, type[Section] | Variants] = {
    (): RunConfig,
    ("data",): DataConfig,
    ("optimizer",): OPTIMIZERS,
    ("optimizer", "lr_scheduler"): SCHEDULES,
    ("loss",): LOSSES,
    ("checkpoints",): CheckpointsConfig,
}
"""Which model reads the object at which place."""


def contradictions(given: Mapping[str, Any]) -> Iterator[Problem]:
    """What does not fit together in `neural_network` as it was given.

    Looks at which keys are there, not at models, so that it finds its part however wrong the values are.
    """
    data = given.get("data")
    if not isinstance(data, Mapping):
        return
    if data.get("input_path") is not None:
        yield from _training_lacks(given, data)
    elif data.get("test_input_path") is not None:
        yield from _evaluation_lacks(given)
    else:
        yield Problem(
            ("data",),
            "has neither input_path nor test_input_path: there is nothing to do",
            "Give data.input_path to train, data.test_input_path to evaluate, or both.",
        )
    yield from _unmatched_targets(data)
    if _has_labels(data) and LOSSES.model(_object(given, "loss")) not in (None, NLLLossConfig):
        yield Problem(
            ("loss", "function"),
            f"is {shown(_object(given, 'loss')['function'])}, which cannot compare class labels",
            'Use "NLL", or targets of another type.',
        )


def _training_lacks(given: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[Problem]:
    for key in ("optimizer", "loss"):
        if given.get(key) is None:
            yield Problem(
                (key,),
                "is missing, but data.input_path asks for training",
                f"Give {key}, or leave data.input_path out.",
            )
    if data.get("target_path") is None and not _has_labels(data):
        yield Problem(
            ("data", "target_path"),
            "is missing, but data.input_path asks for training",
            'Give the targets, or set data.target_type to "labels".',
        )


def _evaluation_lacks(given: Mapping[str, Any]) -> Iterator[Problem]:
    if _object(given, "checkpoints").get("load") is None:
        yield Problem(
            ("checkpoints", "load"),
            "is missing, and without data.input_path nothing is trained",
            "Give the checkpoint to evaluate, or data.input_path to train.",
        )


def _unmatched_targets(data: Mapping[str, Any]) -> Iterator[Problem]:
    for prefix in ("", "test_"):
        targets, inputs = f"{prefix}target_path", f"{prefix}input_path"
        if data.get(targets) is None:
            continue
        if data.get(inputs) is None:
            yield Problem(
                ("data", inputs), f"is missing, but {targets} is given", f"Give both, or leave {targets} out."
            )
        if data.get("type") is None and data.get("target_type") is None:
            yield Problem(
                ("data", "target_type"),
                f"is missing, but {targets} is given",
                "Give type or target_type: what the targets are.",
            )


def _has_labels(data: Mapping[str, Any]) -> bool:
    kind = data.get("target_type", data.get("type"))
    return isinstance(kind, str) and kind.casefold() == "labels"


def _object(given: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = given.get(key)
    return value if isinstance(value, Mapping) else {}
