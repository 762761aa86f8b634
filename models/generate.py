"""Writes the networks and run configurations of this folder: `make models`.

Paths in the run configurations are relative to the folder that the commands are run in, the repository's root.
"""

import json
from pathlib import Path
from typing import Any

from onnxgrid.zoo import convnet2d, dense_classifier2d, unet2d

__all__ = ["as_text", "models"]

COARSE, FINE = 16, 32
"""Height and width of the images, in pixels."""

EPOCHS = {
    "conv_16": 6,
    "conv_32": 5,
    "conv_32_scratch": 10,
    "dense_16": 6,
    "dense_32": 3,
    "dense_32_frozen": 3,
    "unet_16": 6,
    "unet_32": 4,
    "unet_32_scratch": 8,
}
"""Run -> its epochs: a coarse run goes on until it learns little more, a fine one is short, one from scratch long."""

LINE_WIDTH = 120


def models() -> dict[str, Any]:
    """File name -> what it holds, for every file that this folder should hold."""
    networks = {
        "digits_conv_16.json": convnet2d((COARSE, COARSE, 1)),
        "digits_conv_32.json": convnet2d((FINE, FINE, 1)),
        "digits_dense_16.json": dense_classifier2d((COARSE, COARSE, 1), dense_name="dense_16"),
        "digits_dense_32.json": dense_classifier2d((FINE, FINE, 1), dense_name="dense_32"),
        "digits_dense_32_frozen.json": dense_classifier2d((FINE, FINE, 1), dense_name="dense_32", trainable_body=False),
        "digits_unet_16.json": unet2d((COARSE, COARSE, 1), depth=2),
        "digits_unet_32.json": unet2d((FINE, FINE, 1), depth=3),
    }
    runs = {
        "run_conv_16.json": _run("conv_16", _digits(COARSE), "NLL"),
        "run_conv_32.json": _run("conv_32", _digits(FINE), "NLL", load="conv_16"),
        "run_conv_32_scratch.json": _run("conv_32_scratch", _digits(FINE), "NLL", network="conv_32"),
        "run_dense_16.json": _run("dense_16", _digits(COARSE), "NLL"),
        "run_dense_32.json": _run("dense_32", _digits(FINE), "NLL", load="dense_16"),
        "run_dense_32_frozen.json": _run("dense_32_frozen", _digits(FINE), "NLL", load="dense_16"),
        "run_unet_16.json": _run("unet_16", _denoising(COARSE), "MSE"),
        "run_unet_32.json": _run("unet_32", _denoising(FINE), "MSE", load="unet_16"),
        "run_unet_32_scratch.json": _run("unet_32_scratch", _denoising(FINE), "MSE", network="unet_32"),
    }
    return networks | runs


def _run(
    name: str, data: dict[str, Any], loss: str, *, network: str | None = None, load: str | None = None
) -> dict[str, Any]:
    """A run configuration.

    Args:
        name: of the run: its checkpoints and logs.
        network: the network's name, if it is not the run's.
        load: the run whose last checkpoint is loaded.
    """
    checkpoints: dict[str, Any] = {"save": f"demo_output/checkpoints/{name}/", "interval": 1}
    if load is not None:
        checkpoints["load"] = f"demo_output/checkpoints/{load}/model_checkpoint_{EPOCHS[load]}.pt"
    return {
        "neural_network": {
            "outfile": f"demo_output/logs/{name}.txt",
            "num_epochs": EPOCHS[name],
            "layers": f"models/digits_{network or name}.json",
            "checkpoints": checkpoints,
            "data": data,
            "optimizer": {"type": "Adam", "learning_rate": 0.002},
            "loss": {"function": loss},
        }
    }


def _digits(size: int) -> dict[str, Any]:
    """Images in a folder per class."""
    folder = f"demo_output/data/digits_{size}"
    return {
        "input_type": "images",
        "target_type": "labels",
        "input_path": f"{folder}/train/",
        "test_input_path": f"{folder}/test/",
        **_reading(),
    }


def _denoising(size: int) -> dict[str, Any]:
    """Noisy images, and the clean ones of the same file names."""
    noisy, clean = f"demo_output/data/noisy_{size}", f"demo_output/data/clean_{size}"
    return {
        "type": "images",
        "input_path": f"{noisy}/train/",
        "target_path": f"{clean}/train/",
        "test_input_path": f"{noisy}/test/",
        "test_target_path": f"{clean}/test/",
        **_reading(),
    }


def _reading() -> dict[str, Any]:
    return {"grayscale": True, "preload": True, "batch_size": 64, "test_batch_size": 64}


def as_text(value: Any) -> str:
    """JSON with each object or array on one line where it fits, so that a layer is a few lines and not fifty."""
    return _indented(value, 0, 0) + "\n"


def _indented(value: Any, indent: int, used: int) -> str:
    """`value` as JSON whose inner lines start `indent` columns in, `used` columns of its first line being taken."""
    line = json.dumps(value)
    if not isinstance(value, dict | list) or used + len(line) < LINE_WIDTH:
        return line
    inner = indent + 2
    if isinstance(value, dict):
        brackets = "{}"
        items = [
            (key := json.dumps(name) + ": ") + _indented(item, inner, inner + len(key)) for name, item in value.items()
        ]
    else:
        brackets = "[]"
        items = [_indented(item, inner, inner) for item in value]
    separator = ",\n" + " " * inner
    return f"{brackets[0]}\n{' ' * inner}{separator.join(items)}\n{' ' * indent}{brackets[1]}"


if __name__ == "__main__":
    for file_name, content in models().items():
        Path(__file__).with_name(file_name).write_text(as_text(content), encoding="utf-8")
