"""The console log, block by block and character by character, as CONFIG.md, section 12, shows it."""

from collections.abc import Callable, Iterator

import pytest
import torch

from onnxgrid.config.loss import BCELossConfig, MSELossConfig, NLLLossConfig
from onnxgrid.config.optimizer import AdamConfig, SGDConfig
from onnxgrid.config.schedule import ExponentialConfig, MultiStepConfig, StepConfig, WarmupConfig
from onnxgrid.data.batches import Share
from onnxgrid.data.columns import StoredColumn
from onnxgrid.data.dataset import Dataset
from onnxgrid.inspection import ModelSummary
from onnxgrid.training.log import RunLog, is_logged
from onnxgrid.training.loop import EvaluatedBatch, TrainedBatch

RULE = "---------------------------------------------"


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def log(lines: list[str]) -> Iterator[RunLog]:
    yield RunLog(lines.append)
    assert not any("\n" in line for line in lines)


def block(text: str) -> list[str]:
    return text.strip("\n").split("\n")


def test_the_start(log: RunLog, lines: list[str]) -> None:
    log.start("1.2.3", "CPU")
    assert lines == block(f"""
onnxgrid 1.2.3
1 process
----------------- Device(s) -----------------
   CPU
{RULE}
""")


@pytest.mark.parametrize(("name", "shown"), [("leaf_unet", "leaf_unet"), (None, "Unknown"), ("", "Unknown")])
def test_the_network(log: RunLog, lines: list[str], name: str | None, shown: str) -> None:
    log.network(ModelSummary("net.json", name, 17, 9, (), (), (), operations=12))
    assert lines == block(f"""
--------------- Neural Network --------------
   Model name          : {shown}
   Total parameters    : 0
   Trainable parameters: 0
   Num of operations   : 12
{RULE}
""")


OPTIMIZERS = {
    "SGD": (
        SGDConfig(learning_rate=0.0001, momentum=0.9, weight_decay=1e-8, dampening=0, nesterov=True),
        """
----------------- Optimizer -----------------
   Type         : SGD
   Learning rate: 0.0001
   Momentum     : 0.9
   Dampening    : 0
   Weight decay : 1e-08
   Nesterov     : 1
""",
    ),
    "Adam": (
        AdamConfig(learning_rate=0.00123456789, amsgrad=False),
        """
----------------- Optimizer -----------------
   Type         : Adam
   Learning rate: 0.00123457
   Beta1        : 0.9
   Beta2        : 0.999
   Weight decay : 0
   Eps          : 1e-08
   AMSGrad      : 0
""",
    ),
    "Step": (
        SGDConfig(lr_scheduler=StepConfig(gamma=0.3, step_size=5)),
        """
----------------- Optimizer -----------------
   Type         : SGD
   Learning rate: 0.01
   Momentum     : 0
   Dampening    : 0
   Weight decay : 0
   Nesterov     : 0
---------- Learning rate scheduler ----------
   Type   : Step
   Gamma  : 0.3
   Step size: 5
   Verbose: True
""",
    ),
}


@pytest.mark.parametrize(("config", "text"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_optimizer(log: RunLog, lines: list[str], config: SGDConfig | AdamConfig, text: str) -> None:
    log.optimizer(config)
    assert lines == block(text)


SCHEDULES = {
    "MultiStep": (
        MultiStepConfig(milestones=(6, 10), verbose=False),
        ["   Type   : MultiStep", "   Gamma  : 0.1", "   Milestones: [6, 10]", "   Verbose: False"],
    ),
    "Exponential": (
        ExponentialConfig(gamma=0.95),
        ["   Type   : Exponential", "   Gamma  : 0.95", "   Verbose: True"],
    ),
    "Warmup": (
        WarmupConfig(num_epochs=3, start_factor=0.1),
        ["   Type   : Warmup", "   Epochs : 3", "   Factor : 0.1", "   Verbose: True"],
    ),
}


@pytest.mark.parametrize(("schedule", "expected"), SCHEDULES.values(), ids=SCHEDULES)
def test_the_learning_rate_scheduler(
    log: RunLog, lines: list[str], schedule: MultiStepConfig | ExponentialConfig | WarmupConfig, expected: list[str]
) -> None:
    log.optimizer(SGDConfig(lr_scheduler=schedule))
    assert lines[7:] == ["---------- Learning rate scheduler ----------", *expected]


LOSSES = {
    "NLL": (
        NLLLossConfig(),
        ["   Function    : NLL (Negative Log-Likelihood)", "   Weight      : None", "   Ignore index: None"],
    ),
    "NLL with options": (
        NLLLossConfig(weight=(1.0, 0.5), ignore_index=255),
        ["   Function    : NLL (Negative Log-Likelihood)", "   Weight      : [1.0, 0.5]", "   Ignore index: 255"],
    ),
    "BCE": (BCELossConfig(), ["   Function: BCE (Binary Cross-Entropy)"]),
    "MSE": (MSELossConfig(), ["   Function: MSE (Mean Squared Error)"]),
}


@pytest.mark.parametrize(("config", "expected"), LOSSES.values(), ids=LOSSES)
def test_the_loss(
    log: RunLog, lines: list[str], config: NLLLossConfig | BCELossConfig | MSELossConfig, expected: list[str]
) -> None:
    log.loss(config)
    assert lines == ["-------------------- Loss -------------------", *expected, RULE]


def dataset(count: int, kind: str) -> Dataset:
    names = tuple(f"{i}.png" for i in range(count))
    return Dataset(StoredColumn(torch.zeros(count, 1, 2, 2)), None, names=names, classes=None, kind=kind)


def test_the_data_sets(log: RunLog, lines: list[str]) -> None:
    sets = [
        ("Training dataset", dataset(50, "images"), 16, Share()),
        ("Test dataset", dataset(9, "images"), 64, Share()),
    ]
    log.datasets("images", sets)
    assert lines == block(f"""
------------------ Dataset ------------------
Training dataset:
   Type                     : images
   Num images  (total)      : 50
   Num images  (per process): 50
   Batch size  (requested)  : 16
   Batch size  (per process): 16
   Num batches (per process): 4
Test dataset:
   Type                     : images
   Num images  (total)      : 9
   Num images  (per process): 9
   Batch size  (requested)  : 64
   Batch size  (per process): 64
   Num batches (per process): 1
{RULE}
""")


def test_the_data_set_of_numpy_samples(log: RunLog, lines: list[str]) -> None:
    log.datasets("numpy", [("Test dataset", dataset(3, "samples"), 2, Share())])
    assert lines[2:5] == [
        "   Type                     : numpy",
        "   Num samples (total)      : 3",
        "   Num samples (per process): 3",
    ]


def test_what_several_processes_change(lines: list[str]) -> None:
    log = RunLog(lines.append, processes=2)
    log.start("1.2.3", "CPU")
    log.datasets("images", [("Training dataset", dataset(5001, "images"), 41, Share(0, 2, accumulated=3))])
    log.trained(3, 25, 125, TrainedBatch(14, 0.4702, 0.9655, 0.229, 0.751, 0.02))
    assert lines == block(f"""
onnxgrid 1.2.3
2 processes
----------------- Device(s) -----------------
   CPU
{RULE}
-------------- Gradient reducer -------------
   Type: oneshot
{RULE}
------------------ Dataset ------------------
Training dataset:
   Type                     : images
   Num images  (total)      : 5001
   Num images  (per process): 2501
   Batch size  (requested)  : 41
   Batch size  (per process): 21
   Num batches (per process): 122
   Batches per step         : 3
{RULE}
Train Epoch [  3/ 25] : Batch [   15/  125] (Loss = 0.4702; |g| = 0.9655) [Data: 22%; Compute: 75%; Grad/Comm: 2%]
""")


def test_progress(log: RunLog, lines: list[str]) -> None:
    log.trained(3, 25, 125, TrainedBatch(13, 0.47114, 1.082, data_share=0.21999, compute_share=0.789))
    log.evaluated(3, 25, 6, EvaluatedBatch(1, 0.5013, 0.8729))
    log.evaluated(3, 25, 6, EvaluatedBatch(2, 0.5013, None))
    log.evaluated(1, 1, 6, EvaluatedBatch(0, None, None))
    log.rule()
    log.done()
    assert lines == [
        "Train Epoch [  3/ 25] : Batch [   14/  125] (Loss = 0.4711; |g| = 1.0820) [Data: 21%; Compute: 78%]",
        "Eval  Epoch [  3/ 25] : Batch [    2/    6] (Loss: 0.5013) | Accuracy: 0.873",
        "Eval  Epoch [  3/ 25] : Batch [    3/    6] (Loss: 0.5013)",
        "Eval  Epoch [  1/  1] : Batch [    1/    6]",
        RULE,
        "All done (return value = 0). ",
    ]


def logged(batches: int) -> list[int]:
    """The numbers, from 1, of the batches that get a line."""
    return [index + 1 for index in range(batches) if is_logged(index, batches)]


def test_lines_of_a_long_epoch_are_those_of_the_published_log() -> None:
    assert logged(469)[:5] == [5, 10, 15, 19, 24]
    assert logged(469)[-1] == 469
    assert len(logged(469)) == 100


@pytest.mark.parametrize("batches", [1, 7, 99, 100])
def test_every_batch_of_a_short_epoch_is_logged(batches: int) -> None:
    assert logged(batches) == list(range(1, batches + 1))


WRITERS: list[Callable[[RunLog], None]] = [
    lambda log: log.trained(1, 1, 469, TrainedBatch(3, 0.0, 0.0, 0.0, 0.0)),
    lambda log: log.evaluated(1, 1, 469, EvaluatedBatch(3, 0.0, 0.0)),
]


@pytest.mark.parametrize("write", WRITERS, ids=["training", "evaluation"])
def test_other_batches_get_no_line(log: RunLog, lines: list[str], write: Callable[[RunLog], None]) -> None:
    write(log)
    assert lines == []
