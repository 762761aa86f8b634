"""A run's beginning: everything that its configuration names is opened, logged and held against each other before
anything is trained.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx_ir as ir

import onnxgrid
from onnxgrid.config import CheckpointsConfig, InputPath, RunConfig
from onnxgrid.data import Batch, Dataset, Share, Split, TargetKind, batch_count, batches, open_dataset
from onnxgrid.engines import KernelOptions, default_engine
from onnxgrid.engines.devices import choose_device, device_name
from onnxgrid.engines.options import EngineRequest
from onnxgrid.errors import ConfigError
from onnxgrid.inspection import summarize_model
from onnxgrid.losses import Loss, loss_for
from onnxgrid.processes import Launch, Processes
from onnxgrid.training.checkpoints import Checkpoint, RunState, forget_checkpoints, newest_checkpoint, restore_weights
from onnxgrid.training.fit import require_fit, warn_of_ending, with_targets_checked
from onnxgrid.training.layer_choice import frozen
from onnxgrid.training.log import RunLog
from onnxgrid.training.network import load_weights, open_network
from onnxgrid.training.options import RunOptions
from onnxgrid.training.settings import differences, run_settings

__all__ = ["Run", "SampleSet", "open_run", "restarts_of"]

logger = logging.getLogger(__name__)

RATE_KEYS = ("optimizer.learning_rate", "optimizer.lr_scheduler", "optimizer.layer_rates")
"""What of the optimizer may change on the way: every epoch sets the learning rate anew."""


@dataclass(frozen=True)
class SampleSet:
    """A data set that fits the network, and how it is cut into batches and steps."""

    dataset: Dataset
    path: InputPath
    batch_size: int
    share: Share
    pinned: bool
    """Whether its batches are copied to a GPU."""

    @property
    def step_count(self) -> int:
        return batch_count(len(self.dataset), self.batch_size * self.share.accumulated)

    def batches(self, model: ir.Model, loss: Loss | None, *, epoch: int, seed: int, shuffle: bool) -> Iterator[Batch]:
        """One pass over this process's samples; targets are checked against the loss and the network's output."""
        stream = batches(
            self.dataset, self.batch_size, epoch=epoch, seed=seed, shuffle=shuffle, share=self.share, pinned=self.pinned
        )
        return stream if loss is None else with_targets_checked(stream, self.dataset, model, loss, self.path.given)


@dataclass(frozen=True)
class Run:
    """What a configuration names, opened."""

    settings: RunConfig
    options: RunOptions
    processes: Processes
    log: RunLog
    model: ir.Model
    place: str
    """Where the network came from, for errors."""
    loss: Loss | None
    training: SampleSet | None
    test: SampleSet | None
    checkpoint: Checkpoint | None
    """What the run goes on from."""
    state: RunState
    kernels: KernelOptions


def open_run(settings: RunConfig, options: RunOptions, processes: Processes, log: RunLog) -> Run:
    """The run of a configuration, in one of its processes.

    Raises:
        UserError: if anything cannot be used.
    """
    if processes.leads:
        _require_folder(settings.checkpoints.save, "checkpoints.save")
        _require_folder(options.profile, "--profile")
    seed, resume = options.seed, options.resume or bool(options.restarts)
    folder = _folder_to_resume(settings.checkpoints, options)
    checkpoint = newest_checkpoint(folder) if resume and folder is not None else None
    if processes.leads and not resume and options.restarts is not None and folder is not None:
        forget_checkpoints(folder)
    state = _first_state(settings, options) if checkpoint is None else _resumed_state(checkpoint, settings, options)
    if options.profile is not None:
        _require_profile(settings, state)
    log.start(onnxgrid.__version__, device_name(state.device))
    network = open_network(settings.layers, seed=0 if seed is None else seed)
    model = network.model
    log.network(summarize_model(frozen(model, settings.freeze), network.place))
    if resume and checkpoint is None:
        log.write(f"No checkpoint in folder: {settings.checkpoints.save}; starting from the beginning")
    if checkpoint is not None:
        log.write(f"Resuming after epoch {state.epoch} from file: {checkpoint.path}")
        model = restore_weights(checkpoint, model)
    elif settings.checkpoints.load is not None:
        load_weights(network, settings.checkpoints.load, strict=options.strict, write=log.write)
    if settings.optimizer is not None and settings.data.input_path is not None:
        log.optimizer(settings.optimizer)
    if settings.loss is not None:
        log.loss(settings.loss)
    loss = None if settings.loss is None else loss_for(settings.loss)
    share = Share(processes.rank, processes.size, options.accumulate)
    training, test = _open_data(settings, loss, log, share, pinned=state.device != "cpu")
    for sample_set in (training, test):
        if sample_set is not None:
            require_fit(model, network.place, sample_set.dataset, sample_set.path.given, loss)
    if loss is not None:
        warn_of_ending(model, loss)
    kernels = _kernels(checkpoint, options.request, state)
    return Run(
        settings, options, processes, log, model, network.place, loss, training, test, checkpoint, state, kernels
    )


def _require_folder(folder: Path | None, place: str) -> None:
    """Nothing, if files can be written where they are to go: to be known before an epoch is spent."""
    if folder is None:
        return
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise ConfigError(f"is '{folder}', where no folder can be made or written", place=place, fix="Give a folder.")


def _require_profile(settings: RunConfig, state: RunState) -> None:
    """Nothing, if the steps of a run can be profiled."""
    if settings.data.input_path is None:
        problem, fix = "has nothing to measure: the run does not train", "Set data.input_path, or leave it out."
    elif state.compile:
        problem, fix = "cannot tell the layers of compiled steps apart", "Leave --compile out, or --profile."
    elif state.engine == "ort" and state.device != "cpu":
        problem = (
            "cannot measure ONNX Runtime on a GPU: its profiler sees when work is handed over, not when it is done"
        )
        fix = "Use --engine torch or --device cpu."
    else:
        return
    raise ConfigError(problem, place="--profile", fix=fix)


def restarts_of(launch: Launch | None) -> int:
    """How often torchrun has started this process anew.

    Raises:
        ConfigError: if it was not torchrun that started it.
    """
    if launch is None or launch.restarts is None:
        raise ConfigError(
            "needs torchrun, which starts the processes again when one has failed",
            place="--elastic",
            fix="Run: torchrun --nproc-per-node N --max-restarts R -m onnxgrid train CONFIG --elastic",
        )
    return launch.restarts


def _folder_to_resume(checkpoints: CheckpointsConfig, options: RunOptions) -> Path | None:
    """The folder of checkpoints, which some options need."""
    needing = "--resume" if options.resume else "--elastic" if options.restarts is not None else None
    if checkpoints.save is None and needing is not None:
        raise ConfigError(
            f"is missing, and {needing} needs the folder that holds the checkpoints",
            place="checkpoints.save",
            fix="Set checkpoints.save to that folder.",
        )
    return checkpoints.save


def _first_state(settings: RunConfig, options: RunOptions) -> RunState:
    request, seed = options.request, options.seed
    engine = request.engine or default_engine()
    return RunState(
        epoch=0,
        step=0,
        seed=settings.data.seed if seed is None else seed,
        seconds=0.0,
        engine=engine,
        device=choose_device(engine, request.device),
        precision=request.precision or "fp32",
        compile=bool(request.compile),
    )


def _resumed_state(checkpoint: Checkpoint, settings: RunConfig, options: RunOptions) -> RunState:
    state, request, seed = checkpoint.state, options.request, options.seed
    _compare_settings(checkpoint, run_settings(settings, options.accumulate))
    if seed not in (None, state.seed):
        raise ConfigError(
            f"the run was begun with seed {state.seed}, not {seed}",
            place=str(checkpoint.path),
            fix=f"Leave --seed out, or give --seed {state.seed}.",
        )
    engine = request.engine or state.engine
    resumed = replace(
        state,
        engine=engine,
        device=choose_device(engine, request.device),
        precision=request.precision or state.precision,
        compile=state.compile if request.compile is None else request.compile,
    )
    _warn_of_other_numbers(state, resumed)
    return resumed


def _warn_of_other_numbers(begun: RunState, resumed: RunState) -> None:
    if begun.engine != resumed.engine:
        logger.warning(
            "the run was begun with the %s engine; with %s its numbers differ in the last digits",
            begun.engine,
            resumed.engine,
        )
    if begun.device != resumed.device:
        logger.warning(
            "the run was begun on %s; on %s its dropout masks and the last digits of its numbers differ",
            begun.device,
            resumed.device,
        )
    if begun.precision != resumed.precision:
        logger.warning("the run was begun in %s; in %s its numbers differ", begun.precision, resumed.precision)
    if begun.compile != resumed.compile:
        with_or_without = ("without", "with")
        logger.warning(
            "the run was begun %s --compile; %s it its numbers differ in the last digits",
            with_or_without[begun.compile],
            with_or_without[resumed.compile],
        )


def _kernels(checkpoint: Checkpoint | None, request: EngineRequest, state: RunState) -> KernelOptions:
    """Those of the checkpoint, unless the user asks for others."""
    begun = None if checkpoint is None else checkpoint.state
    if request.kernel_choice is not None:
        if begun is not None:
            logger.warning("kernels are chosen anew (--kernel-choice): the run's numbers may differ in the last digits")
        return KernelOptions(request.kernel_choice)
    if checkpoint is None or begun is None or begun.options != state.options:
        return KernelOptions()
    return KernelOptions(decided=checkpoint.kernels)


def _compare_settings(checkpoint: Checkpoint, settings: Mapping[str, Any]) -> None:
    """Refuse another optimizer, whose state would not fit; warn of what else makes the run another one."""
    different = differences(checkpoint.settings, settings)
    fixed = {
        key: text for key, text in different.items() if key.startswith("optimizer.") and not key.startswith(RATE_KEYS)
    }
    if fixed:
        raise ConfigError(
            "the run was begun with another optimizer: " + _listed(fixed),
            place=str(checkpoint.path),
            fix="Resume with the optimizer the run began with; only its learning rate may change.",
        )
    if different:
        logger.warning("the run goes on with other settings than it was begun with: %s", _listed(different))


def _listed(different: dict[str, str]) -> str:
    return "; ".join(f"{key} {text}" for key, text in different.items())


def _open_data(
    settings: RunConfig, loss: Loss | None, log: RunLog, share: Share, *, pinned: bool
) -> tuple[SampleSet | None, SampleSet | None]:
    """The training and the test data; batches are accumulated in training only."""
    data, kind = settings.data, TargetKind.VALUES if loss is None else loss.target_kind
    training = test = classes = None
    dataset = open_dataset(data, Split.TRAINING, target_kind=kind, classes=None, log=log.write)
    if dataset is not None and data.input_path is not None:
        training, classes = SampleSet(dataset, data.input_path, data.batch_size, share, pinned), dataset.classes
    dataset = open_dataset(data, Split.TEST, target_kind=kind, classes=classes, log=log.write)
    if dataset is not None and data.test_input_path is not None:
        test = SampleSet(dataset, data.test_input_path, data.test_batch_size, replace(share, accumulated=1), pinned)
    sets = (("Training dataset", training), ("Test dataset", test))
    opened = [(heading, s.dataset, s.batch_size, s.share) for heading, s in sets if s is not None]
    log.datasets(data.input_type.value, opened)
    return training, test
