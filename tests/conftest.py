"""What must be known before anything is imported: Keras is an oracle of the tests and runs on torch, and times of
kernels go to a folder of the tests' own.
"""

import os
import tempfile

CACHE = tempfile.TemporaryDirectory(prefix="onnxgrid-tests-")
"""Goes with the process."""

os.environ["KERAS_BACKEND"] = "torch"
os.environ["XDG_CACHE_HOME"] = CACHE.name
