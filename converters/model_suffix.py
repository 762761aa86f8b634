"""What the file of a model is called. Of the standard library alone, so that commands know it before they load onnx."""

from pathlib import Path

__all__ = ["MODEL_SUFFIX", "is_model_file"]

MODEL_SUFFIX = ".onnx"


def is_model_file(path: Path) -> bool:
    """Whether a file is a model, by its name."""
    return path.suffix.lower() == MODEL_SUFFIX
