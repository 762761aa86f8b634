"""What must be known before anything is imported: Keras is an oracle of the tests and runs on torch, times of kernels
go to a folder of the tests' own, and a process computes with one thread.
"""

import gc
import os
import tempfile
from collections.abc import Iterator

import pytest

CACHE = tempfile.TemporaryDirectory(prefix="onnxgrid-tests-")
"""Goes with the process."""

os.environ["KERAS_BACKEND"] = "torch"
os.environ["XDG_CACHE_HOME"] = CACHE.name
os.environ["OMP_NUM_THREADS"] = "1"
"""Tests run side by side: threads that wait for a processor which another test has cost ten times what they gain."""


@pytest.fixture(autouse=True)
def garbage_of_commands_is_collected() -> Iterator[None]:
    """Commands leave theirs for the end of their process, which here goes on."""
    yield
    gc.unfreeze()
