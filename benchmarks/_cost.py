"""What a process costs: time, time of processors, memory."""

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cost", "run"]


@dataclass(frozen=True)
class Cost:
    """Wall-clock seconds, seconds of processors, and bytes of the largest resident memory, mapped files included."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def run(command: Sequence[str], folder: Path, **environment: str) -> Cost:
    """The cost of a process, which must succeed."""
    # Python keeps compiled modules, as an installation has them, whatever the environment says.
    kept = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    whole = {**os.environ, **kept, **environment}
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, env=whole, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{said.decode(errors='replace')[-2000:]}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
