"""ATen nodes in ONNX Runtime call back into Python: tensors cross as DLPack pointers, nothing is copied, no compiler is
needed.

ONNX Runtime's training wheels hold the op `org.pytorch.aten::ATen` and ask for two C functions to run it. They are
ctypes callbacks here. An exception must not cross the C boundary: it is kept, the node's outputs are filled with empty
tensors, and `failures_raised` raises it after the run. A keyboard interrupt, which Python raises at any line, also at
one that could not keep it, waits until then.
"""

import contextlib
import ctypes
import functools
import json
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import torch
from onnxruntime.capi import _pybind_state
from torch.utils import dlpack

from onnxgrid.engines.kernels import KERNELS

__all__ = ["failures_raised", "install"]

_api = ctypes.pythonapi
_api.PyCapsule_New.restype = ctypes.py_object
_api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_api.PyCapsule_GetPointer.restype = ctypes.c_void_p
_api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
_api.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]

_OWNED, _TAKEN = b"dltensor", b"used_dltensor"
"""Capsule names. Module constants, since a capsule keeps the pointer to its name and not a copy."""


class _Failures(threading.local):
    """Exceptions of kernels in this thread's run: ONNX Runtime calls back in the thread that runs the session."""

    def __init__(self) -> None:
        self.kept: list[BaseException] = []


_failures = _Failures()


def _tensor_from(managed: int) -> torch.Tensor:
    tensor: torch.Tensor = dlpack.from_dlpack(_api.PyCapsule_New(managed, _OWNED, None))
    return tensor


def _managed_from(tensor: torch.Tensor) -> int:
    capsule = dlpack.to_dlpack(tensor.contiguous())  # type: ignore[attr-defined]
    managed: int = _api.PyCapsule_GetPointer(capsule, _OWNED)
    _api.PyCapsule_SetName(capsule, _TAKEN)  # ownership moves to ONNX Runtime: the capsule must not free it
    return managed


@functools.cache
def _bound(operator: bytes, arguments: bytes) -> Callable[..., tuple[torch.Tensor, ...]]:
    return functools.partial(KERNELS[operator.decode()], **json.loads(arguments))


_IsTensorArgument = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_bool)
_Execute = ctypes.CFUNCTYPE(
    None,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_size_t,
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.c_size_t,
    ctypes.POINTER(ctypes.c_void_p),
)


def _is_tensor_argument(operator: bytes, arguments: bytes, index: int, is_input: bool) -> bool:
    return True  # every input is a tensor: the other arguments travel as JSON in overload_name


def _execute(operator: bytes, arguments: bytes, n_inputs: int, inputs: Any, n_outputs: int, outputs: Any) -> None:
    try:
        tensors = [_tensor_from(inputs[i]) for i in range(n_inputs)]
        with torch.no_grad():
            results = _bound(operator, arguments)(*tensors)
        borrowed = {tensor.untyped_storage().data_ptr() for tensor in tensors}
        for i in range(n_outputs):
            # ONNX Runtime frees an input once nobody reads it, whatever an output that is a view of it does.
            is_view = results[i].untyped_storage().data_ptr() in borrowed
            outputs[i] = _managed_from(results[i].clone() if is_view else results[i])
    except BaseException as error:
        _failures.kept.append(error)
        for i in range(n_outputs):
            outputs[i] = _managed_from(torch.empty(0))


_CALLBACKS = (_IsTensorArgument(_is_tensor_argument), _Execute(_execute))
"""Kept here as long as the process lives: ONNX Runtime holds their addresses."""


@functools.cache
def install() -> None:
    """Hand the two callbacks to ONNX Runtime, once in a process."""
    addresses = (str(ctypes.cast(callback, ctypes.c_void_p).value) for callback in _CALLBACKS)
    _pybind_state.register_aten_op_executor(*addresses)


@contextlib.contextmanager
def failures_raised() -> Iterator[None]:
    """Around a run: an exception of a kernel is raised in place of the run's own, which only follows from the empty
    outputs, and an interrupt after the run.
    """
    _failures.kept.clear()
    with _interrupt_deferred():
        try:
            yield
        finally:
            if _failures.kept:
                first = _failures.kept[0]
                _failures.kept.clear()  # it holds its traceback, and that the run's tensors
                raise first


@contextlib.contextmanager
def _interrupt_deferred() -> Iterator[None]:
    """Around what must not be interrupted at any line: Python's KeyboardInterrupt comes at the end, or at once when the
    user asks for the second time.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or handler is not signal.default_int_handler:
        yield
        return
    asked = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            signal.default_int_handler(number, frame)
        asked = True

    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if asked:
            raise KeyboardInterrupt
