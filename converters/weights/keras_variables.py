"""Which variables Keras' layers have, in its order, what we call each, and how it lies in ONNX.

A table by class; for layers that hold other layers or cells, what `keras_variables` puts together of it.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from converters.axes import (
    DENSE_KERNEL,
    LSTM_GATES,
    SCALAR,
    AxisOrder,
    convolution_kernel,
    depthwise_kernel,
    head_vectors,
    input_heads,
    output_heads,
    recurrent_bias,
    recurrent_kernel,
    unchanged,
)

__all__ = [
    "COMMON_WITHOUT_VARIABLES",
    "KERAS_VARIABLES",
    "LIKELY",
    "NOT_WEIGHTS",
    "SEPARABLE",
    "UNNAMED",
    "KerasVariable",
    "find_variable",
    "keras_variables",
    "part_of",
    "snake_case",
]


@dataclass(frozen=True)
class KerasVariable:
    """One variable of a layer class.

    Args:
        names: what Keras calls it within its layer, and what other versions of Keras do. Before a slash stand the
            parts of the layer that it lies in, as Keras 3's files name them.
        parameter: what we call it: `<layer>.<parameter>`.
        axes: the axis order of an array of so many axes.
    """

    names: tuple[str, ...]
    parameter: str
    axes: Callable[[int], AxisOrder]

    @property
    def keras_2_name(self) -> str:
        """What Keras 2 calls it, which has other names for parts, where that is known."""
        return self.names[-1] if "/" in self.names[0] else self.names[0]


OTHERWISE_IN_PATHS = {"GroupQueryAttention": "GroupedQueryAttention"}
"""Class that Keras calls otherwise within itself -> that name."""


def snake_case(class_name: str) -> str:
    """A class name as Keras 3 writes it in paths: `Conv2DTranspose` -> `conv2d_transpose`, `PReLU` -> `p_re_lu`."""
    class_name = OTHERWISE_IN_PATHS.get(class_name, class_name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", class_name))
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _channels_first(rank: int) -> AxisOrder:
    return AxisOrder((rank - 1, *range(rank - 1)))


def _kernel(rank: int) -> AxisOrder:
    """Of a Dense layer with two axes, else of a convolution, plain or transposed."""
    if rank == 2:
        return DENSE_KERNEL
    return convolution_kernel(rank - 2) if rank > 2 else unchanged(rank)


def _depthwise(rank: int) -> AxisOrder:
    return depthwise_kernel(rank - 2) if rank > 2 else unchanged(rank)


KERNEL = KerasVariable(("kernel",), "weight", _kernel)
BIAS = KerasVariable(("bias",), "bias", unchanged)
GAMMA = KerasVariable(("gamma",), "weight", unchanged)
BETA = KerasVariable(("beta",), "bias", unchanged)
RMS_SCALE = KerasVariable(("scale",), "weight", unchanged)
MOVING_MEAN = KerasVariable(("moving_mean",), "running_mean", unchanged)
MOVING_VARIANCE = KerasVariable(("moving_variance",), "running_var", unchanged)
ALPHA = KerasVariable(("alpha",), "weight", _channels_first)
EMBEDDINGS = KerasVariable(("embeddings",), "weight", unchanged)

BY_AXES_OF_THE_INPUT = (GAMMA, BETA, RMS_SCALE)
"""Variables of normalizations: of several axes, they stand in an order that only the model tells."""

DEPTHWISE = KerasVariable(("depthwise_kernel", "kernel"), "weight", _depthwise)
DEPTHWISE_PART = KerasVariable(("depthwise_kernel",), "depthwise.weight", _depthwise)
POINTWISE_PART = KerasVariable(("pointwise_kernel",), "pointwise.weight", _kernel)


def _recurrent_cell(gates: tuple[int, ...] = ()) -> tuple[KerasVariable, ...]:
    def kernel(rank: int) -> AxisOrder:
        return recurrent_kernel(gates) if rank == 2 else unchanged(rank)

    def bias(rank: int) -> AxisOrder:
        return recurrent_bias(rank, gates) if rank in (1, 2) else unchanged(rank)

    return (
        KerasVariable(("kernel",), "weight_ih", kernel),
        KerasVariable(("recurrent_kernel",), "weight_hh", kernel),
        KerasVariable(("bias",), "bias", bias),
    )


def _of_part(part: str, variables: Sequence[KerasVariable], prefix: str = "") -> tuple[KerasVariable, ...]:
    """The variables of a part of a layer, and what they are called in the layer."""
    return tuple(replace(v, names=(f"{part}/{v.names[0]}",), parameter=prefix + v.parameter) for v in variables)


def _of_cell(cell_class: str) -> tuple[KerasVariable, ...]:
    """The variables of a layer that is one cell; Keras 2 puts the name of the cell before them."""
    variables = _of_part("cell", CELLS[cell_class])
    keras_2 = _of_part(snake_case(cell_class), CELLS[cell_class])
    return tuple(replace(v, names=v.names + old.names) for v, old in zip(variables, keras_2, strict=True))


def _in_heads(rank: int) -> AxisOrder:
    return input_heads(rank) if rank > 1 else unchanged(rank)


def _out_of_heads(rank: int) -> AxisOrder:
    return output_heads(rank) if rank > 2 else unchanged(rank)


def _heads(part: str, parameter: str) -> tuple[KerasVariable, ...]:
    """Kernel and bias of one projection of an attention layer."""
    out = parameter == "output"
    keras_2 = "attention_output" if out else parameter
    return (
        KerasVariable(
            (f"{part}/kernel", f"{keras_2}/kernel"), f"{parameter}.weight", _out_of_heads if out else _in_heads
        ),
        KerasVariable((f"{part}/bias", f"{keras_2}/bias"), f"{parameter}.bias", head_vectors),
    )


def _scale(rank: int) -> AxisOrder:
    return unchanged(rank) if rank else SCALAR


UNNAMED = "variable"
"""What Keras 3 calls a variable that its layer gives no name; the second and all further ones with a number."""

NOT_WEIGHTS = frozenset({"count", "seed_generator", "seed_generator_state"})
"""Ends of the names of variables that count or draw random numbers, which no ONNX graph has."""

WEIGHTED = (KERNEL, BIAS)
DEPTHWISE_WEIGHTED = (DEPTHWISE, BIAS)
SEPARABLE = (DEPTHWISE_PART, POINTWISE_PART, BIAS)
SCALED = (GAMMA, BETA)
SCALE = KerasVariable(("scale",), "scale", _scale)

CELLS = {"LSTMCell": _recurrent_cell(LSTM_GATES), "GRUCell": _recurrent_cell(), "SimpleRNNCell": _recurrent_cell()}
"""Classes that stand in other layers only."""

KERAS_VARIABLES: dict[str, tuple[KerasVariable, ...]] = {
    "Dense": WEIGHTED,
    "Conv1D": WEIGHTED,
    "Conv2D": WEIGHTED,
    "Conv3D": WEIGHTED,
    "Conv1DTranspose": WEIGHTED,
    "Conv2DTranspose": WEIGHTED,
    "Conv3DTranspose": WEIGHTED,
    "DepthwiseConv1D": DEPTHWISE_WEIGHTED,
    "DepthwiseConv2D": DEPTHWISE_WEIGHTED,
    "DepthwiseConv3D": DEPTHWISE_WEIGHTED,
    "SeparableConv1D": SEPARABLE,
    "SeparableConv2D": SEPARABLE,
    "BatchNormalization": (GAMMA, BETA, MOVING_MEAN, MOVING_VARIANCE),
    "GroupNormalization": SCALED,
    "InstanceNormalization": SCALED,
    "LayerNormalization": SCALED,
    "RMSNormalization": (RMS_SCALE,),
    "Normalization": (
        KerasVariable(("mean",), "running_mean", unchanged),
        KerasVariable(("variance",), "running_var", unchanged),
        KerasVariable(("count",), "count", unchanged),
    ),
    "LayerScale": (KerasVariable(("gamma", UNNAMED, "Variable"), "weight", unchanged),),
    "PReLU": (ALPHA,),
    "Embedding": (EMBEDDINGS,),
    "LSTM": _of_cell("LSTMCell"),
    "GRU": _of_cell("GRUCell"),
    "SimpleRNN": _of_cell("SimpleRNNCell"),
    "Attention": (SCALE, KerasVariable(("concat_score_weight",), "concat_score_weight", _scale)),
    "AdditiveAttention": (SCALE,),
    "EinsumDense": (KerasVariable(("kernel",), "weight", unchanged), BIAS),
    "MultiHeadAttention": (
        *_heads("query_dense", "query"),
        *_heads("key_dense", "key"),
        *_heads("_gate_dense", "gate"),
        *_heads("value_dense", "value"),
        *_heads("output_dense", "output"),
    ),
    "GroupQueryAttention": (
        *_heads("_query_dense", "query"),
        *_heads("_key_dense", "key"),
        *_heads("_gate_dense", "gate"),
        *_heads("_value_dense", "value"),
        *_heads("_output_dense", "output"),
    ),
}
"""Keras' name of a class -> its variables, in the order in which Keras 3 numbers them."""

COMMON_WITHOUT_VARIABLES = frozenset(
    {
        "Activation",
        "Add",
        "AveragePooling2D",
        "Concatenate",
        "Dropout",
        "Flatten",
        "Functional",
        "GlobalAveragePooling2D",
        "InputLayer",
        "MaxPooling2D",
        "Multiply",
        "ReLU",
        "Rescaling",
        "Reshape",
        "Sequential",
        "Softmax",
        "UpSampling2D",
        "ZeroPadding2D",
    }
)
"""Keras' own names of classes that most networks have, and that need not be looked up."""

LIKELY = (KERNEL, BIAS, GAMMA, BETA, MOVING_MEAN, MOVING_VARIANCE, ALPHA, EMBEDDINGS, DEPTHWISE, POINTWISE_PART)
"""What a variable is in a layer whose class nothing says. A kernel that is taken for a convolution's though it is a
depthwise one gets another shape, or one input channel makes the two the same: it is never copied wrongly."""


def keras_variables(class_name: str) -> tuple[KerasVariable, ...]:
    """The variables of a class, in Keras' order; none if it is not known.

    Args:
        class_name: Keras' own name; of a layer that holds others, with their classes in brackets:
            `Bidirectional(LSTM,GRU)`, `RNN(StackedRNNCells(LSTMCell,LSTMCell))`.
    """
    outer, bracket, rest = class_name.partition("(")
    if not bracket:
        return KERAS_VARIABLES.get(outer, CELLS.get(outer, ()))
    held = list(_split(rest.removesuffix(")")))
    if outer == "RNN" and len(held) == 1:
        return _of_part("cell", keras_variables(held[0]))
    if outer == "Bidirectional" and len(held) == 2:
        forward, backward = map(keras_variables, held)
        return (*_of_part("forward_layer", forward, "forward."), *_of_part("backward_layer", backward, "backward."))
    return tuple(_of_cells(held)) if outer == "StackedRNNCells" else ()


def find_variable(known: Sequence[KerasVariable], name: str) -> KerasVariable | None:
    """The variable of this name; for a number, the one at that place in its part; for a last part only one has, that.

    None if it cannot be told.
    """
    own = name.rpartition("/")[2]
    in_part = [v for v in known if part_of(v.names[0]) == part_of(name)]
    exact = [v for v in known if name in v.names] + [v for v in in_part if v.names[0].rpartition("/")[2] == own]
    if exact:
        return exact[0]
    if own.isdecimal():
        return in_part[int(own)] if int(own) < len(in_part) else None
    alike = [v for v in known if v.names[0].rpartition("/")[2] == own]
    return alike[0] if len(alike) == 1 else None


def part_of(name: str) -> str:
    """The part of its layer that a variable lies in; files differ in the underscores that the parts begin with."""
    return "/".join(part.lstrip("_") for part in name.split("/")[:-1])


def _of_cells(cells: Sequence[str]) -> Iterator[KerasVariable]:
    counts: Counter[str] = Counter()
    for index, cell in enumerate(cells):
        kind = snake_case(cell)
        part = f"cells/{kind}_{counts[kind]}" if counts[kind] else f"cells/{kind}"
        counts[kind] += 1
        yield from _of_part(part, CELLS.get(cell, ()), f"{index}.")


def _split(classes: str) -> Iterator[str]:
    """The classes of a list of them, each with its own in brackets."""
    start = depth = 0
    for end, character in enumerate(classes):
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            yield classes[start:end]
            start = end + 1
    yield classes[start:]
