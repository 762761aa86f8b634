"""The networks of the benchmarks, each twice: as Keras-style JSON for onnxgrid, and as a plain torch module."""

import json
import os
import subprocess
import sys
from typing import Any

import torch
import torch.nn as nn

__all__ = ["ResNet50", "UNet", "resnet50_json", "unet_json"]

Layers = list[dict[str, Any]]


def unet_json(spatial: tuple[int, ...], channels: int, depth: int, *, normalized: bool = False) -> Layers:
    """A U-Net in two or three dimensions: two convolutions a level, `depth` halvings, one channel in and out.

    The first level has `channels` features, each deeper one twice as many.

    Args:
        normalized: whether a batch normalization stands between each convolution of a level and its ReLU.
    """
    rank = len(spatial)
    layers: Layers = [_layer("InputLayer", "x", [], batch_input_shape=[None, *spatial, 1])]

    def add(class_name: str, name: str, inputs: list[str], **config: Any) -> str:
        layers.append(_layer(class_name.replace("*", f"{rank}D"), name, inputs, **config))
        return name

    def block(x: str, name: str, filters: int) -> str:
        for i in (1, 2):
            activation = "linear" if normalized else "relu"
            x = add("Conv*", f"{name}_{i}", [x], filters=filters, kernel_size=3, padding="same", activation=activation)
            if normalized:
                x = add("BatchNormalization", f"{name}_{i}_norm", [x])
                x = add("ReLU", f"{name}_{i}_relu", [x])
        return x

    x, skips = "x", []
    for level in range(depth):
        skips.append(block(x, f"down_{level}", channels << level))
        x = add("MaxPooling*", f"pool_{level}", [skips[-1]], pool_size=2)
    x = block(x, "bottom", channels << depth)
    for level in reversed(range(depth)):
        x = add("Conv*Transpose", f"up_{level}", [x], filters=channels << level, kernel_size=2, strides=2)
        x = add("Concatenate", f"join_{level}", [x, skips[level]])
        x = block(x, f"decode_{level}", channels << level)
    add("Conv*", "head", [x], filters=1, kernel_size=1)
    return layers


def _layer(class_name: str, name: str, inputs: list[str], **config: Any) -> dict[str, Any]:
    return {
        "class_name": class_name,
        "name": name,
        "config": {"name": name, **config},
        "inbound_nodes": [[[source, 0, 0, {}] for source in inputs]] if inputs else [],
    }


def resnet50_json() -> dict[str, Any]:
    """keras.applications.ResNet50 for 224 x 224 x 3 and 1000 classes, as Keras itself writes it.

    Keras runs in a process of its own, so that its memory is not counted with an engine's.
    """
    program = "import keras; print(keras.applications.ResNet50(weights=None).to_json())"
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    description: dict[str, Any] = json.loads(done.stdout)
    return description


class UNet(nn.Module):
    """What `unet_json` describes."""

    def __init__(self, rank: int, channels: int, depth: int) -> None:
        super().__init__()
        self._convolution = {2: nn.Conv2d, 3: nn.Conv3d}[rank]
        transposed = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[rank]
        widths = [channels << level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            self._block(before, width) for before, width in zip([1, *widths], widths, strict=False)
        )
        self.pool = {2: nn.MaxPool2d, 3: nn.MaxPool3d}[rank](2)
        self.up = nn.ModuleList(transposed(2 * width, width, 2, 2) for width in widths[:-1])
        self.decode = nn.ModuleList(self._block(2 * width, width) for width in widths[:-1])
        self.head = self._convolution(channels, 1, 1)

    def _block(self, channels: int, width: int) -> nn.Sequential:
        first, second = self._convolution(channels, width, 3, padding=1), self._convolution(width, width, 3, padding=1)
        return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (N, 1, s...) -> (N, 1, s...)."""
        skips = []
        for level in range(len(self.up)):
            x = self.down[level](x)
            skips.append(x)
            x = self.pool(x)
        x = self.down[len(self.up)](x)
        for level in reversed(range(len(self.up))):
            x = self.decode[level](torch.cat([self.up[level](x), skips[level]], 1))
        return self.head(x)


class _Bottleneck(nn.Module):
    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_normalized(channels, width, 1, stride),
            nn.ReLU(),
            *_normalized(width, width, 3, 1),
            nn.ReLU(),
            *_normalized(width, 4 * width, 1, 1),
        )
        same = channels == 4 * width
        self.shortcut = nn.Identity() if same else nn.Sequential(*_normalized(channels, 4 * width, 1, stride))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def _normalized(channels: int, width: int, kernel: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, width, kernel, stride, kernel // 2), nn.BatchNorm2d(width, eps=1.001e-5)]


class ResNet50(nn.Module):
    """keras.applications.ResNet50, weights aside: strides in the first convolution of a block, biases everywhere."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_normalized(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        channels = 64
        for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            for i in range(blocks):
                layers.append(_Bottleneck(channels, width, stride if i == 0 else 1))
                channels = 4 * width
        self.features = nn.Sequential(*layers)
        self.classes = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (N, 3, H, W) -> probabilities (N, classes)."""
        return self.classes(self.features(x).mean((2, 3))).softmax(1)
