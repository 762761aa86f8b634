"""EinsumDense: a kernel multiplied with any axes of its input, by Einstein's summation."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from converters.axes import unchanged
from converters.initializers import GLOROT_UNIFORM, ZEROS, BetweenAxes, Initializer, read_initializer
from converters.keys import Keys
from converters.layers.activation import Activation, read_activation
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import converts
from converters.layers.tensor import Layout, Size, Tensor, shown

__all__ = ["EinsumDenseConfig", "Equation", "einsum_dense"]

FORMS = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


@dataclass(frozen=True)
class Equation:
    """Which axes of input and kernel meet: a letter for each axis; those that are not named stand first or last."""

    given: str
    kernel: str
    output: str
    ellipsis_first: bool
    ellipsis_last: bool

    @classmethod
    def read(cls, keys: Keys) -> "Equation":
        text = keys.raw("equation")
        found = FORMS.fullmatch(text.replace(" ", "")) if isinstance(text, str) else None
        if found is not None:
            first, given, last, kernel, first_after, output, last_after = found.groups()
            equation = cls(given, kernel, output, bool(first), bool(last))
            if (first, last) == (first_after, last_after) and not (first and last) and equation._is_sound():
                return equation
        raise keys.error(
            "equation",
            f"is {text!r}, which is no product of an input and a kernel",
            'Write one of the forms "abc,cd->abd", "...x,xy->...y", "ab...,bc->ac...".',
        )

    def _is_sound(self) -> bool:
        """Whether no letter stands twice in one part, the kernel's are elsewhere too, and the output's are known."""
        return (
            all(len(set(part)) == len(part) for part in (self.given, self.kernel, self.output))
            and set(self.kernel) <= {*self.given, *self.output}
            and set(self.output) <= {*self.given, *self.kernel}
            and (self.given[0] == self.output[0] or self.ellipsis_first)
        )

    @property
    def is_matrix_product(self) -> bool:
        """Whether the last axis of the input meets the first of a kernel with two, and the other takes its place."""
        meets = self.kernel == self.given[-1] + self.output[-1]
        return meets and self.given[:-1] == self.output[:-1] and not self.ellipsis_last

    def __str__(self) -> str:
        first, last = "..." * self.ellipsis_first, "..." * self.ellipsis_last
        return f"{first}{self.given}{last},{self.kernel}->{first}{self.output}{last}"


@dataclass(frozen=True, kw_only=True)
class EinsumDenseConfig:
    """Keras `EinsumDense`, checked; `output_shape` is without batch and axes that the equation does not name."""

    equation: Equation
    output_shape: tuple[int | None, ...]
    bias_axes: str
    activation: Activation
    kernel_initializer: Initializer
    bias_initializer: Initializer

    @classmethod
    def read(cls, keys: Keys) -> "EinsumDenseConfig":
        equation = Equation.read(keys)
        one = isinstance(keys.raw("output_shape"), int)
        bias_axes = keys.raw("bias_axes") or ""
        if not isinstance(bias_axes, str) or not set(bias_axes) <= set(equation.output):
            raise keys.error("bias_axes", "names axes that the output does not have", f'Use letters of "{equation}".')
        return cls(
            equation=equation,
            output_shape=(keys.integer("output_shape"),) if one else keys.shape("output_shape"),
            bias_axes=bias_axes,
            activation=read_activation(keys),
            kernel_initializer=read_initializer(keys, "kernel_initializer", GLOROT_UNIFORM),
            bias_initializer=read_initializer(keys, "bias_initializer", ZEROS),
        )


@converts("EinsumDense", config=EinsumDenseConfig.read)
def einsum_dense(config: EinsumDenseConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x in Keras' order, multiplied with a kernel as the equation says.

    Declares weight with the kernel's axes and, with bias_axes, bias with those of the output from the first of them
    on, of size 1 where it has none: both as Keras has them.
    Raises ConversionError if x does not fit the equation, or a size of the kernel is unknown.
    Source: keras.io/api/layers/core_layers/einsum_dense; ONNX Einsum, opset 12.
    """
    x, equation = layer.keras_order(inputs[0]), config.equation
    sizes = _sizes(config, x, layer)
    kernel_shape = tuple(_known(sizes, letter, x, layer) for letter in equation.kernel)
    axes = tuple(
        tuple(axis for axis, letter in enumerate(equation.kernel) if (letter in equation.output) is of_output)
        for of_output in (False, True)
    )
    initializer = BetweenAxes(config.kernel_initializer, *axes)
    weight = layer.parameter("weight", kernel_shape, unchanged(len(kernel_shape)), initializer)
    if equation.is_matrix_product:
        y = layer.op("MatMul", [x.value, weight])
    else:
        y = layer.op("Einsum", [x.value, weight], equation=str(equation))
    if config.bias_axes:
        shape = _bias_shape(config, sizes, x, layer)
        bias = layer.parameter("bias", shape, unchanged(len(shape)), config.bias_initializer)
        y = layer.op("Add", [y, bias])
    return config.activation(Tensor(y, Layout.KERAS), layer)


def _sizes(config: EinsumDenseConfig, x: Tensor, layer: LayerBuilder) -> Mapping[str, Size]:
    """Letter -> size of the axis; the output's where the config says it, else the input's."""
    equation, shape = config.equation, x.shape
    unnamed = x.rank - len(equation.given)
    if unnamed < 0 or (unnamed and not equation.ellipsis_first and not equation.ellipsis_last):
        raise layer.error(
            f'its input {shown(shape)} does not have the axes of "{equation}"', "Write a letter for each axis."
        )
    named = shape[unnamed:] if equation.ellipsis_first else shape[: len(equation.given)]
    sizes = dict(zip(equation.given, named, strict=True))
    # The batch is the first letter, or among what the ellipsis stands for.
    of_output = equation.output if unnamed and equation.ellipsis_first else equation.output[1:]
    if len(config.output_shape) < len(of_output):
        raise layer.error(
            f'"output_shape" is {shown(config.output_shape)}, and "{equation}" has {len(of_output)} axes there',
            "Write a size for each, null where it is the input's.",
        )
    stated = config.output_shape[-len(of_output) :] if equation.ellipsis_first else config.output_shape
    for letter, size in zip(of_output, stated, strict=False):
        if size is not None and sizes.get(letter, size) not in (None, size) and isinstance(sizes[letter], int):
            raise layer.error(
                f'axis "{letter}" of "{equation}" is {sizes[letter]} in its input, and {size} in "output_shape"',
                "Write null.",
            )
        sizes[letter] = size if size is not None else sizes.get(letter)
    return sizes


def _known(sizes: Mapping[str, Size], letter: str, x: Tensor, layer: LayerBuilder) -> int:
    size = sizes.get(letter)
    if not isinstance(size, int):
        raise layer.error(
            f'the size of axis "{letter}" is unknown for its input {shown(x.shape)}, and its parameters depend on it',
            'Write it in "output_shape", or in the shape of the input layer.',
        )
    return size


def _bias_shape(
    config: EinsumDenseConfig, sizes: Mapping[str, Size], x: Tensor, layer: LayerBuilder
) -> tuple[int, ...]:
    output = config.equation.output
    letters = output[min(output.index(letter) for letter in config.bias_axes) :]
    shape = tuple(_known(sizes, letter, x, layer) if letter in config.bias_axes else 1 for letter in letters)
    unnamed = x.rank - len(config.equation.given) if config.equation.ellipsis_last else 0
    return (*shape, *(1,) * unnamed)
