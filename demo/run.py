"""`make demo`: the three ways to reuse a coarse network on a finer grid, on real images, with the commands a user would
type.

Everything it makes is in `demo_output/`. Run it from the project's folder.
"""

import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
import torch
from digits import write_digits

from converters.weights.onnx import open_onnx
from onnxgrid.config import DataType, read_config
from onnxgrid.data import Split, TargetKind, open_dataset
from onnxgrid.engines import create_engine
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.losses import NegativeLogLikelihood

OUTPUT = Path("demo_output")
SHOWN = ("Loading model checkpoint", "   Skipping", "   Unused")
"""Of a training log, the demo repeats these lines; the whole log is in `demo_output/logs/`."""


@dataclass(frozen=True)
class Evaluations:
    """A run's test file: one row per epoch."""

    seconds: list[float]
    loss: list[float]
    accuracy: list[float]

    @classmethod
    def of(cls, run: str) -> "Evaluations":
        rows = [
            [float(number) for number in line.split()]
            for line in (OUTPUT / "logs" / f"{run}_test.txt").read_text().splitlines()
        ]
        return cls([row[1] for row in rows], [row[2] for row in rows], [row[3] for row in rows if len(row) > 3])

    def epochs_to(self, accuracy: float) -> int | None:
        """The first epoch that reaches an accuracy."""
        return next((epoch for epoch, reached in enumerate(self.accuracy, 1) if reached >= accuracy), None)


def command(*arguments: str) -> str:
    """Run an onnxgrid command, shown as a user would type it; return what it printed."""
    print(f"$ onnxgrid {' '.join(arguments)}", flush=True)
    result = subprocess.run([sys.executable, "-m", "onnxgrid", *arguments], stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(result.returncode)
    return result.stdout


def train(run: str, *options: str) -> Evaluations:
    """`onnxgrid train models/run_RUN.json`; print the transplant lines and the last evaluation."""
    began = time.perf_counter()
    log = command("train", f"models/run_{run}.json", *options)
    (OUTPUT / "logs" / f"{run}.log").write_text(log)
    for line in log.splitlines():
        if line.startswith(SHOWN):
            print(line)
    evaluations = Evaluations.of(run)
    accuracy = f", accuracy {evaluations.accuracy[-1]:.3f}" if evaluations.accuracy else ""
    seconds = time.perf_counter() - began
    print(f"   {len(evaluations.loss)} epochs, {seconds:.0f} s in all: test loss {evaluations.loss[-1]:.4f}{accuracy}")
    return evaluations


def title(text: str) -> None:
    print(f"\n== {text}", flush=True)


def last_checkpoint(run: str) -> Path:
    """The newest deployable checkpoint of a run."""
    folder = OUTPUT / "checkpoints" / run
    return max(folder.glob("model_checkpoint_*.onnx"), key=lambda path: int(path.stem.rsplit("_", 1)[1]))


def test_images(run: str) -> tuple[np.ndarray, np.ndarray]:
    """The test inputs of a run, (N, 1, H, W), and their targets."""
    data = read_config(Path(f"models/run_{run}.json")).data
    kind = TargetKind.CLASS_INDICES if data.target_type is DataType.LABELS else TargetKind.VALUES
    dataset = open_dataset(data, Split.TEST, target_kind=kind, classes=None, log=lambda line: None)
    assert dataset is not None
    inputs, targets = dataset.take(torch.arange(len(dataset)))
    assert targets is not None
    return inputs.numpy(), targets.numpy()


def run_plainly(model: Path, images: np.ndarray) -> np.ndarray:
    """The model's outputs from a plain inference session that knows nothing of onnxgrid."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    outputs: np.ndarray = session.run(None, {session.get_inputs()[0].name: images})[0]
    return outputs


def accuracy_of(model: Path, run: str) -> float:
    images, labels = test_images(run)
    return float((run_plainly(model, images).argmax(axis=1) == labels).mean())


def convolutional() -> tuple[Evaluations, Evaluations, Evaluations]:
    """Use case 1: only the input's shape differs, so every initializer transplants."""
    title("1. A purely convolutional network: 16x16 -> 32x32, every weight is carried over")
    print(command("convert", "models/digits_conv_16.json", "-o", "demo_output/conv_16.onnx"), end="")
    coarse = train("conv_16")
    print(command("convert", "models/digits_conv_32.json", "-o", "demo_output/conv_32.onnx"), end="")
    source = last_checkpoint("conv_16").with_suffix(".pt")
    print(
        command("transplant", str(source), "demo_output/conv_32.onnx", "-o", "demo_output/conv_32_start.onnx"), end=""
    )
    before = accuracy_of(OUTPUT / "conv_32_start.onnx", "conv_32")
    transplanted = train("conv_32")
    scratch = train("conv_32_scratch")
    after = transplanted.accuracy[-1]
    needed = scratch.epochs_to(after)
    first = transplanted.accuracy[0]
    print(f"   accuracy at 32x32: {before:.3f} with the 16x16 weights as they are, {first:.3f} after one epoch,")
    print(f"   {after:.3f} after {len(transplanted.accuracy)} epochs. From scratch that takes ", end="")
    print(
        f"{needed} epochs."
        if needed
        else f"more than {len(scratch.accuracy)} epochs (then: {scratch.accuracy[-1]:.3f})."
    )
    return coarse, transplanted, scratch


def fixed_size() -> None:
    """Use case 2: a Dense layer whose shape depends on the image size is renamed and trained anew."""
    title("2. A network with a Dense layer of fixed size: renamed at 32x32, the rest is carried over")
    train("dense_16")
    train("dense_32")
    print("   and with the convolutions frozen, so that only the new layer is trained:")
    train("dense_32_frozen")


def growing() -> tuple[Evaluations, Evaluations, Evaluations]:
    """Use case 3: a U-Net that denoises; at 32x32 it is one level deeper, and the lower levels keep their weights."""
    title("3. A growing U-Net that removes noise: one level more at the top")
    coarse = train("unet_16")
    command("convert", "models/digits_unet_32.json", "-o", "demo_output/unet_32.onnx")
    source, report = last_checkpoint("unet_16").with_suffix(".pt"), "demo_output/unet_32_report.json"
    start = "demo_output/unet_32_start.onnx"
    lines = command("transplant", str(source), "demo_output/unet_32.onnx", "-o", start, "--report", report)
    print(lines.splitlines()[-1])
    transplanted = train("unet_32")
    scratch = train("unet_32_scratch")
    return coarse, transplanted, scratch


def deploy(run: str) -> None:
    """The checkpoint in a plain inference session gives what the training engine gives."""
    title("4. Deployment: the checkpoint in a plain ONNX Runtime session")
    model, (images, _) = last_checkpoint(run), test_images(run)
    plain = run_plainly(model, images)
    graph = TrainableGraph.from_model(open_onnx(model), str(model))
    trained = create_engine("ort", graph, NegativeLogLikelihood(), seed=0).predict(torch.from_numpy(images)).numpy()
    difference = float(np.abs(plain - trained).max() / np.abs(trained).max())
    print(f"   {model}: {len(images)} images, largest difference to the engine {difference:.1e} relative")
    if not difference < 1e-5:
        sys.exit("   the outputs differ")


def draw(curves: dict[str, tuple[Evaluations, Evaluations, Evaluations]], path: Path) -> None:
    """Loss against training time; the transplanted run starts when its coarse run has ended."""
    figure, axes = plt.subplots(1, len(curves), figsize=(6 * len(curves), 4), squeeze=False)
    for axis, (name, (coarse, transplanted, scratch)) in zip(axes[0], curves.items(), strict=True):
        axis.plot(coarse.seconds, coarse.loss, "o:", color="tab:green", label="coarse, 16x16")
        axis.plot(
            [coarse.seconds[-1] + s for s in transplanted.seconds],
            transplanted.loss,
            "o-",
            color="tab:blue",
            label="transplanted, 32x32",
        )
        axis.plot(scratch.seconds, scratch.loss, "s-", color="tab:red", label="from scratch, 32x32")
        axis.set(title=name, xlabel="training time, s", ylabel="test loss", yscale="log")
        axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    began = time.perf_counter()
    shutil.rmtree(OUTPUT, ignore_errors=True)
    (OUTPUT / "logs").mkdir(parents=True)
    data = OUTPUT / "data"
    print(f"{write_digits(data)} handwritten digits written to {data}/ at 16x16 and 32x32, clean and noisy")
    curves = {"classification": convolutional()}
    fixed_size()
    curves["denoising, growing U-Net"] = growing()
    deploy("conv_32")
    picture = OUTPUT / "loss_against_time.png"
    draw(curves, picture)
    print(f"\nPicture of loss against time: {picture}   ({time.perf_counter() - began:.0f} s in all)")


if __name__ == "__main__":
    main()
