"""Starting several processes that find each other, as a launcher would, for tests.

They are forked from one process that has imported all that they need: importing torch takes seconds, for each of them.
"""

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

PRELOADED = [
    "onnxgrid.cli.train",
    "onnxgrid.engines.ort_engine",
    "onnxgrid.engines.torch_engine",
    "onnxgrid.training",
    "torch._dynamo",
    "torch.distributed.optim",
]
TIMEOUT_S = 240
"""Generous, for a busy machine."""
POLL_S = 0.05


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def command_line(*arguments: str) -> None:
    """What `onnxgrid ARGUMENTS` does."""
    from onnxgrid.cli.main import main

    sys.argv = ["onnxgrid", *arguments]
    main()


class Group:
    """Processes of one run, each calling a function, with torchrun's variables set. Their output goes to files in
    `folder`.
    """

    def __init__(self, size: int, folder: Path, function: Callable[..., None], *arguments: Any) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        port, context = free_port(), _context()
        self.processes: list[ForkServerProcess] = []
        for rank in range(size):
            variables = {
                "RANK": str(rank),
                "WORLD_SIZE": str(size),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "OMP_NUM_THREADS": "1",
            }
            streams = str(self._file(rank, "out")), str(self._file(rank, "err"))
            process = context.Process(target=_run, args=(variables, *streams, function, arguments))
            process.start()
            self.processes.append(process)

    def _file(self, rank: int, stream: str) -> Path:
        return self._folder / f"{rank}.{stream}"

    def out(self, rank: int) -> str:
        return self._file(rank, "out").read_text()

    def err(self, rank: int) -> str:
        return self._file(rank, "err").read_text()

    def wait_for(self, text: str, rank: int = 0) -> None:
        """Return once the process has printed the text."""
        deadline = time.monotonic() + TIMEOUT_S
        while not self._file(rank, "out").exists() or text not in self.out(rank):
            if self.processes[rank].exitcode is not None or time.monotonic() > deadline:
                self.end()
                raise AssertionError(f"{text!r} was not printed: {self.out(rank)}{self.err(rank)}")
            time.sleep(POLL_S)

    def send(self, number: signal.Signals, *ranks: int) -> None:
        for rank in ranks:
            pid = self.processes[rank].pid
            assert pid is not None
            os.kill(pid, number)

    def end(self) -> list[int | None]:
        """The exit codes of all processes, once they have ended."""
        deadline = time.monotonic() + TIMEOUT_S
        for process in self.processes:
            process.join(max(0, deadline - time.monotonic()))
        codes = [process.exitcode for process in self.processes]
        for process in self.processes:
            process.kill()
            process.join()
        return codes


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _run(
    variables: dict[str, str], out: str, err: str, function: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    import torch

    torch.set_num_threads(1)
    os.environ.update(variables)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell has processes in its background ignore
    for path, stream in ((out, sys.stdout), (err, sys.stderr)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, stream.fileno())
        os.close(file)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    function(*arguments)
