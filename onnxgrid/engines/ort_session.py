"""ONNX Runtime sessions as this package opens them: with as many threads as torch, on CUDA in torch's stream, quiet."""

from pathlib import Path

import numpy as np
import onnxruntime
import torch

from onnxgrid.engines.cuda_libraries import CUDA_PROVIDER, load_cuda_libraries

__all__ = ["bind_input", "bind_output", "numbered", "open_session", "providers"]

FATAL_ONLY = 4
"""ONNX Runtime's severity level: its errors come as exceptions, and need not be printed as well."""
NUMPY_TYPES = {torch.float32: np.float32, torch.int64: np.int64}


def numbered(device: str) -> torch.device:
    """A device with its number: of "cuda" that of torch's current one, which is each process's own."""
    named = torch.device(device)
    return torch.device("cuda", torch.cuda.current_device()) if named == torch.device("cuda") else named


def open_session(model: bytes, device: torch.device, *, profile: Path | None = None) -> onnxruntime.InferenceSession:
    """A session of a serialized model.

    Args:
        profile: where the time of every node is written; ONNX Runtime appends date and ".json".
    """
    options = onnxruntime.SessionOptions()
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = FATAL_ONLY
    # ONNX Runtime's idle threads would spin on the cores that torch's threads need inside ATen nodes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if device.type == "cuda":
        load_cuda_libraries()
    else:
        # ONNX Runtime's plan of a step's memory needs a third more for ResNet50 than its values as they come and go.
        # Beside its pool is what torch's kernels allocate; one allocator for both is as fast.
        options.enable_mem_pattern = options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(model, options, providers=providers(device))


def bind_input(binding: onnxruntime.IOBinding, name: str, tensor: torch.Tensor) -> None:
    """Let a run read an input where a tensor lies; the tensor must live as long as the binding uses it."""
    assert tensor.is_contiguous()
    binding.bind_input(name, *_place(tensor), NUMPY_TYPES[tensor.dtype], list(tensor.shape), tensor.data_ptr())


def bind_output(binding: onnxruntime.IOBinding, name: str, tensor: torch.Tensor) -> None:
    """Let a run write an output where a tensor lies."""
    assert tensor.is_contiguous()
    binding.bind_output(name, *_place(tensor), NUMPY_TYPES[tensor.dtype], list(tensor.shape), tensor.data_ptr())


def _place(tensor: torch.Tensor) -> tuple[str, int]:
    """Kind and number of the device that the tensor is on."""
    return tensor.device.type, tensor.device.index or 0


def providers(device: torch.device) -> list[str | tuple[str, dict[str, str]]]:
    """What executes the nodes, best first; on CUDA in torch's current stream, so that the two need not wait for each
    other.
    """
    if device.type != "cuda":
        return ["CPUExecutionProvider"]
    stream = torch.cuda.current_stream(device).cuda_stream
    cuda = {"device_id": str(device.index or 0), "user_compute_stream": str(stream)}
    return [(CUDA_PROVIDER, cuda), "CPUExecutionProvider"]
