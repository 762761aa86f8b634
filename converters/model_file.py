"""An ONNX model as a file, which appears whole or not at all."""

from pathlib import Path

import onnx_ir as ir

from converters.atomic_file import replacing_or_refused
from converters.errors import ConversionError
from converters.model_bytes import write_model

__all__ = ["MAX_MODEL_BYTES", "require_one_file", "save_model"]

MAX_MODEL_BYTES = 2**31 - 2**20
"""A protobuf message ends at 2 GiB; one MiB is left for the graph."""


def require_one_file(model: ir.Model, path: Path) -> None:
    """Nothing, if the model can be written to one file; no data are read.

    Raises:
        ConversionError: if its initializers hold 2 GiB or more.
    """
    tensors = (value.const_value for graph in model.graphs() for value in graph.initializers.values())
    size = sum(tensor.nbytes for tensor in tensors if tensor is not None)
    if size > MAX_MODEL_BYTES:
        raise ConversionError(
            f"cannot be written: the model holds {size / 2**30:.1f} GiB of initializers, and a file ends at 2 GiB",
            place=str(path),
            fix="Use a smaller model.",
        )


def save_model(model: ir.Model, path: Path, *, durable: bool = True) -> None:
    """Write a model in one file: under another name beside it, then renamed. Initializers are read one by one.

    Args:
        durable: whether to wait for the disk: a model that can be made again need not survive a power failure.

    Raises:
        ConversionError: if the file cannot be written there, or would have 2 GiB or more.
        WritingFailed: if the disk is full or broken.
        WeightFileError: if the weight file that an initializer stands for cannot be read.
    """
    require_one_file(model, path)
    with replacing_or_refused(path, ConversionError, durable=durable) as temporary, temporary.open("r+b") as file:
        write_model(model, file)
