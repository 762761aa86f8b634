"""That memory which was freed is not fetched from the system again."""

import platform
import subprocess
import sys

import pytest

FAULTS_OF_A_NEW_BLOCK = """
import resource, torch
from onnxgrid.engines.freed_memory import keep_freed_memory
if {kept}:
    keep_freed_memory()
for _ in range(12):
    torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*, kept: bool) -> int:
    """Page faults of four blocks of 64 MiB, each freed before the next, once glibc has got into its stride."""
    program = FAULTS_OF_A_NEW_BLOCK.format(kept=kept)
    return int(subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that is told to keep memory")
def test_a_freed_block_is_used_again_as_it_is() -> None:
    assert faults(kept=True) < 100 < faults(kept=False)
