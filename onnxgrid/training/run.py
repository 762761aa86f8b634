"""One run, from its configuration to its result."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch

from converters.model_suffix import MODEL_SUFFIX
from onnxgrid.config import RunConfig, read_config
from onnxgrid.config.optimizer import OptimizerConfig
from onnxgrid.data import Batch
from onnxgrid.engines import KernelChoice, create_engine, create_predictor
from onnxgrid.engines.engine import Engine, Predict
from onnxgrid.engines.options import EngineRequest
from onnxgrid.engines.tracing import create_tracer
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.optimizers import create_optimizer
from onnxgrid.processes import find_launch, joined
from onnxgrid.schedules import learning_rate
from onnxgrid.training.anomaly import first_anomaly
from onnxgrid.training.checkpoints import checkpoint_path, restore_optimizer, save_checkpoint, weight_sums
from onnxgrid.training.layer_choice import frozen, rate_factors, set_rate_factors
from onnxgrid.training.log import RunLog
from onnxgrid.training.loop import Evaluation, TrainedBatch, evaluate, train_epoch
from onnxgrid.training.metrics import metric_of
from onnxgrid.training.options import RunOptions
from onnxgrid.training.result import EpochResult, TrainingResult
from onnxgrid.training.result_files import ResultFiles
from onnxgrid.training.settings import run_settings
from onnxgrid.training.setup import Run, open_run, restarts_of

if TYPE_CHECKING:
    from onnxgrid.engines.profiling import RecordedEngine

__all__ = ["Progress", "train"]


class Progress(Protocol):
    """Who wants to know how far a run is; epochs and batches count from 1."""

    def epoch_started(self, epoch: int, epochs: int, batches: int) -> None: ...

    def batch_done(self, batch: int, loss: float) -> None: ...


def _no_log(line: str) -> None:
    pass


def train(
    config: Path | str,
    *,
    engine: str | None = None,
    device: str = "auto",
    precision: str | None = None,
    compile: bool | None = None,
    kernel_choice: KernelChoice | None = None,
    seed: int | None = None,
    num_epochs: int | None = None,
    resume: bool = False,
    strict: bool = False,
    accumulate: int = 1,
    elastic: bool = False,
    shard_optimizer: bool = False,
    detect_anomaly: bool = False,
    profile: Path | str | None = None,
    overrides: Sequence[str] = (),
    log: Callable[[str], None] = _no_log,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train, or only evaluate, as a run configuration says.

    Under torchrun, mpirun or srun the processes train together; log, files and progress are those of the first of them.

    Args:
        config: the configuration's file.
        engine: "ort" or "torch"; by default "ort" where its training build is installed, else "torch".
        device: "cpu", "cuda", or "auto": CUDA where the engine can use it, else the CPU.
        precision: "fp32", or "bf16" for convolutions and matrix products in bfloat16; by default "fp32".
        compile: whether torch.compile turns the steps into machine code of their own (torch engine).
        kernel_choice: how the ort engine chooses its kernels; by default what is fastest.
        seed: of initial weights, data order and dropout; by default 0 for the weights and `data.seed` for the others.
        num_epochs: in place of the configuration's.
        resume: go on from the newest whole checkpoint in `checkpoints.save`, if there is one; precision, compile and
            kernels are by default what they were.
        strict: what `checkpoints.load` cannot carry over is an error.
        accumulate: how many batches make a step: of `data.batch_size` each, computed one after the other.
        shard_optimizer: divide the optimizer's state among the processes.
        detect_anomaly: name the node and layer, if a loss or a gradient is not finite.
        profile: a folder for a table of time and memory by layer, and a Chrome trace, of three steps of one process.
        elastic: when torchrun starts the processes again, go on from the newest checkpoint of the run.
        overrides: `KEY=VALUE` each, replacing values of the configuration.
        log: receives each line of the run's log.
        progress: is told of epochs and batches.

    Raises:
        UserError: if the configuration, the network, a checkpoint or the data cannot be used.
        WorkFailed: if the training itself fails, as by a loss that is not finite.
    """
    settings = _settings(Path(config), overrides, num_epochs)
    request = EngineRequest(engine, device, precision, compile, kernel_choice)
    launch, folder = find_launch(os.environ), None if profile is None else Path(profile)
    restarts = restarts_of(launch) if elastic else None
    options = RunOptions(request, seed, resume, strict, accumulate, shard_optimizer, detect_anomaly, folder, restarts)
    with joined(launch) as processes:
        run_log = RunLog(log if processes.leads else _no_log, processes=processes.size)
        return _run(open_run(settings, options, processes, run_log), progress if processes.leads else None)


def _settings(config: Path, overrides: Sequence[str], num_epochs: int | None) -> RunConfig:
    settings = read_config(config, overrides)
    return settings if num_epochs is None else settings.model_copy(update={"num_epochs": num_epochs})


def _run(run: Run, progress: Progress | None) -> TrainingResult:
    with ExitStack() as stack:
        files = None
        if run.settings.outfile is not None and run.processes.leads:
            files = stack.enter_context(ResultFiles(run.settings.outfile, keep_epochs=run.state.epoch))
        result = _evaluate_only(run, files) if run.training is None else _Training(run, files, progress).run_epochs()
    run.log.done()
    return result


class _Training:
    """The epochs of a run."""

    def __init__(self, run: Run, files: ResultFiles | None, progress: Progress | None) -> None:
        # RunConfig sees to it that training data come with a loss and an optimizer.
        assert run.training is not None
        assert run.loss is not None
        assert run.settings.optimizer is not None
        self._run, self._files, self._progress = run, files, progress
        self._samples, self._loss, self._settings = run.training, run.loss, run.settings.optimizer
        self._epochs, self._state = run.settings.num_epochs, run.state
        # Checkpoints keep the network as it was given: what is frozen here is the run's affair.
        self._graph = TrainableGraph.from_model(frozen(run.model, run.settings.freeze), run.place)
        self._engine = create_engine(
            run.state.engine,
            self._graph,
            run.loss,
            seed=run.state.seed,
            options=run.state.options,
            kernels=run.kernels,
            processes=run.processes,
        )
        self._recorded = None
        if run.options.profile is not None and run.processes.leads:
            self._recorded = _recorded(run, run.options.profile, self._engine, self._graph)
        self._optimizer = _optimizer(run, self._settings, self._engine)
        factors = rate_factors(run.model, self._settings.layer_rates or ())
        set_rate_factors(self._optimizer, self._engine.parameters, factors)
        self._saved = None
        if run.checkpoint is not None:
            restore_optimizer(run.checkpoint, self._optimizer)
            self._saved = run.checkpoint.path.with_suffix(MODEL_SUFFIX)
        self._require_same_run()
        self._began = time.perf_counter() - run.state.seconds

    def run_epochs(self) -> TrainingResult:
        """Train what is left to train."""
        if self._state.epoch >= self._epochs:
            self._run.log.write(f"Nothing left to train: {self._state.epoch} of {self._epochs} epochs are done.")
        results = tuple(self._epoch(epoch) for epoch in range(self._state.epoch + 1, self._epochs + 1))
        if self._recorded is not None:
            self._recorded.end()
        return TrainingResult(self._state.engine, results, None if self._saved is None else str(self._saved))

    def _epoch(self, epoch: int) -> EpochResult:
        run, state = self._run, self._state
        rate = self._rate_after(epoch - 1)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        if self._progress is not None:
            self._progress.epoch_started(epoch, self._epochs, self._samples.step_count)
        batches = self._samples.batches(run.model, self._loss, epoch=epoch, seed=state.seed, shuffle=True)
        train_loss = train_epoch(
            self._recorded or self._engine,
            self._loss,
            self._optimizer,
            batches,
            first_step=state.step,
            on_batch=lambda batch: self._batch_done(epoch, batch),
            processes=run.processes,
            accumulated=run.options.accumulate,
            diagnose=self._diagnose if run.options.detect_anomaly else None,
        )
        run.log.rule()
        evaluation = _evaluate(run, epoch, self._engine.predictor())
        step = state.step + self._samples.step_count
        self._state = replace(state, epoch=epoch, step=step, seconds=self._seconds())
        if self._files is not None:
            self._files.evaluated(epoch, self._state.seconds, evaluation)
        schedule = self._settings.lr_scheduler
        if schedule is not None and schedule.verbose and self._rate_after(epoch) != rate:
            run.log.write(f"Learning rate adjusted to {self._rate_after(epoch):g}")
        self._save_if_due()
        return EpochResult(epoch, self._state.seconds, train_loss, evaluation.loss, evaluation.accuracy)

    def _diagnose(self, batches: Sequence[Batch], number: int) -> str:
        run = self._run
        tracer = create_tracer(self._engine, self._graph, self._loss, seed=run.state.seed, processes=run.processes.size)
        return first_anomaly(tracer, self._engine, self._loss, batches, run.processes, number=number)

    def _batch_done(self, epoch: int, batch: TrainedBatch) -> None:
        self._run.log.trained(epoch, self._epochs, self._samples.step_count, batch)
        if self._files is not None:
            self._files.trained(epoch, self._seconds(), batch)
        if self._progress is not None:
            self._progress.batch_done(batch.index + 1, batch.loss)

    def _save_if_due(self) -> None:
        run, checkpoints, epoch = self._run, self._run.settings.checkpoints, self._state.epoch
        if checkpoints.save is None or (epoch % checkpoints.interval and epoch != self._epochs):
            return
        run.processes.require_same(weight_sums(self._engine), when=f"After epoch {epoch}")
        if _shards_optimizer(run):
            from onnxgrid.training.sharded_optimizer import ShardedOptimizer

            assert isinstance(self._optimizer, ShardedOptimizer)
            self._optimizer.gather()
        if run.processes.leads:
            save_checkpoint(
                checkpoints.save,
                self._state,
                run.model,
                self._engine,
                self._optimizer,
                settings=run_settings(run.settings, run.options.accumulate),
                first_of_run=self._saved is None,
            )
        self._saved = checkpoint_path(checkpoints.save, epoch)

    def _require_same_run(self) -> None:
        """Nothing, if all processes are about to do the same."""
        run, state = self._run, self._run.state
        facts = {
            "the epoch to go on from": state.epoch,
            "the engine": f"{state.engine} {state.options}",
            "the seed": state.seed,
            "the number of epochs": self._epochs,
            "the run's settings": run_settings(run.settings, run.options.accumulate),
            "the number of training samples": len(self._samples.dataset),
            "the number of test samples": None if run.test is None else len(run.test.dataset),
            **weight_sums(self._engine),
        }
        run.processes.require_same(facts, when="At the start")

    def _rate_after(self, finished_epochs: int) -> float:
        return learning_rate(self._settings.learning_rate, self._settings.lr_scheduler, finished_epochs)

    def _seconds(self) -> float:
        return time.perf_counter() - self._began


def _optimizer(run: Run, settings: OptimizerConfig, engine: Engine) -> torch.optim.Optimizer:
    if not _shards_optimizer(run):
        return create_optimizer(settings, engine.parameters, engine.gradients)
    from onnxgrid.training.sharded_optimizer import ShardedOptimizer  # a second's worth of imports

    return ShardedOptimizer(settings, engine.parameters, engine.gradients, run.processes)


def _recorded(run: Run, folder: Path, engine: Engine, graph: TrainableGraph) -> "RecordedEngine":
    """The engine, some of whose steps are profiled, with files in a folder and a block of the log."""
    from onnxgrid.engines.profiling import RecordedEngine, create_recorder
    from onnxgrid.training.profile import Report

    report = Report(folder, run.log)
    return RecordedEngine(engine, create_recorder(engine, graph), report.trace, report)


def _shards_optimizer(run: Run) -> bool:
    return run.options.shard_optimizer and run.processes.size > 1


def _evaluate_only(run: Run, files: ResultFiles | None) -> TrainingResult:
    began = time.perf_counter()
    evaluation = _evaluate(run, 1, create_predictor(run.state.engine, run.model, run.place, run.state.options))
    seconds = time.perf_counter() - began
    if files is not None:
        files.evaluated(1, seconds, evaluation)
    return TrainingResult(
        run.state.engine, (EpochResult(1, seconds, None, evaluation.loss, evaluation.accuracy),), None
    )


def _evaluate(run: Run, epoch: int, predict: Predict) -> Evaluation:
    samples, loss = run.test, run.loss
    if samples is None:
        return Evaluation(None, None)
    epochs = run.settings.num_epochs if run.training is not None else 1
    evaluation = evaluate(
        predict,
        loss,
        None if loss is None else metric_of(loss),
        samples.batches(run.model, loss, epoch=epoch, seed=0, shuffle=False),
        on_batch=lambda batch: run.log.evaluated(epoch, epochs, samples.step_count, batch),
        processes=run.processes,
    )
    run.log.rule()
    return evaluation
