"""A converted model run on random input, and compared with Keras where Keras is installed and can load the network."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx.reference
import onnx_ir as ir

from converters.port_layout import layouts_of
from onnxgrid.errors import WorkFailed
from onnxgrid.keras_reference import REPORT, KerasInput, KerasReference, NoReference, keras_reference

__all__ = ["CheckReport", "check_model"]

Array = npt.NDArray[Any]

BATCH = 2

NOISE = 1e-6
"""Differences below this share of the largest output are rounding."""

OPEN_SIZES = (64, 32, 16, 8, 256)
"""What stands for a size that the network leaves open, the first with which it runs: divisible by what most networks
halve, and tables of positions end somewhere; large where windows at the end of a classifier ask for it."""

INTEGERS = 10
"""As many different numbers go into an input of integers that are no numbers of words."""

TOLERANCE, TOLERANCE_EPSILONS = 1e-4, 50
"""Of the largest output: rounding adds up over some hundred layers. In types coarser than float32, so many times what
they can tell apart."""

NUDGE = 2.0**-21
"""By what share of themselves inputs change to find out how much a network magnifies rounding."""

MAGNIFIED_SHARE = 10
"""Rounding adds up on the way through a network: outputs that change so many times less than Keras' differ show that
the difference may be rounding too."""

MAGNIFIES = (
    "with these weights the network magnifies rounding: inputs that change by {nudge:.1e} of themselves change its "
    "outputs by {magnified:.1e} of the largest"
)

ORT_MAX_OPSET = 21
"""The newest opset that ONNX Runtime 1.19 knows."""

FATAL_ONLY = 4
"""ONNX Runtime's severity level: its errors come as exceptions, and need not be printed as well."""

NOT_RUN = "nothing here runs it: ONNX Runtime knows no opset {opset}, and the reference of onnx passes over masks"


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Args:
        runtime: what ran the model; empty if nothing here can.
        difference: the largest difference from Keras, relative to its largest output; None if nothing was compared.
        reason: why nothing was compared; empty if something was.
        varies: whether different inputs gave different outputs; if not, a comparison says little.
        given_back: whether Keras loaded not the network's file but what the model gives back, which is Keras 3's.
    """

    runtime: str
    difference: float | None
    reason: str
    varies: bool = True
    given_back: bool = False

    def lines(self) -> list[str]:
        """What a person reads."""
        compared = f"not compared with Keras: {self.reason}"
        if self.difference is not None:
            keras = "Keras, with the network as it is given back to it," if self.given_back else "Keras"
            compared = f"equals {keras} to {self.difference:.1e} of the largest output"
            if not self.varies:
                compared += ", but gives the same for every input: with these weights that says little"
        runs = [f"check: runs in {self.runtime}"] if self.runtime else []
        return [*runs, f"check: {compared}"]

    def to_json(self) -> dict[str, Any]:
        """All of it, for a machine."""
        return {
            "runtime": self.runtime or None,
            "difference": self.difference,
            "reason": self.reason or None,
            "varies": self.varies,
            "given_back": self.given_back,
        }


def check_model(
    model: ir.Model, network: Path | None, *, seed: int = 0, unfolded: ir.Model | None = None
) -> CheckReport:
    """What a model gives on random input, compared with Keras' own network under the same weights.

    Args:
        network: the file that the model was converted from; None if it cannot be read again.
        unfolded: the model before normalizations were folded in it, with the weights that Keras has.

    Raises:
        WorkFailed: if the model does not run, lacks a weight of Keras', or gives numbers that are not finite, or others
            than Keras.
    """
    source = model if unfolded is None else unfolded
    reference: KerasReference | None = None
    reason = ""
    try:
        reference = keras_reference(source, network)
        reference.take_weights(source)
    except NoReference as none:
        reason = str(none)
    run = _run(model, reference.inputs if reference is not None else [], seed)
    if run is None:
        return CheckReport("", None, NOT_RUN.format(opset=model.graph.opset_imports[""]))
    for value, output in zip(model.graph.outputs, run.outputs, strict=True):
        if not np.isfinite(output).all():
            raise WorkFailed(
                f"the check failed: output '{value.name}' holds numbers that are not finite",
                fix="Check the weights; with untrained ones, another --seed may do.",
            )
    reason = reason or _known_difference(source, reference)
    if reference is None or reason:
        return CheckReport(run.runtime.name, None, reason)
    try:
        wanted = reference.predict(run.inputs)
    except NoReference as none:
        return CheckReport(run.runtime.name, None, str(none))
    stated = zip(layouts_of(model.graph.outputs), run.outputs, strict=True)
    outputs = [layout.in_keras_order(y) for layout, y in stated]
    _require_same_shapes(model, outputs, wanted)
    difference = _largest_difference(outputs, wanted)
    if not difference <= max(TOLERANCE, TOLERANCE_EPSILONS * reference.precision):
        magnified = _magnified(model, run)
        if magnified * MAGNIFIED_SHARE >= difference:
            return CheckReport(run.runtime.name, None, MAGNIFIES.format(nudge=NUDGE, magnified=magnified))
        raise WorkFailed(
            f"the check failed: the model differs from Keras on {reference.backend} by {difference:.1e} "
            "of the largest output",
            fix=_what_to_do(reference),
        )
    varies = any(np.ptp(y, axis=0).max() > NOISE * np.abs(y).max() for y in map(_numeric, run.outputs))
    return CheckReport(run.runtime.name, difference, "", varies, reference.given_back)


def _require_same_shapes(model: ir.Model, outputs: Sequence[Array], wanted: Sequence[Array]) -> None:
    for value, output, want in zip(model.graph.outputs, outputs, wanted, strict=True):
        if output.shape != want.shape:
            raise WorkFailed(
                f"the check failed: output '{value.name}' has the shape {output.shape} in Keras' order, "
                f"and Keras gives {want.shape}",
                fix=REPORT,
            )


def _what_to_do(reference: KerasReference) -> str:
    if reference.backend == "tensorflow":
        return REPORT
    return f"Compare with Keras on TensorFlow (KERAS_BACKEND=tensorflow), whose numbers ours are. {REPORT}"


def _known_difference(model: ir.Model, reference: KerasReference | None) -> str:
    """Why Keras as it runs here gives other numbers than Keras on TensorFlow, which ours are; empty if it does not."""
    pads = [node.attributes.get_ints("pads", ()) for node in model.graph if node.op_type == "AveragePool"]
    uneven = any(p[: len(p) // 2] != p[len(p) // 2 :] for p in pads)
    if reference is not None and reference.backend == "torch" and uneven:
        return (
            'Keras on torch repeats the border where "same" pads an AveragePooling unevenly; '
            "these are the numbers of Keras on TensorFlow"
        )
    return ""


@dataclass(frozen=True)
class _Run:
    """A run of a model: what ran it, what went in, and what came out."""

    runtime: "_Runtime"
    inputs: list[Array]
    outputs: list[Array]


def _run(model: ir.Model, declared: Sequence[KerasInput], seed: int) -> _Run | None:
    """A run on random input; None if nothing that is installed runs the model as ONNX specifies it.

    Args:
        declared: Keras' inputs, if they are known.

    Raises:
        WorkFailed: if it fails, whatever the sizes that are open.
    """
    runtime = _runtime(model)
    if runtime is None:
        return None
    failure: Exception | None = None
    for size in OPEN_SIZES:
        inputs = _random_inputs(model, declared, size, np.random.default_rng(seed))
        if _vanishes(model, inputs):
            continue
        try:
            return _Run(runtime, inputs, runtime.run(_feeds(model, inputs)))
        except runtime.errors as error:
            failure = failure or error
    if failure is None:
        sizes = ", ".join(map(str, OPEN_SIZES))
        raise WorkFailed(
            f"the check failed: of images of the sizes {sizes}, a layer leaves nothing",
            fix="Convert it for the size that it is made for: --input-shape.",
        )
    raise WorkFailed(f"the check failed: {runtime.name} cannot run the model: {failure}", fix=REPORT) from failure


def _feeds(model: ir.Model, inputs: Sequence[Array]) -> dict[str, Array]:
    return {str(value.name): x for value, x in zip(model.graph.inputs, inputs, strict=True)}


def _magnified(model: ir.Model, run: _Run) -> float:
    """How much the outputs of a model change, relative to the largest, where its inputs change by little.

    Those that hold words, integers or truth values stay: another one is no rounding.
    """
    inputs = [x if np.array_equal(x, np.rint(x)) else x * np.float32(1 + NUDGE) for x in run.inputs]
    nudged = run.runtime.run(_feeds(model, inputs))
    return _largest_difference(nudged, run.outputs)


def _vanishes(model: ir.Model, inputs: Sequence[Array]) -> bool:
    """Whether a layer leaves nothing of these inputs: ONNX Runtime divides by such sizes, and that ends the process."""
    bindings = {
        dimension.value: size
        for value, x in zip(model.graph.inputs, inputs, strict=True)
        for dimension, size in zip(value.shape or (), x.shape, strict=True)
        if isinstance(dimension, ir.SymbolicDim) and dimension.value is not None
    }
    shapes = (value.shape or () for node in model.graph for value in node.outputs)
    names = {dimension for shape in shapes for dimension in shape if isinstance(dimension, ir.SymbolicDim)}
    sizes = [dimension.evaluate(bindings) for dimension in names]
    return any(isinstance(size, int) and size < 1 for size in sizes)


def _random_inputs(
    model: ir.Model, declared: Sequence[KerasInput], size: int, random: np.random.Generator
) -> list[Array]:
    known = declared or [KerasInput((), "")] * len(model.graph.inputs)
    return [
        _numbers(value, keras.dtype, _sizes(value, keras.shape, size), random)
        for value, keras in zip(model.graph.inputs, known, strict=True)
    ]


def _numbers(value: ir.Value, dtype: str, sizes: tuple[int, ...], random: np.random.Generator) -> Array:
    """What goes into an input: normal numbers, integers or truth values as Keras' type has it, or where words are
    looked up by them, numbers of words.
    """
    words = min(_counts_of_words(value), default=0)
    if not words and dtype.startswith(("int", "uint")):
        words = INTEGERS
    if not words and dtype == "bool":
        words = 2
    numbers = random.integers(words, size=sizes) if words else random.standard_normal(sizes)
    return numbers.astype(np.float32)


def _counts_of_words(value: ir.Value) -> Iterator[int]:
    """The number of rows of each table in which an input's numbers are looked up, once its axes are in order."""
    for node, _position in value.uses():
        if node.op_type in ("Cast", "Reshape", "Transpose"):
            yield from _counts_of_words(node.outputs[0])
        elif node.op_type == "Gather" and value.dtype is ir.DataType.INT64:
            table = node.inputs[0]
            if table is not None and table.is_initializer() and table.shape is not None:
                yield int(table.shape.numpy()[0])


def _sizes(value: ir.Value, likely: tuple[int | None, ...], open_size: int) -> tuple[int, ...]:
    """The sizes of an input; those that it leaves open are the likely ones, if there are as many."""
    assert value.shape is not None
    others = likely[1:] if len(likely) == value.shape.rank() else (None,) * (value.shape.rank() - 1)
    known = [size if isinstance(size, int) else other for size, other in zip(value.shape[1:], others, strict=True)]
    return (BATCH, *(open_size if size is None else size for size in known))


@dataclass(frozen=True)
class _Runtime:
    """What runs a model: its name, how, and what it raises where it fails."""

    name: str
    run: Callable[[Mapping[str, Array]], list[Array]]
    errors: tuple[type[Exception], ...]


def _onnx_runtime(serialized: bytes) -> _Runtime | None:
    """ONNX Runtime with a model; None if it lacks the kernels for it.

    Raises:
        WorkFailed: if it does not take the model.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    name = f"ONNX Runtime {onnxruntime.__version__}"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL_ONLY
    try:
        session = onnxruntime.InferenceSession(serialized, options, providers=["CPUExecutionProvider"])
    except state.NotImplemented:
        return None
    except (state.Fail, state.InvalidArgument, state.InvalidGraph, state.RuntimeException) as error:
        raise WorkFailed(f"the check failed: {name} cannot load the model: {error}", fix=REPORT) from error
    errors = (state.Fail, state.InvalidArgument, state.RuntimeException)
    return _Runtime(name, lambda feeds: session.run(None, dict(feeds)), errors)


def _runtime(model: ir.Model) -> _Runtime | None:
    """What runs a model, None if nothing that is installed runs it as ONNX specifies it."""
    proto = ir.to_proto(model)
    if find_spec("onnxruntime") is not None and model.graph.opset_imports[""] <= ORT_MAX_OPSET:
        runtime = _onnx_runtime(proto.SerializeToString())
        if runtime is not None:
            return runtime
    if any(map(_the_reference_gets_wrong, model.graph)):
        return None
    evaluator = onnx.reference.ReferenceEvaluator(proto)
    return _Runtime(
        f"the reference of onnx {onnx.__version__}",
        lambda feeds: list(evaluator.run(None, dict(feeds))),
        (IndexError, RuntimeError, TypeError, ValueError),
    )


def _the_reference_gets_wrong(node: ir.Node) -> bool:
    """Whether it is a recurrent operator of which the reference passes over the activations or the lengths."""
    lengths = node.inputs[4] if len(node.inputs) > 4 else None
    return node.op_type in ("GRU", "LSTM", "RNN") and ("activations" in node.attributes or lengths is not None)


def _largest_difference(outputs: Sequence[Array], wanted: Sequence[Array]) -> float:
    return max(_difference(y, want) for y, want in zip(outputs, wanted, strict=True))


def _difference(output: Array, want: Array) -> float:
    """The largest difference of two arrays of one shape, relative to the largest value that is wanted."""
    output, want = _numeric(output), _numeric(want)
    scale = max(np.abs(want).max(), np.finfo(np.float32).tiny)
    return float(np.abs(output - want).max() / scale)


def _numeric(output: Array) -> Array:
    """An output to be subtracted from: truth values as numbers."""
    return output.astype(np.float64)
