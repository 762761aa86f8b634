"""Whether a network, a data set and a loss fit together: found out before the first step, from the first sample."""

import logging
from collections.abc import Iterator

import onnx_ir as ir
import torch

from converters.port_layout import PortLayout, stated_layout
from onnxgrid.data import Batch, Dataset, TargetKind
from onnxgrid.engines.node_names import layers_by_node
from onnxgrid.errors import DataError
from onnxgrid.losses import BinaryCrossEntropy, BinaryCrossEntropyWithLogits, Loss, NegativeLogLikelihood
from onnxgrid.shape_inference import ImpossibleShapes, sample_shapes

__all__ = ["require_fit", "warn_of_ending", "with_targets_checked"]

logger = logging.getLogger(__name__)

ENDINGS: dict[type[Loss], tuple[str, tuple[str, ...], str]] = {
    NegativeLogLikelihood: ("log-probabilities", ("LogSoftmax", "Log"), ""),
    BinaryCrossEntropy: ("probabilities", ("Sigmoid", "Softmax", "Clip"), '; for logits, set loss.source to "logits"'),
}
"""Loss -> what its outputs should be, the ops that make them so, advice."""

CHANNELS_FIRST_AGAIN = "Convert the network without --io-layout channels_last."

Size = int | None
"""None where the graph leaves it open."""


def require_fit(model: ir.Model, network_place: str, dataset: Dataset, data_place: str, loss: Loss | None) -> None:
    """Nothing, if samples of the data set can go through the network and its outputs can be compared with the targets.

    Args:
        network_place: the network's file, for errors.
        data_place: the folder or file of the inputs, for errors.

    Raises:
        DataError: naming both shapes, or both numbers of classes; that the network takes batches of one size only; or
            that its channels are last where they have to be first.
    """
    inputs, targets = dataset[0]
    place = f"{data_place} and {network_place}"
    _require_open_batch(model.graph.inputs[0], network_place)
    wanted = _sample_shape(model.graph.inputs[0])
    _require_channels_of_images_first(model.graph.inputs[0], network_place, dataset)
    layout = (stated_layout(model.graph.inputs[0]) or PortLayout.CHANNELS_FIRST).words
    if not _matches(inputs.shape, wanted):
        raise DataError(
            f"the samples have the shape {tuple(inputs.shape)}, the network's input {_text(wanted)} ({layout})",
            place=place,
            fix="Give data of that size, or change the input shape of the network.",
        )
    output = _output_shape(model, tuple(inputs.shape), place)
    if targets is None or loss is None:
        return
    if loss.target_kind is TargetKind.CLASS_INDICES:
        _require_classes_first(model.graph.outputs[0], network_place)
        _require_classes(output, place, dataset, loss)
        output = (*output[1:],) if output else output
    if not _matches(targets.shape, output):
        raise DataError(
            f"the targets have the shape {tuple(targets.shape)}, the network's output asks for {_text(output)}",
            place=place,
            fix="Give targets of that shape, or a network whose output has the shape of the targets.",
        )


def _output_shape(model: ir.Model, sample: tuple[int, ...], place: str) -> tuple[Size, ...]:
    """The shape of what the network gives for such a sample, without batch; empty if it cannot be told.

    Raises:
        DataError: if the network cannot compute it.
    """
    declared = _sample_shape(model.graph.outputs[0])
    if None not in (*_sample_shape(model.graph.inputs[0]), *declared) and declared:
        return declared
    try:
        shapes = sample_shapes(model, sample)
    except ImpossibleShapes as error:
        layer = layers_by_node(model)(error.node) or error.node
        raise DataError(
            f"the samples have the shape {_text(sample)}, with which layer '{layer}' cannot compute: {error}",
            place=place,
            fix="Give samples of another size: larger ones, or such as can be halved as often as the network does it.",
        ) from None
    return shapes.get(str(model.graph.outputs[0].name), (None, *declared))[1:]


def _require_open_batch(value: ir.Value, network_place: str) -> None:
    sizes = [] if value.shape is None else list(value.shape)
    if sizes and isinstance(sizes[0], int):
        raise DataError(
            f"the network's input '{value.name}' takes batches of {sizes[0]} only; "
            "the last batch of a data set may be smaller",
            place=network_place,
            fix="Export the network with a symbolic batch axis.",
        )


def _require_channels_of_images_first(value: ir.Value, network_place: str, dataset: Dataset) -> None:
    if dataset.kind == "images" and stated_layout(value) is PortLayout.CHANNELS_LAST:
        raise DataError(
            f"the network's input '{value.name}' has its channels last, and images have them first",
            place=network_place,
            fix=CHANNELS_FIRST_AGAIN,
        )


def _require_classes_first(value: ir.Value, network_place: str) -> None:
    if stated_layout(value) is PortLayout.CHANNELS_LAST:
        raise DataError(
            f"the network's output '{value.name}' has its channels last, and the loss takes classes from the first "
            "axis behind the batch",
            place=network_place,
            fix=CHANNELS_FIRST_AGAIN,
        )


def _require_classes(output: tuple[Size, ...], place: str, dataset: Dataset, loss: Loss) -> None:
    channels = output[0] if output else None
    if channels is None:
        return
    if dataset.classes is not None and len(dataset.classes) > channels:
        raise DataError(
            f"the samples have {len(dataset.classes)} classes, the network's output has {channels}",
            place=place,
            fix="Give the network's last layer at least one output for each class.",
        )
    weight = loss.weight if isinstance(loss, NegativeLogLikelihood) else None
    if weight is not None and len(weight) != channels:
        raise DataError(
            f"has {len(weight)} numbers, the network's output has {channels} classes",
            place="loss.weight",
            fix="Give one for each class.",
        )


def with_targets_checked(
    stream: Iterator[Batch], dataset: Dataset, model: ir.Model, loss: Loss, place: str
) -> Iterator[Batch]:
    """The batches, each checked for targets that the loss has no meaning for.

    Raises:
        DataError: naming the sample and its class index, if the network's output has no such class; or its value, if it
            is to be a probability and is none.
    """
    output = _sample_shape(model.graph.outputs[0])
    channels = output[0] if output else None
    if isinstance(loss, BinaryCrossEntropy | BinaryCrossEntropyWithLogits):
        yield from _with_probabilities_checked(stream, dataset, place)
        return
    if not isinstance(loss, NegativeLogLikelihood) or channels is None:
        yield from stream
        return
    for batch in stream:
        targets = batch.targets
        if targets is not None:
            outside = (targets < 0) | (targets >= channels)
            if loss.ignore_index is not None:
                outside &= targets != loss.ignore_index
            if outside.any():
                first = outside.flatten(1).any(1).nonzero()[0] if outside.dim() > 1 else outside.nonzero()[0]
                wrong = int(targets[first][outside[first]][0])
                raise DataError(
                    f"the target of '{dataset.names[int(batch.indices[first])]}' has the class index {wrong}, "
                    f"the network's output has {channels} classes",
                    place=place,
                    fix=f"Give indices from 0 to {channels - 1}, or set loss.ignore_index.",
                )
        yield batch


def _with_probabilities_checked(stream: Iterator[Batch], dataset: Dataset, place: str) -> Iterator[Batch]:
    for batch in stream:
        if batch.targets is not None:
            outside = ~((batch.targets >= 0) & (batch.targets <= 1)).flatten(1)
            if outside.any():
                first = int(outside.any(1).nonzero()[0])
                wrong = float(batch.targets.flatten(1)[first][outside[first]][0])
                raise DataError(
                    f"the target of '{dataset.names[int(batch.indices[first])]}' holds {wrong:g}, "
                    "and BCE compares with values from 0 to 1",
                    place=place,
                    fix="Scale the targets, or use MSE.",
                )
        yield batch


def warn_of_ending(model: ir.Model, loss: Loss) -> None:
    """Log a warning, if the network does not end in what the loss takes its outputs for."""
    producer = model.graph.outputs[0].producer()
    ending = "its input" if producer is None else producer.op_type
    wanted = ENDINGS.get(type(loss))
    if wanted is not None and ending not in wanted[1]:
        logger.warning("the loss takes the outputs for %s, but the network ends in %s%s", wanted[0], ending, wanted[2])


def _sample_shape(value: ir.Value) -> tuple[Size, ...]:
    """Sizes of a graph input or output without the batch axis; empty if the graph does not say."""
    if value.shape is None:
        return ()
    return tuple(size if isinstance(size, int) else None for size in list(value.shape)[1:])


def _matches(shape: torch.Size, wanted: tuple[Size, ...]) -> bool:
    return not wanted or (len(shape) == len(wanted) and all(w in (None, s) for s, w in zip(shape, wanted, strict=True)))


def _text(shape: tuple[Size, ...]) -> str:
    return (
        "(" + ", ".join("any" if size is None else str(size) for size in shape) + ("," if len(shape) == 1 else "") + ")"
    )
