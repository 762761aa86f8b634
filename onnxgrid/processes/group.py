"""The processes of a run: sums over all of them, and agreement. One process alone is the group of size one, for which
every exchange is nothing.
"""

import functools
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from onnxgrid.errors import ConfigError, WorkFailed
from onnxgrid.processes.failures import LostConnection, ended_together
from onnxgrid.processes.launch import Launch

if TYPE_CHECKING:
    import torch
    from torch._C._distributed_c10d import Store

__all__ = ["ALONE", "Processes", "connection_watched", "joined", "sum_over_processes"]

PATIENCE = timedelta(minutes=10)
"""How long a process waits for the others, at the beginning and in each exchange, before the run has failed. Writing a
checkpoint must take less.
"""


_runs = itertools.count()
"""Runs of this program so far, each with keys of its own in the store: all processes carry out the same runs."""


@dataclass(frozen=True)
class Processes:
    """The processes that train together; `rank` is this one's number, from 0 to `size` - 1."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes logs, files and checkpoints."""
        return self.rank == 0

    def sum(self, tensor: "torch.Tensor") -> None:
        """Replace the tensor, in place, by its sum over all processes: the same bits in each.

        Raises:
            LostConnection: if a process has gone.
        """
        if self.size > 1:
            sum_over_processes(tensor)

    def gathered(self, text: str) -> list[str]:
        """The texts of all processes, by rank."""
        if self.size == 1:
            return [text]
        import torch.distributed

        texts: list[str] = [""] * self.size
        with connection_watched():
            torch.distributed.all_gather_object(texts, text)
        return texts

    def of_first(self, value: Any) -> Any:
        """What process 0 gives, a value as JSON has it, in all processes."""
        return value if self.size == 1 else json.loads(self.gathered(json.dumps(value))[0])

    def require_same(self, facts: Mapping[str, object], *, when: str) -> None:
        """Nothing, if each of the facts, {what it is: its value}, is the same in all processes.

        Raises:
            WorkFailed: naming the first fact that is not, and each process that differs from process 0.
        """
        if self.size == 1:
            return
        everywhere = [text.split("\n") for text in self.gathered("\n".join(map(str, facts.values())))]
        for what, values in zip(facts, zip(*everywhere, strict=True), strict=True):
            if len(set(values)) > 1:
                listed = "; ".join(f"process {rank}: {value}" for rank, value in enumerate(values))
                raise WorkFailed(
                    f"{when}, {what} must be the same in all processes, but is not ({listed}).",
                    fix="Give all processes the same program, files, options and versions of torch and onnxruntime.",
                )


ALONE = Processes()


def sum_over_processes(tensor: "torch.Tensor") -> None:
    """As `Processes.sum`, for code that runs only where there are several."""
    import torch.distributed

    with connection_watched():
        torch.distributed.all_reduce(tensor)


@contextmanager
def joined(launch: Launch | None) -> Iterator[Processes]:
    """The processes of a launch, connected for as long as the context lasts.

    If a process fails in it, all do; see `onnxgrid.processes.failures`. Gloo carries what lies in main memory, NCCL
    what lies on a GPU.

    Raises:
        WorkFailed: if the processes do not find each other.
    """
    if launch is None or launch.size == 1:
        yield ALONE
        return
    # torch.optim imports it later; it would then keep the group, whose threads would outlive the program.
    import torch._dynamo
    import torch.distributed
    from torch.distributed.distributed_c10d import PrefixStore

    if torch.distributed.is_initialized():
        raise ConfigError(
            "torch.distributed is in use in this program already",
            place="onnxgrid.train",
            fix="Call torch.distributed.destroy_process_group() first: a run connects its processes by itself.",
        )
    _take_share_of_machine(launch)
    rank, size = launch.rank, launch.size
    try:
        # torchrun keeps its store when it starts the processes again: without their number, stale addresses are found.
        keys = f"start {launch.restarts or 0} run {next(_runs)}"
        store = PrefixStore(keys, _store(launch.address, launch.port, rank, size))
        torch.distributed.init_process_group(_backend(), store=store, rank=rank, world_size=size, timeout=PATIENCE)
    except RuntimeError as error:
        raise WorkFailed(
            f"Process {rank} of {size} cannot reach the others at {launch.address}:{launch.port}: "
            f"{str(error).splitlines()[0]}",
            fix="Start all processes; MASTER_ADDR must be the machine of process 0, and MASTER_PORT free there.",
        ) from error
    with ended_together(PrefixStore("end", store), rank, size):
        try:
            processes = Processes(rank, size)
            yield processes
            processes.gathered("")  # so that none is done before all are, and a late error ends all
        finally:
            torch.distributed.destroy_process_group()


@functools.cache
def _store(address: str, port: int, rank: int, size: int) -> "Store":
    """What the processes find each other by. One for all runs of a program: the address of a run that has just ended
    could not be used again at once.
    """
    from torch.distributed.rendezvous import rendezvous

    store, *_ = next(rendezvous(f"tcp://{address}:{port}", rank, size, timeout=PATIENCE))
    return store  # type: ignore[no-any-return]


@contextmanager
def connection_watched() -> Iterator[None]:
    """Around an exchange.

    Raises:
        LostConnection: in place of the exchange's own error.
    """
    try:
        yield
    except RuntimeError as error:  # torch.distributed's own errors are RuntimeErrors too
        raise LostConnection(str(error).splitlines()[0]) from error


def _backend() -> str:
    import torch

    return "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"


def _take_share_of_machine(launch: Launch) -> None:
    """Of the cores, as many threads as come to each process, unless OMP_NUM_THREADS says; of the GPUs, one."""
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(1, min(torch.get_num_threads(), cores // launch.local_size)))
    if torch.cuda.is_available():
        torch.cuda.set_device(launch.local_rank % torch.cuda.device_count())
