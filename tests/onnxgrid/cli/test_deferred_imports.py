"""sympy costs a command its time only where something uses it."""

import subprocess
import sys


def test_sympy_is_loaded_when_it_is_first_used() -> None:
    """onnx_ir imports it, and needs it for sizes such as N + 1, which no converted graph has."""
    program = """
import sys
from onnxgrid.cli.deferred_imports import defer_sympy
defer_sympy()
defer_sympy()
import converters.build
assert "sympy" in sys.modules
assert "sympy.core" not in sys.modules
import onnx_ir, sympy
assert str(onnx_ir.SymbolicDim("N") + 1) == "N + 1"
from sympy import Symbol
assert onnx_ir.SymbolicDim(Symbol("N") + 1).value == "N + 1"
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_library_leaves_the_imports_of_a_program_alone() -> None:
    program = (
        "import sys; before = list(sys.meta_path); import onnxgrid, converters.build; sys.exit(before != sys.meta_path)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
