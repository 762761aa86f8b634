"""Runs whose numbers must not depend on how many processes carry them out, and a function that carries them out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import onnxgrid

Json = dict[str, Any]

SAMPLES, TEST_SAMPLES, SIZE, CLASSES = 21, 10, 16, 3


def layer(class_name: str, name: str, **config: Any) -> Json:
    return {"class_name": class_name, "config": {"name": name, **config}}


IMAGE = layer("InputLayer", "image", batch_input_shape=[None, SIZE, SIZE, 1])
HEAD = [layer("Flatten", "flat"), layer("Dense", "dense", units=CLASSES, activation="log_softmax")]


def convolution(name: str, filters: int = 4, **config: Any) -> Json:
    return layer("Conv2D", name, filters=filters, kernel_size=3, padding="same", activation="tanh", **config)


NETWORKS = {
    "plain": [IMAGE, convolution("one"), layer("AveragePooling2D", "pool", pool_size=4), *HEAD],
    "full": [
        IMAGE,
        convolution("one"),
        layer("BatchNormalization", "norm_one", momentum=0.8),
        convolution("two", strides=2),
        layer("BatchNormalization", "norm_two"),
        layer("SpatialDropout2D", "drop_channels", rate=0.2),
        layer("AveragePooling2D", "pool", pool_size=2),
        layer("Dropout", "drop", rate=0.25),
        *HEAD,
    ],
    "image to image": [IMAGE, convolution("one"), layer("BatchNormalization", "norm"), convolution("out", filters=1)],
    "masks": [
        IMAGE,
        convolution("one"),
        layer("Dropout", "drop", rate=0.1),
        layer("Conv2D", "out", filters=CLASSES, kernel_size=1, activation="linear"),
        layer("Activation", "soft", activation="log_softmax"),
    ],
}

WEIGHTED = {"function": "NLL", "weight": [1.0, 3.0, 0.5], "ignore_index": 2}
ADAM = {"type": "Adam", "learning_rate": 0.01}
RATED = {**ADAM, "layer_rates": [{"layers": ["one", "norm_*"], "factor": 0.3}, {"layers": ["two"], "factor": 2}]}

CASES: dict[str, tuple[str, Json, Json]] = {  # the fact under test -> network, changes of BASE, options of train
    "without batch statistics": ("plain", {}, {}),
    "batch normalization, dropout, weighted and ignored classes": ("full", {"loss": WEIGHTED}, {}),
    "a last batch smaller than the number of processes": (
        "image to image",
        {
            "loss": {"function": "MSE"},
            "data": {"target_path": "train/x", "test_target_path": "test/x", "batch_size": 10},
        },
        {},
    ),
    "class maps, measured by overlap": (
        "masks",
        {"data": {"target_path": "train/m", "test_target_path": "test/m"}, "optimizer": ADAM},
        {},
    ),
    "a sharded optimizer, resumed": ("full", {"optimizer": RATED}, {"shard_optimizer": True, "pieces": [2, 3]}),
    "accumulated gradients": ("full", {"loss": WEIGHTED, "data": {"batch_size": 3}}, {"accumulate": 3}),
}

BASE: Json = {
    "num_epochs": 3,
    "data": {
        "type": "numpy",
        "input_path": "train/x",
        "target_path": "train/t",
        "test_input_path": "test/x",
        "test_target_path": "test/t",
        "batch_size": 8,
        "test_batch_size": 4,
        "preload": True,
    },
    "optimizer": {"type": "SGD", "learning_rate": 0.05, "momentum": 0.9},
    "loss": {"function": "NLL"},
    "checkpoints": {"interval": 3},
}


def write_samples(folder: Path) -> None:
    """Images whose class is the third in which they are bright; labels, and maps of where they are bright."""
    for split, count in (("train", SAMPLES), ("test", TEST_SAMPLES)):
        random = np.random.default_rng(count)
        for side in ("x", "t", "m"):
            (folder / split / side).mkdir(parents=True)
        for i in range(count):
            image, label = random.normal(size=(1, SIZE, SIZE)).astype(np.float32), i % CLASSES
            image[:, 5 * label : 5 * label + 5] += 1
            np.save(folder / split / "x" / f"{i:02}.npy", image)
            np.save(folder / split / "t" / f"{i:02}.npy", np.array(label))
            np.save(folder / split / "m" / f"{i:02}.npy", label * (image > 1).astype(np.int64))


def write_config(folder: Path, case: str, save: Path) -> Path:
    """The case's configuration, with checkpoints in a folder of their own."""
    network, changes, _ = CASES[case]
    run = {**BASE, **changes, "layers": NETWORKS[network]}
    run["data"] = {**BASE["data"], **changes.get("data", {})}
    run["checkpoints"] = {**BASE["checkpoints"], "save": str(save)}
    for key, value in run["data"].items():
        if key.endswith("_path"):
            run["data"][key] = str(folder / value)
    save.mkdir(parents=True)
    path = save / "run.json"
    path.write_text(json.dumps({"neural_network": run}))
    return path


class Losses:
    """Keeps the loss of each step."""

    def __init__(self) -> None:
        self.kept: list[float] = []

    def epoch_started(self, epoch: int, epochs: int, batches: int) -> None: ...

    def batch_done(self, batch: int, loss: float) -> None:
        self.kept.append(loss)


def carry_out(config: Path, engine: str, options: Json, log: Callable[[str], None] = lambda line: None) -> Json:
    """Train, and give what can be compared: the loss of each step, and the result.

    The option "pieces" lists the epochs at which the run ends, to be resumed.
    """
    losses, epochs = Losses(), []
    options = dict(options)
    for number, end in enumerate(options.pop("pieces", [3])):
        result = onnxgrid.train(
            config, engine=engine, progress=losses, log=log, num_epochs=end, resume=number > 0, **options
        ).to_json()
        epochs += result["epochs"]
    return {**result, "losses": losses.kept, "epochs": epochs}


def carry_out_all(configs: list[tuple[Path, str, Json]], result: Path) -> None:
    """In one of several processes: train as each configuration says; the first of them writes the results."""
    results = [carry_out(*each) for each in configs]
    if results and results[0]["losses"]:
        result.write_text(json.dumps(results))
