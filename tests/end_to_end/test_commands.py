"""The commands as a user runs them, one process each, on real images: handwritten digits, 8x8 and 16x16 PNG files."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from onnxgrid import zoo

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
CLASSES, TRAIN_PER_CLASS, TEST_PER_CLASS = 4, 12, 5
LINE = re.compile(
    r"Train Epoch \[ *\d+/ *\d+\] : Batch \[ *\d+/ *\d+\] \(Loss = \d+\.\d{4}; \|g\| = \d+\.\d{4}\)"
    r" \[Data: \d+%; Compute: \d+%\]"
    r"|Eval  Epoch \[ *\d+/ *\d+\] : Batch \[ *\d+/ *\d+\] \(Loss: \d+\.\d{4}\)( \| Accuracy: [01]\.\d{3})?"
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`digits_SIZE/SPLIT/CLASS/*.png`, and `noisy_SIZE/SPLIT/*.png` beside `clean_SIZE/SPLIT/*.png`."""
    root = tmp_path_factory.mktemp("images")
    digits = load_digits(n_class=CLASSES)
    counts = dict.fromkeys(range(CLASSES), 0)
    random = np.random.default_rng(0)
    for index, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        counts[label] += 1
        if counts[label] > TRAIN_PER_CLASS + TEST_PER_CLASS:
            continue
        split = "train" if counts[label] <= TRAIN_PER_CLASS else "test"
        for size in (8, 16):
            clean = Image.fromarray(np.uint8(pixels * (255 / 16))).resize((size, size), Image.Resampling.BICUBIC)
            noise = random.normal(0, 40, (size, size))
            noisy = Image.fromarray(np.uint8(np.clip(np.asarray(clean) + noise, 0, 255)))
            for image, folder in (
                (clean, f"digits_{size}/{split}/{label}"),
                (clean, f"clean_{size}/{split}"),
                (noisy, f"noisy_{size}/{split}"),
            ):
                (root / folder).mkdir(parents=True, exist_ok=True)
                image.save(root / folder / f"{index:04}.png")
    return root


@pytest.fixture
def folder(tmp_path: Path, images: Path) -> Path:
    """A working directory, with the images in `data`."""
    (tmp_path / "data").symlink_to(images, target_is_directory=True)
    return tmp_path


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def onnxgrid(folder: Path, *arguments: str, fails: int = 0) -> subprocess.CompletedProcess[str]:
    """The finished command, once its exit code was found to be `fails`."""
    command = [sys.executable, "-m", "onnxgrid", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == fails, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done


def write_json(path: Path, content: Any) -> str:
    path.write_text(json.dumps(content, indent=1))
    return path.name


def layer(class_name: str, name: str, **config: Any) -> Json:
    return {"class_name": class_name, "config": {"name": name, **config}}


def convolutional(size: int) -> Json:
    layers = [
        layer("InputLayer", "image", batch_input_shape=[None, size, size, 1]),
        layer("Conv2D", "conv_1", filters=8, kernel_size=3, padding="same", activation="relu"),
        layer("BatchNormalization", "norm_1"),
        layer("MaxPooling2D", "pool_1", pool_size=2),
        layer("Conv2D", "conv_2", filters=16, kernel_size=3, padding="same", activation="relu"),
        layer("Dropout", "drop_1", rate=0.1),
        layer("Conv2D", "classes", filters=CLASSES, kernel_size=1),
        layer("GlobalAveragePooling2D", "mean"),
        layer("Activation", "out", activation="log_softmax"),
    ]
    return {"class_name": "Sequential", "config": {"name": "digits", "layers": layers}}


def dense(size: int, *, frozen: bool) -> Json:
    layers = [
        layer("InputLayer", "image", batch_input_shape=[None, size, size, 1]),
        layer("Conv2D", "conv_1", filters=6, kernel_size=3, padding="same", activation="relu", trainable=not frozen),
        layer("MaxPooling2D", "pool_1", pool_size=2),
        layer("Flatten", "flat"),
        layer("Dense", f"dense_{size}_1", units=CLASSES, activation="log_softmax"),
    ]
    return {"class_name": "Sequential", "config": {"name": "digits", "layers": layers}}


def classify(size: int, layers: str, name: str, **changes: Any) -> Json:
    """A run configuration for the digits of a size."""
    run = {
        "layers": layers,
        "outfile": f"{name}/log.txt",
        "num_epochs": 3,
        "data": {
            "input_type": "images",
            "target_type": "labels",
            "grayscale": True,
            "input_path": f"data/digits_{size}/train/",
            "test_input_path": f"data/digits_{size}/test/",
            "batch_size": 16,
        },
        "optimizer": {"type": "Adam", "learning_rate": 0.01},
        "loss": {"function": "NLL"},
        "checkpoints": {"save": f"./{name}/"},
    }
    return {"neural_network": {**run, **changes}}


def assert_log(stdout: str, epochs: int) -> None:
    """Nothing but the log: blocks first, then lines of training and evaluation, then the end."""
    lines = stdout.splitlines()
    assert lines[0].startswith("onnxgrid ")
    assert lines[-1] == "All done (return value = 0). "
    begin = next(i for i, line in enumerate(lines) if line.startswith("Train Epoch"))
    progress = [line for line in lines[begin:-1] if line != "-" * 45]
    assert progress
    assert all(LINE.fullmatch(line) for line in progress), progress
    evaluated = [int(match[1]) for line in progress if (match := re.match(r"Eval  Epoch \[ *(\d+)/", line))]
    assert sorted(set(evaluated)) == list(range(1, epochs + 1))


def final(log: Path) -> list[float]:
    """The last line of a test result file: epoch, seconds, loss and, where there is one, accuracy."""
    return [float(number) for number in log.read_text().splitlines()[-1].split()]


def test_a_convolutional_network_goes_from_coarse_to_fine(folder: Path) -> None:
    for size in (8, 16):
        write_json(folder / f"net_{size}.json", convolutional(size))
    run = write_json(folder / "coarse.json", classify(8, "net_8.json", "coarse", num_epochs=20))
    trained = onnxgrid(folder, "train", run, "--engine", "ort")
    assert_log(trained.stdout, epochs=20)
    assert trained.stderr == ""

    converted = onnxgrid(folder, "convert", "net_16.json", "-o", "net_16.onnx")
    assert re.fullmatch(r"net_16\.onnx: \d+ nodes, \d+ initializers, 1,[\d,]+ parameters\n", converted.stdout)
    carried = onnxgrid(
        folder, "transplant", "coarse/model_checkpoint_20.pt", "net_16.onnx", "-o", "start.onnx", "--strict"
    )
    assert carried.stdout == (
        "start.onnx: 10 copied, 0 adapted, 0 unmatched in source, 0 unmatched in target, 0 shape mismatch\n"
    )

    run = write_json(folder / "fine.json", classify(16, "start.onnx", "fine", num_epochs=10))
    fine = onnxgrid(folder, "train", run, "--json")
    result = json.loads(fine.stdout)
    assert result["engine"] == "ort"
    assert result["checkpoint"] == "fine/model_checkpoint_10.onnx"
    assert [epoch["epoch"] for epoch in result["epochs"]] == list(range(1, 11))
    assert_log(fine.stderr, epochs=10)
    assert result["epochs"][-1]["accuracy"] >= 0.6  # one in four by chance
    assert final(folder / "fine/log_test.txt")[-1] == pytest.approx(result["epochs"][-1]["accuracy"], abs=1e-6)

    shown = json.loads(onnxgrid(folder, "inspect", result["checkpoint"], "--json").stdout)
    port = {"name": "image", "dtype": "float32", "shape": ["N", 1, 16, 16], "layout": "channels_first"}
    assert shown["inputs"] == [port]
    assert "conv_1.weight" in onnxgrid(folder, "inspect", result["checkpoint"]).stdout
    assert accuracy_of(folder / result["checkpoint"], folder / "data/digits_16/test") == pytest.approx(
        result["epochs"][-1]["accuracy"]
    )


def accuracy_of(model: Path, images: Path) -> float:
    """The share of right answers of a model in a plain inference session."""
    files = sorted(images.glob("*/*.png"))
    inputs = np.stack([np.asarray(Image.open(file), dtype=np.float32)[None] / 255 for file in files])
    session = onnxruntime.InferenceSession(model)
    (outputs,) = session.run(None, {"image": inputs})
    return float(np.mean(outputs.argmax(axis=1) == [int(file.parent.name) for file in files]))


def test_a_renamed_dense_layer_is_skipped_and_trained_anew(folder: Path) -> None:
    write_json(folder / "net_8.json", dense(8, frozen=False))
    write_json(folder / "net_16.json", dense(16, frozen=True))
    onnxgrid(folder, "train", write_json(folder / "coarse.json", classify(8, "net_8.json", "coarse")))
    checkpoints = {"load": "./coarse/model_checkpoint_3.pt", "save": "./fine/"}
    run = write_json(folder / "fine.json", classify(16, "net_16.json", "fine", checkpoints=checkpoints))
    lines = onnxgrid(folder, "train", run, "--timestamps").stdout.splitlines()
    assert all(re.match(r"\[\d{4}-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d\.\d{6}\] ", line) for line in lines)
    lines = [line.partition("] ")[2] for line in lines]
    begin = lines.index("Loading model checkpoint from file: ./coarse/model_checkpoint_3.pt")
    assert lines[begin + 1 : begin + 6] == [
        "   Skipping layer dense_16_1: not found in model",
        "   Skipping parameter dense_16_1.weight: not found in model",
        "   Skipping parameter dense_16_1.bias: not found in model",
        "   Unused layer dense_8_1: not found in network",
        "----------------- Optimizer -----------------",
    ]
    coarse, fine = (weights(folder / path) for path in (checkpoints["load"], "fine/model_checkpoint_3.pt"))
    assert torch.equal(coarse["conv_1.weight"], fine["conv_1.weight"])

    refused = onnxgrid(folder, "train", run, "--strict", fails=2)
    assert refused.stderr == (
        "Error: ./coarse/model_checkpoint_3.pt: 4 differences between the checkpoint and the network, listed above\n"
        "  Rename layers so that they match, or leave --strict out.\n"
    )


def weights(path: Path) -> dict[str, torch.Tensor]:
    saved: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["model"]
    return saved


def denoise(size: int, layers: str, name: str) -> Json:
    run = classify(size, layers, name, loss={"function": "MSE"})
    run["neural_network"]["data"] = {
        "type": "images",
        "grayscale": True,
        "preload": True,
        "batch_size": 16,
        "input_path": f"data/noisy_{size}/train",
        "target_path": f"data/clean_{size}/train",
        "test_input_path": f"data/noisy_{size}/test",
        "test_target_path": f"data/clean_{size}/test",
    }
    return run


def test_a_growing_unet_keeps_the_weights_of_its_bottom(folder: Path) -> None:
    for size, depth in ((8, 1), (16, 2)):
        write_json(folder / f"net_{size}.json", zoo.unet2d((size, size, 1), depth=depth, bottom_channels=8))
    onnxgrid(folder, "train", write_json(folder / "coarse.json", denoise(8, "net_8.json", "coarse")))
    onnxgrid(folder, "convert", "net_16.json")
    carried = onnxgrid(
        folder,
        "transplant",
        "coarse/model_checkpoint_3.onnx",
        "net_16.onnx",
        "-o",
        "start.onnx",
        "--report",
        "report.json",
    )
    report = json.loads((folder / "report.json").read_text())
    assert report["counts"]["copied"] > 0
    assert report["counts"]["unmatched_in_target"] > 0
    assert carried.stdout.splitlines()[-1].startswith("start.onnx: ")
    fine = onnxgrid(folder, "train", write_json(folder / "fine.json", denoise(16, "start.onnx", "fine")))
    assert_log(fine.stdout, epochs=3)
    assert "Accuracy" not in fine.stdout
    assert len(final(folder / "fine/log_test.txt")) == 3


@pytest.mark.parametrize("engine", ["ort", "torch"])
def test_a_run_that_was_killed_and_resumed_gives_the_weights_of_one_that_was_not(engine: str, folder: Path) -> None:
    write_json(folder / "net.json", convolutional(8))
    epochs = 60
    whole = write_json(folder / "whole.json", classify(8, "net.json", "whole", num_epochs=epochs))
    killed = write_json(folder / "killed.json", classify(8, "net.json", "killed", num_epochs=epochs))
    onnxgrid(folder, "train", whole, "--engine", engine)
    command = [sys.executable, "-m", "onnxgrid", "train", killed, "--engine", engine]
    with subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL) as process:
        wait_for(folder / "killed" / "model_checkpoint_3.pt", process)
        process.send_signal(signal.SIGKILL)
    assert not (folder / "killed" / f"model_checkpoint_{epochs}.pt").exists()
    resumed = onnxgrid(folder, "train", killed, "--resume")
    assert re.search(r"^Resuming after epoch \d+ from file: killed/model_checkpoint_\d+\.pt$", resumed.stdout, re.M)
    expected, given = (weights(folder / name / f"model_checkpoint_{epochs}.pt") for name in ("whole", "killed"))
    assert list(expected) == list(given)
    for name, tensor in expected.items():
        assert torch.equal(tensor, given[name]), name
    losses = [(folder / name / "log_train.txt").read_text().splitlines() for name in ("whole", "killed")]
    assert [line.split()[3:] for line in losses[0]] == [line.split()[3:] for line in losses[1]]


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.002)


BAD_NETWORK = (
    '{\n  "class_name": "Sequential",\n  "config": {"layers": [\n    {"class_name": "Dense"\n     "config": {}}]}}\n'
)


def test_bad_input_is_one_paragraph_and_exit_code_2(folder: Path) -> None:
    (folder / "broken.json").write_text(BAD_NETWORK)
    (folder / "broken.pt").write_bytes(b"PK not a checkpoint")
    write_json(folder / "net.json", convolutional(8))
    write_json(folder / "wide.json", convolutional(16))
    run = classify(8, "net.json", "never")
    write_json(folder / "run.json", run)
    for arguments, problem in {
        ("convert", "broken.json"): "broken.json:5:6: ",
        ("train", "run.json", "--set", "layers=broken.json"): "broken.json:5:6: ",
        ("train", "run.json", "--set", "checkpoints.load=broken.pt"): "broken.pt: ",
        ("train", "run.json", "--set", "data.batch_size=0"): "--set data.batch_size=0: data.batch_size is 0\n",
        ("train", "run.json", "--set", "layers=wide.json"): (
            "data/digits_8/train/ and wide.json: the samples have the shape (1, 8, 8), "
            "the network's input (1, 16, 16) (channels first)\n"
        ),
    }.items():
        done = onnxgrid(folder, *arguments, fails=2)
        assert done.stderr.startswith(f"Error: {problem}"), done.stderr
        assert len(done.stderr) < 1000
    assert not (folder / "never").exists()
