"""What a launcher's environment variables say: which process of how many this is, and where the first one listens.

torchrun     RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT, TORCHELASTIC_RESTART_COUNT
Open MPI     OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE
SLURM srun   SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID, SLURM_STEP_NODELIST, within a job step (SLURM_STEP_ID)

MASTER_ADDR and MASTER_PORT are honoured whatever the launcher. Where they are absent, the address is this machine if
all processes are on it, or the first of SLURM's nodes; the port is a function of the job, so that all processes agree
on it.
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from onnxgrid.errors import ConfigError

__all__ = ["Launch", "find_launch"]

PORTS = range(10_000, 30_000)
"""Where derived ports lie: below the ports that systems hand out by themselves (from 32768 on)."""

THIS_MACHINE = "127.0.0.1"


@dataclass(frozen=True)
class Launch:
    """This process among those of its run. Ranks count from 0; `local` means on this machine."""

    rank: int
    size: int
    local_rank: int
    local_size: int
    address: str
    """Where the process of rank 0 listens."""
    port: int
    restarts: int | None = None
    """How often torchrun has started the processes anew; None for another launcher."""


@dataclass(frozen=True)
class _Launcher:
    name: str
    rank: str
    size: str
    local_rank: str
    local_size: str
    job: tuple[str, ...]
    """Variables that are the same in all processes and different for every job."""


TORCHRUN = _Launcher("torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", ("TORCHELASTIC_RUN_ID",))
OPEN_MPI = _Launcher(
    "Open MPI",
    "OMPI_COMM_WORLD_RANK",
    "OMPI_COMM_WORLD_SIZE",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "OMPI_COMM_WORLD_LOCAL_SIZE",
    ("PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid", "OMPI_MCA_orte_hnp_uri"),
)
SLURM = _Launcher(
    "SLURM",
    "SLURM_PROCID",
    "SLURM_STEP_NUM_TASKS",
    "SLURM_LOCALID",
    "SLURM_STEP_TASKS_PER_NODE",
    ("SLURM_JOB_ID", "SLURM_STEP_ID"),
)
"""Only srun sets the variables of a step: a script of sbatch, which is one process, has those of the job alone."""


def find_launch(environment: Mapping[str, str]) -> Launch | None:
    """This process's place among those that a launcher has started; None without a launcher.

    Raises:
        ConfigError: if the variables are incomplete, or do not say where the first process listens.
    """
    launcher = next((one for one in (TORCHRUN, OPEN_MPI, SLURM) if {one.rank, one.size} <= environment.keys()), None)
    if launcher is None or (launcher is SLURM and "SLURM_STEP_ID" not in environment):
        return None
    rank, size = _number(environment, launcher.rank), _number(environment, launcher.size)
    if not 0 <= rank < size:
        raise ConfigError(
            f"is {rank}, and {launcher.size} is {size}",
            place=launcher.rank,
            fix="Ranks count from 0 to the number of processes less one.",
        )
    local_size = _local_size(environment, launcher, size)
    local_rank = _number(environment, launcher.local_rank) if launcher.local_rank in environment else rank % local_size
    restarts = environment.get("TORCHELASTIC_RESTART_COUNT") if launcher is TORCHRUN else None
    return Launch(
        rank,
        size,
        local_rank,
        local_size,
        _address(environment, launcher, one_machine=local_size == size),
        _port(environment, launcher),
        None if restarts is None else int(restarts),
    )


def _number(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except ValueError:
        raise ConfigError(
            f'is "{environment[name]}", not a whole number', place=name, fix="Let the launcher set it."
        ) from None


def _local_size(environment: Mapping[str, str], launcher: _Launcher, size: int) -> int:
    """How many of the processes are on this machine; where the launcher does not say, all of them."""
    if launcher is not SLURM:
        return _number(environment, launcher.local_size) if launcher.local_size in environment else size
    if environment.get("SLURM_STEP_NUM_NODES", environment.get("SLURM_NNODES", "1")) == "1":
        return size
    # "4(x2),3": four tasks on each of two nodes, three on the next.
    tasks = [
        int(count)
        for count, repeated in re.findall(r"(\d+)(?:\(x(\d+)\))?", environment.get(launcher.local_size, ""))
        for _ in range(int(repeated or 1))
    ]
    node = int(environment.get("SLURM_NODEID", "0"))
    return tasks[node] if node < len(tasks) else 1


def _address(environment: Mapping[str, str], launcher: _Launcher, *, one_machine: bool) -> str:
    if "MASTER_ADDR" in environment:
        return environment["MASTER_ADDR"]
    if one_machine:
        return THIS_MACHINE
    nodes = environment.get("SLURM_STEP_NODELIST", environment.get("SLURM_JOB_NODELIST"))
    if launcher is SLURM and nodes:
        return _first_node(nodes)
    raise ConfigError(
        f"is not set, and {launcher.name} has started processes on several machines",
        place="MASTER_ADDR",
        fix="Set it to the name of the machine that rank 0 runs on, for example with mpirun -x MASTER_ADDR=NAME.",
    )


def _first_node(nodes: str) -> str:
    """The first name of a list such as "gpu[003-005,9],cpu1"."""
    found = re.match(r"([^,\[]*)(?:\[([^,\-\]]+)[^\]]*\])?([^,\[]*)", nodes)
    assert found is not None, "every part of the pattern may be empty"
    prefix, first, suffix = found.groups()
    return prefix + (first or "") + suffix


def _port(environment: Mapping[str, str], launcher: _Launcher) -> int:
    if "MASTER_PORT" in environment:
        return _number(environment, "MASTER_PORT")
    job = " ".join(environment.get(name, "") for name in launcher.job)
    return PORTS[zlib.crc32(job.encode()) % len(PORTS)]
