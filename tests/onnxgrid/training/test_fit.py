"""What a network, a data set and a loss must agree on, and what is said when they do not."""

import json
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch

import converters
from converters.port_layout import PortLayout, state_layout
from onnxgrid.data import Batch
from onnxgrid.data.columns import StoredColumn
from onnxgrid.data.dataset import Dataset
from onnxgrid.errors import DataError
from onnxgrid.losses import Loss, MeanSquaredError, NegativeLogLikelihood
from onnxgrid.training.fit import require_fit, with_targets_checked

Sizes = list[int | str | None]


def network(inputs: Sizes, outputs: Sizes | None) -> ir.Model:
    x = ir.val("x", dtype=ir.DataType.FLOAT, shape=ir.Shape(inputs))
    y = ir.val("y", dtype=ir.DataType.FLOAT, shape=None if outputs is None else ir.Shape(outputs))
    node = ir.node("Anything", [x], domain="of.the.tests", outputs=[y])
    return ir.Model(ir.Graph([x], [y], nodes=[node], opset_imports={"": 17, node.domain: 1}, name="net"), ir_version=9)


def channels_last(model: ir.Model) -> ir.Model:
    """The model, changed: it states that its inputs and outputs have their channels last."""
    for value in (*model.graph.inputs, *model.graph.outputs):
        state_layout(value, PortLayout.CHANNELS_LAST)
    return model


def dataset(
    inputs: tuple[int, ...],
    targets: torch.Tensor | None,
    classes: tuple[str, ...] | None = None,
    kind: str = "samples",
) -> Dataset:
    count = 1 if targets is None else len(targets)
    column = None if targets is None else StoredColumn(targets)
    names = tuple(f"{i}.npy" for i in range(count))
    return Dataset(StoredColumn(torch.zeros(count, *inputs)), column, names=names, classes=classes, kind=kind)


def labels(*values: int) -> torch.Tensor:
    return torch.tensor(values)


def fit(model: ir.Model, data: Dataset, loss: Loss | None) -> None:
    require_fit(model, "net.json", data, "data/x", loss)


FITTING: dict[str, tuple[ir.Model, Dataset, Loss | None]] = {
    "a classifier": (network(["N", 1, 8, 9], ["N", 3]), dataset((1, 8, 9), labels(0, 2)), NegativeLogLikelihood()),
    "fewer classes than outputs": (
        network(["N", 1, 8, 9], ["N", 3]),
        dataset((1, 8, 9), labels(0, 1), ("a", "b")),
        NegativeLogLikelihood((1.0, 2.0, 3.0)),
    ),
    "class maps": (
        network(["N", 1, 8, 9], ["N", 3, 8, 9]),
        dataset((1, 8, 9), torch.zeros(2, 8, 9, dtype=torch.int64)),
        NegativeLogLikelihood(),
    ),
    "values": (
        network(["N", 1, 8, 9], ["N", 2, 4, 4]),
        dataset((1, 8, 9), torch.zeros(2, 2, 4, 4)),
        MeanSquaredError(),
    ),
    "sizes left open": (
        network(["N", 1, None, "W"], ["N", 1, None, "W"]),
        dataset((1, 8, 9), torch.zeros(2, 1, 8, 9)),
        MeanSquaredError(),
    ),
    "an output of unknown shape": (network(["N", 5], None), dataset((5,), torch.zeros(2, 7)), MeanSquaredError()),
    "arrays as a network with channels last takes and gives them": (
        channels_last(network(["N", 8, 9, 1], ["N", 8, 9, 2])),
        dataset((8, 9, 1), torch.zeros(2, 8, 9, 2)),
        MeanSquaredError(),
    ),
    "no targets": (network(["N", 5], ["N", 3]), dataset((5,), None), MeanSquaredError()),
    "no loss": (network(["N", 5], ["N", 3]), dataset((5,), torch.zeros(2, 9)), None),
}


@pytest.mark.parametrize(("model", "data", "loss"), FITTING.values(), ids=FITTING)
def test_what_fits_passes(model: ir.Model, data: Dataset, loss: Loss | None) -> None:
    fit(model, data, loss)


def layer(class_name: str, name: str, inbound: list[str] | None = None, **config: object) -> dict[str, object]:
    calls = {} if inbound is None else {"inbound_nodes": [[[source, 0, 0, {}] for source in inbound]]}
    return {"class_name": class_name, "config": {"name": name, **config}, **calls}


OPEN_SIZES = layer("InputLayer", "image", batch_input_shape=[None, None, None, 1])
NARROWING = [
    OPEN_SIZES,
    layer("Conv2D", "narrow", filters=2, kernel_size=3),
    layer("MaxPooling2D", "half", pool_size=2),
    layer("Conv2D", "rest", filters=1, kernel_size=5),
]
JOINING = [
    OPEN_SIZES,
    layer("MaxPooling2D", "half", ["image"], pool_size=2),
    layer("UpSampling2D", "whole", ["half"], size=2),
    layer("Concatenate", "joined", ["image", "whole"]),
]


def converted(layers: list[dict[str, object]], folder: Path) -> ir.Model:
    path = folder / "net.json"
    path.write_text(json.dumps(layers))
    return converters.convert(path)


def test_samples_that_fit_through_a_network_with_open_sizes_pass(tmp_path: Path) -> None:
    narrowing, joining = converted(NARROWING, tmp_path), converted(JOINING, tmp_path)
    fit(narrowing, dataset((1, 12, 13), torch.zeros(2, 1, 1, 1)), MeanSquaredError())
    fit(joining, dataset((1, 12, 6), torch.zeros(2, 2, 12, 6)), MeanSquaredError())


def test_what_is_empty_whatever_the_samples_is_no_reason_to_refuse_them(tmp_path: Path) -> None:
    """As the regions are that exporters give to a Resize which has none."""
    model = converted(NARROWING, tmp_path)
    nothing = ir.node("Constant", [], {"value": ir.tensor(np.zeros(0, np.float32))}, name="regions")
    model.graph.insert_before(model.graph[0], nothing)
    model.graph.append(ir.node("Identity", nothing.outputs, name="kept"))
    fit(model, dataset((1, 12, 13), None), None)


UNFIT_FOR_OPEN_SIZES = {
    "too small": (
        NARROWING,
        dataset((1, 11, 12), None),
        None,
        "the samples have the shape (1, 11, 12), with which layer 'rest' cannot compute: nothing is left of what it "
        "gives\n  Give samples of another size: larger ones, or such as can be halved as often as the network does it.",
    ),
    "odd": (
        JOINING,
        dataset((1, 12, 7), None),
        None,
        "the samples have the shape (1, 12, 7), with which layer 'joined' cannot compute: Can't merge shape info. Both "
        "inferred and declared dimension have values but they differ. Inferred=6 Declared=7 Dimension=3\n"
        "  Give samples of another size: larger ones, or such as can be halved as often as the network does it.",
    ),
    "targets of another size than comes of them": (
        NARROWING,
        dataset((1, 12, 14), torch.zeros(2, 1, 12, 14)),
        MeanSquaredError(),
        "the targets have the shape (1, 12, 14), the network's output asks for (1, 1, 2)\n"
        "  Give targets of that shape, or a network whose output has the shape of the targets.",
    ),
}


@pytest.mark.parametrize(("layers", "data", "loss", "message"), UNFIT_FOR_OPEN_SIZES.values(), ids=UNFIT_FOR_OPEN_SIZES)
def test_samples_that_a_network_with_open_sizes_cannot_take_are_refused(
    layers: list[dict[str, object]], data: Dataset, loss: Loss | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        fit(converted(layers, tmp_path), data, loss)
    assert str(caught.value) == f"data/x and net.json: {message}"


UNFIT: dict[str, tuple[ir.Model, Dataset, Loss | None, str]] = {
    "samples of another size": (
        network(["N", 1, 8, 9], ["N", 3]),
        dataset((3, 8, 8), None),
        None,
        "data/x and net.json: the samples have the shape (3, 8, 8), the network's input (1, 8, 9) (channels first)\n"
        "  Give data of that size, or change the input shape of the network.",
    ),
    "samples of another rank": (
        network(["N", 1, None, None], ["N", 3]),
        dataset((8, 8), None),
        None,
        "data/x and net.json: the samples have the shape (8, 8), the network's input (1, any, any) (channels first)\n"
        "  Give data of that size, or change the input shape of the network.",
    ),
    "targets of another shape": (
        network(["N", 5], ["N", 3]),
        dataset((5,), torch.zeros(2, 4)),
        MeanSquaredError(),
        "data/x and net.json: the targets have the shape (4,), the network's output asks for (3,)\n"
        "  Give targets of that shape, or a network whose output has the shape of the targets.",
    ),
    "labels for a network with images as output": (
        network(["N", 5], ["N", 3, 8, 9]),
        dataset((5,), labels(0, 1)),
        NegativeLogLikelihood(),
        "data/x and net.json: the targets have the shape (), the network's output asks for (8, 9)\n"
        "  Give targets of that shape, or a network whose output has the shape of the targets.",
    ),
    "more classes than outputs": (
        network(["N", 5], ["N", 2]),
        dataset((5,), labels(0, 1, 2), ("a", "b", "c")),
        NegativeLogLikelihood(),
        "data/x and net.json: the samples have 3 classes, the network's output has 2\n"
        "  Give the network's last layer at least one output for each class.",
    ),
    "class weights of another number": (
        network(["N", 5], ["N", 3]),
        dataset((5,), labels(0, 1, 2)),
        NegativeLogLikelihood((1.0, 2.0)),
        "loss.weight: has 2 numbers, the network's output has 3 classes\n  Give one for each class.",
    ),
    "channels first for channels last": (
        channels_last(network(["N", 8, 9, 1], ["N", 3])),
        dataset((1, 8, 9), None),
        None,
        "data/x and net.json: the samples have the shape (1, 8, 9), the network's input (8, 9, 1) (channels last)\n"
        "  Give data of that size, or change the input shape of the network.",
    ),
    "images for channels last, though the sizes agree": (
        channels_last(network(["N", 3, 3, 3], ["N", 3])),
        dataset((3, 3, 3), None, kind="images"),
        None,
        "net.json: the network's input 'x' has its channels last, and images have them first\n"
        "  Convert the network without --io-layout channels_last.",
    ),
    "classes of pixels for channels last, though the sizes agree": (
        channels_last(network(["N", 5], ["N", 3, 3, 3])),
        dataset((5,), torch.zeros(2, 3, 3, dtype=torch.int64)),
        NegativeLogLikelihood(),
        "net.json: the network's output 'y' has its channels last, and the loss takes classes from the first axis "
        "behind the batch\n"
        "  Convert the network without --io-layout channels_last.",
    ),
    "a network for batches of one": (
        network([1, 5], [1, 3]),
        dataset((5,), None),
        None,
        "net.json: the network's input 'x' takes batches of 1 only; the last batch of a data set may be smaller\n"
        "  Export the network with a symbolic batch axis.",
    ),
}


@pytest.mark.parametrize(("model", "data", "loss", "message"), UNFIT.values(), ids=UNFIT)
def test_what_does_not_fit_is_told_before_the_first_step(
    model: ir.Model, data: Dataset, loss: Loss | None, message: str
) -> None:
    with pytest.raises(DataError) as caught:
        fit(model, data, loss)
    assert str(caught.value) == message


def check_classes(targets: torch.Tensor | None, loss: Loss, outputs: Sizes) -> list[Batch]:
    data = dataset((5,), labels(*range(9)))
    batches = [Batch(torch.zeros(2, 5), targets, torch.tensor([4, 7]))]
    return list(with_targets_checked(iter(batches), data, network(["N", 5], outputs), loss, "data/x"))


def test_batches_whose_classes_exist_pass() -> None:
    assert len(check_classes(labels(0, 2), NegativeLogLikelihood(), ["N", 3])) == 1
    assert len(check_classes(labels(0, 255), NegativeLogLikelihood(ignore_index=255), ["N", 3])) == 1
    assert len(check_classes(None, NegativeLogLikelihood(), ["N", 3])) == 1
    assert len(check_classes(torch.tensor([9.0, 9.0]), MeanSquaredError(), ["N", 3])) == 1


OUTSIDE = {
    "a label": (labels(2, 3), None, "7.npy", 3),
    "a negative label": (labels(-100, 0), None, "4.npy", -100),
    "a pixel": (torch.tensor([[[0, 1]], [[2, 9]]]), None, "7.npy", 9),
    "not the ignored one": (labels(255, 254), 255, "7.npy", 254),
}


@pytest.mark.parametrize(("targets", "ignored", "sample", "index"), OUTSIDE.values(), ids=OUTSIDE)
def test_a_class_that_the_network_does_not_have_is_named(
    targets: torch.Tensor, ignored: int | None, sample: str, index: int
) -> None:
    with pytest.raises(DataError) as caught:
        check_classes(targets, NegativeLogLikelihood(ignore_index=ignored), ["N", 3])
    assert str(caught.value) == (
        f"data/x: the target of '{sample}' has the class index {index}, the network's output has 3 classes\n"
        "  Give indices from 0 to 2, or set loss.ignore_index."
    )
