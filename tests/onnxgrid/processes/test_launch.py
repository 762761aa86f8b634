"""What is read from the variables of each launcher."""

import pytest

from onnxgrid.errors import ConfigError
from onnxgrid.processes import Launch, find_launch

TORCHRUN = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "node-a",
    "MASTER_PORT": "29500",
    "TORCHELASTIC_RESTART_COUNT": "2",
    "TORCHELASTIC_RUN_ID": "none",
}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
    "PMIX_NAMESPACE": "prterun-host-123@1",
}
SLURM = {
    "SLURM_JOB_ID": "77",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "6",
    "SLURM_LOCALID": "2",
    "SLURM_NODEID": "1",
    "SLURM_STEP_NUM_TASKS": "11",
    "SLURM_STEP_NUM_NODES": "3",
    "SLURM_STEP_TASKS_PER_NODE": "4(x2),3",
    "SLURM_STEP_NODELIST": "gpu[003-005]",
}


def test_torchrun() -> None:
    assert find_launch(TORCHRUN) == Launch(5, 8, 1, 4, "node-a", 29500, restarts=2)


def test_open_mpi_on_one_machine_needs_no_address() -> None:
    launch = find_launch(OPEN_MPI)
    assert launch is not None
    assert launch == Launch(1, 4, 1, 4, "127.0.0.1", launch.port)
    assert 10_000 <= launch.port < 30_000


def test_the_port_is_a_function_of_the_job_alone() -> None:
    ports = [
        find_launch({**OPEN_MPI, **changes}).port  # type: ignore[union-attr]
        for changes in ({}, {"OMPI_COMM_WORLD_RANK": "3"}, {"PMIX_NAMESPACE": "prterun-host-124@1"})
    ]
    assert ports[0] == ports[1] != ports[2]


def test_an_address_is_honoured_whatever_the_launcher() -> None:
    launch = find_launch({**OPEN_MPI, "MASTER_ADDR": "node-b", "MASTER_PORT": "4000"})
    assert launch == Launch(1, 4, 1, 4, "node-b", 4000)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu[003-005]", "gpu003"),
        ("gpu[9,12],cpu1", "gpu9"),
        ("login1", "login1"),
        ("a1,a2", "a1"),
        ("n[1-2]-ib", "n1-ib"),
    ],
)
def test_slurm_lists_its_nodes(nodes: str, first: str) -> None:
    launch = find_launch({**SLURM, "SLURM_STEP_NODELIST": nodes})
    assert launch is not None
    assert launch == Launch(6, 11, 2, 4, first, launch.port)


def test_slurm_on_one_node() -> None:
    one = {"SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_TASKS_PER_NODE": "11", "SLURM_STEP_NODELIST": "gpu003"}
    launch = find_launch({**SLURM, **one})
    assert launch is not None
    assert (launch.local_size, launch.address) == (11, "127.0.0.1")


ALONE = {
    "no launcher": {},
    "a launcher of one process": {"RANK": "0", "WORLD_SIZE": "1"},
    "a script of sbatch": {key: value for key, value in SLURM.items() if "STEP" not in key} | {"SLURM_NTASKS": "11"},
    "a shell of srun": {**SLURM, "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"},
}


@pytest.mark.parametrize("variables", ALONE.values(), ids=ALONE)
def test_a_process_may_be_alone(variables: dict[str, str]) -> None:
    launch = find_launch(variables)
    assert launch is None or launch.size == 1


ERRORS = {
    "no number": (
        {**TORCHRUN, "RANK": "one"},
        'RANK: is "one", not a whole number\n  Let the launcher set it.',
    ),
    "a rank that is too high": (
        {**TORCHRUN, "RANK": "8"},
        "RANK: is 8, and WORLD_SIZE is 8\n  Ranks count from 0 to the number of processes less one.",
    ),
    "several machines, and no address": (
        {**OPEN_MPI, "OMPI_COMM_WORLD_LOCAL_SIZE": "2"},
        "MASTER_ADDR: is not set, and Open MPI has started processes on several machines\n"
        "  Set it to the name of the machine that rank 0 runs on, for example with mpirun -x MASTER_ADDR=NAME.",
    ),
}


@pytest.mark.parametrize(("variables", "message"), ERRORS.values(), ids=ERRORS)
def test_what_cannot_be_used_is_told(variables: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_launch(variables)
    assert str(caught.value) == message
