"""sympy is loaded when it is first used, which in a conversion is never.

onnx_ir loads it for arithmetic with symbolic sizes, and that takes as long as all other imports together. So the import
of it, and of the module of onnx_ir that asks it for something at once, gives a module whose code runs when an attribute
of it is first read (`importlib.util.LazyLoader`). Only the command line does so: the process is its own.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

__all__ = ["defer_sympy"]

DEFERRED = frozenset({"sympy", "onnx_ir._symbolic_shapes"})


class _Deferring(MetaPathFinder):
    """Finds the deferred modules where they are, and has them loaded later."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname in DEFERRED else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def defer_sympy() -> None:
    """Change `sys.meta_path`, once: from now on, importing sympy does not load it."""
    if not any(isinstance(finder, _Deferring) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Deferring())
