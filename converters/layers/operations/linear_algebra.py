"""Products of vectors and matrices, and attention."""

import math
import re
import string
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from converters.json_arrays import Array
from converters.layers.attention_masks import of_places
from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments, brief
from converters.layers.operations.operands import aligned
from converters.layers.operations.registry import operation
from converters.layers.softmax import softmax_over
from converters.layers.tensor import Layout, Shared, Tensor, shown

__all__ = ["attention", "cross", "dot", "einsum", "inner", "matmul", "tensordot"]

FLOAT = ir.DataType.FLOAT


@operation(
    "keras.ops.Matmul",
    "tf.linalg.matmul",
    "tf.matmul",
    parameters="x1|a x2|b transpose_a transpose_b",
    needs_batch=False,
)
def matmul(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The matrix product over the last two axes of two tensors, or of a tensor and an array or what has no batch.

    Raises ConversionError if sizes do not fit.
    """
    for name in ("adjoint_a", "adjoint_b", "a_is_sparse", "b_is_sparse", "grad_a", "grad_b"):
        arguments.refuse_unless(name, False, "matrices are real and dense here")
    arguments.refuse_unless("output_type", None, "products are floats here")
    factors = [
        _transposed(arguments.operand(name), arguments.flag(flag, default=False), layer)
        for name, flag in (("x1", "transpose_a"), ("x2", "transpose_b"))
    ]
    return _product(factors[0], factors[1], layer)


def _transposed(x: Tensor | Array, swapped: bool, layer: LayerBuilder) -> Tensor | Array:
    """The operand in Keras' order, as floats, its last two axes swapped if that is asked for."""
    if isinstance(x, Tensor):
        cast = layer.keras_order(layer.cast(x, FLOAT))
        x = Shared(cast.value, Layout.KERAS) if isinstance(x, Shared) else cast
        if not swapped or x.rank < 2:
            return x
        order = (*range(x.rank - 2), x.rank - 1, x.rank - 2)
        y = layer.transposed(x.value, order)
        return Shared(y, Layout.KERAS) if isinstance(x, Shared) else Tensor(y, Layout.KERAS)
    array = x.astype(np.float32)
    return np.swapaxes(array, -1, -2) if swapped and array.ndim > 1 else array


def _product(a: Tensor | Array, b: Tensor | Array, layer: LayerBuilder) -> Tensor:
    """The matrix product of two operands in Keras' order."""
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        raise layer.error("is given no tensor", "Give one of its arguments as a tensor.")
    _require_matrices(a, b, layer)
    values = [x.value if isinstance(x, Tensor) else layer.constant("matrix", np.ascontiguousarray(x)) for x in (a, b)]
    return Tensor(layer.op("MatMul", values), Layout.KERAS)


def _require_matrices(a: Tensor | Array, b: Tensor | Array, layer: LayerBuilder) -> None:
    """Nothing, if the operands can be multiplied and the batch stays first.

    Raises:
        ConversionError: if not.
    """
    first, second = a.shape, b.shape
    fits = min(len(first), len(second)) > 0
    if fits:
        inner = first[-1], second[-2] if len(second) > 1 else second[-1]
        fits = inner[0] == inner[1] or not all(isinstance(size, int) for size in inner)
        outer = zip(reversed(first[:-2]), reversed(second[:-2]), strict=False)
        fits = fits and all(m == n or 1 in (m, n) for m, n in outer if isinstance(m, int) and isinstance(n, int))
    # The batch must stand among the axes that are not multiplied, at the same place in both, or in the rows of a.
    with_batch = [isinstance(x, Tensor) and not isinstance(x, Shared) for x in (a, b)]
    if all(with_batch):
        fits = fits and len(first) == len(second) > 2
    elif with_batch[0]:
        alike = len(second) == len(first) > 2 and second[0] == 1
        fits = fits and len(first) > 1 and (len(second) <= 2 or len(second) < len(first) or alike)
    elif with_batch[1]:
        alike = len(first) == len(second) and first[0] == 1
        fits = fits and len(second) > 2 and (len(first) < len(second) or alike)
    else:
        fits = fits and min(len(first), len(second)) > 1
    if not fits:
        raise layer.error(
            f"multiplies {shown(first)} by {shown(second)} over their last two axes, which do not fit, or mix samples",
            "Give two tensors of as many axes, three or more, or a tensor and a matrix.",
        )


@operation("keras.ops.Dot", parameters="x1 x2")
def dot(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """A tensor times a matrix or a vector, over its last axis."""
    a, b = arguments.operand("x1"), arguments.operand("x2")
    if not isinstance(a, Tensor) or isinstance(b, Tensor) or b.ndim > 2:
        raise layer.error(
            "multiplies what would mix samples", "Give a tensor, then a vector or a matrix; or use matmul or einsum."
        )
    if b.ndim == 0:
        values, layout = aligned([a, b], FLOAT, layer)
        return Tensor(layer.op("Mul", values), layout)
    return _product(_transposed(a, False, layer), b.astype(np.float32), layer)


@operation("keras.ops.Inner", parameters="x1 x2")
def inner(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The products of a tensor and an array, summed over the last axis of both."""
    a, b = arguments.operand("x1"), arguments.operand("x2")
    if not isinstance(a, Tensor) or isinstance(b, Tensor):
        raise layer.error("multiplies what would mix samples", "Give a tensor, then an array; or use matmul or einsum.")
    return _contracted(a, b, [a.rank - 1], [b.ndim - 1], layer)


@operation("keras.ops.Tensordot", "tf.tensordot", parameters="x1|a x2|b axes", needs_batch=False)
def tensordot(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The products of a tensor and an array, summed over some axes of each: so many, or lists of them."""
    a, b = arguments.operand("x1"), arguments.operand("x2")
    if not isinstance(a, Tensor) or isinstance(b, Tensor):
        raise layer.error("multiplies what would mix samples", "Give a tensor, then an array; or use matmul or einsum.")
    axes = arguments.value("axes", 2)
    if isinstance(axes, int):
        count = arguments.integer("axes", minimum=0)
        return _contracted(a, b, list(range(a.rank - count, a.rank)), list(range(count)), layer)
    pairs = (
        [item if isinstance(item, tuple | list) else (item,) for item in axes] if isinstance(axes, tuple | list) else []
    )
    if len(pairs) != 2 or not all(isinstance(axis, int) for pair in pairs for axis in pair):
        raise arguments.refusal("axes", "a number of axes, or a list of two lists of them")
    return _contracted(a, b, list(pairs[0]), list(pairs[1]), layer)


def _contracted(a: Tensor, b: Array, of_a: Sequence[int], of_b: Sequence[int], layer: LayerBuilder) -> Tensor:
    """The products summed over these axes: the other axes of a, then those of b, in Keras' order."""
    legal = all(-a.rank <= axis < a.rank for axis in of_a) and all(-b.ndim <= axis < b.ndim for axis in of_b)
    first, second = [axis % a.rank for axis in of_a], [axis % max(b.ndim, 1) for axis in of_b]
    sizes = (
        list(zip([a.shape[axis] for axis in first], [b.shape[axis] for axis in second], strict=False)) if legal else []
    )
    fits = all(m == n for m, n in sizes if isinstance(m, int)) and len(first) == len(second)
    mixes = 0 in first and not isinstance(a, Shared)
    if not legal or not fits or mixes or len(set(first)) < len(first) or len(set(second)) < len(second):
        raise layer.error(
            f"sums {shown(a.shape)} and {shown(b.shape)} over their axes {brief(of_a)} and {brief(of_b)}",
            "Name axes of the same size, each once, not the batch.",
        )
    letters = iter(string.ascii_letters)
    of_first = [next(letters) for _axis in range(a.rank)]
    of_second = [of_first[first[second.index(axis)]] if axis in second else next(letters) for axis in range(b.ndim)]
    free = [letter for axis, letter in enumerate(of_first) if axis not in first]
    free += [letter for axis, letter in enumerate(of_second) if axis not in second]
    terms = ["".join(of_first), "".join(of_second)]
    return _einsum(terms, "".join(free), [a, b], layer)


@operation("keras.ops.Einsum", parameters="*operands subscripts")
def einsum(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The sum of products that the subscripts write, with the batch first in each tensor and in the result.

    Source: numpy.org/doc/stable/reference/generated/numpy.einsum; ONNX Einsum.
    """
    operands = arguments.operands("operands")
    subscripts = arguments.value("subscripts")
    matched = SUBSCRIPTS.fullmatch(subscripts.replace(" ", "")) if isinstance(subscripts, str) else None
    if matched is None:
        raise arguments.refusal("subscripts", "terms of letters, separated by commas, and behind -> those that stay")
    terms = matched["terms"].split(",")
    result = matched["result"] if matched["result"] is not None else _implied(terms)
    _require_terms(terms, result, operands, layer)
    return _einsum(terms, result, operands, layer)


TERM = r"[a-zA-Z]*(?:\.\.\.)?[a-zA-Z]*"

SUBSCRIPTS = re.compile(rf"(?P<terms>{TERM}(?:,{TERM})*)(?:->(?P<result>{TERM}))?")


def _implied(terms: Sequence[str]) -> str:
    """What stays where no result is written: the ellipsis, then the letters that occur once, in their order."""
    letters = "".join(terms).replace(".", "")
    once = "".join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))
    return ("..." if any("..." in term for term in terms) else "") + once


def _first(term: str) -> str:
    return "..." if term.startswith("...") else term[:1]


def _require_terms(terms: Sequence[str], result: str, operands: Sequence[Tensor | Array], layer: LayerBuilder) -> None:
    """Nothing, if there is a term for each operand, with its axes, and the batch comes first everywhere.

    Raises:
        ConversionError: if not.
    """
    sizes: dict[str, set[int]] = {}
    good = len(terms) == len(operands) and len(set(result)) == len(result.replace("...", "."))
    for term, operand in zip(terms, operands, strict=False):
        letters = term.replace("...", "")
        named = len(set(letters)) == len(letters)
        good = (
            good
            and named
            and (len(letters) <= len(operand.shape) if "..." in term else len(letters) == len(operand.shape))
        )
        is_batched = isinstance(operand, Tensor)
        good = good and (_first(term) == _first(result) if is_batched else _first(result) not in term)
        if "..." not in term:
            for letter, size in zip(letters, operand.shape, strict=False):
                if isinstance(size, int):
                    sizes.setdefault(letter, set()).add(size)
    known = set("".join(terms))
    if not good or not result or not set(result) <= known or any(len(found) > 1 for found in sizes.values()):
        raise layer.error(
            f"its subscripts are {brief(','.join(terms) + '->' + result)} for "
            f"{', '.join(shown(x.shape) for x in operands)}",
            "Write each axis of each operand, and the letter of the batch first in all tensors and in the result.",
        )


def _einsum(terms: Sequence[str], result: str, operands: Sequence[Tensor | Array], layer: LayerBuilder) -> Tensor:
    """The Einsum of operands whose terms are in Keras' order; the result is in it, too."""
    values, written = [], []
    for term, operand in zip(terms, operands, strict=True):
        if not isinstance(operand, Tensor):
            values.append(layer.constant("operand", operand.astype(np.float32)))
            written.append(term)
            continue
        x = layer.cast(operand, FLOAT)
        x = layer.keras_order(x) if "..." in term else x
        values.append(x.value)
        letters = term if "..." in term else "".join(sorted(term, key=lambda a, t=term, x=x: x.stored_axis(t.index(a))))  # type: ignore[misc]
        written.append(letters)
    return Tensor(layer.op("Einsum", values, equation=f"{','.join(written)}->{result}"), Layout.KERAS)


@operation("keras.ops.Cross", parameters="x1 x2 axisa axisb axisc axis")
def cross(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The vector product over the last axis, of size 3: a1 b2 - a2 b1, and so on in turn."""
    for name in ("axisa", "axisb", "axisc", "axis"):
        arguments.refuse_unless(name, -1, "vectors lie along the last axis here")
    operands = [arguments.operand("x1"), arguments.operand("x2")]
    if any(len(x.shape) < 2 or x.shape[-1] != 3 for x in operands):
        raise layer.error(
            f"multiplies vectors of 3, and is given {' and '.join(shown(x.shape) for x in operands)}",
            "Give two tensors whose last axis has size 3.",
        )
    values, layout = aligned(operands, FLOAT, layer)
    a, b = (Tensor(value, layout) for value in values)
    axis = a.stored_axis(a.rank - 1)

    def turned(x: Tensor, places: list[int]) -> ir.Value:
        return layer.op("Gather", [x.value, layer.constant("places", np.array(places, np.int64))], axis=axis)

    products = [
        layer.op("Mul", [turned(a, first), turned(b, second)])
        for first, second in (([1, 2, 0], [2, 0, 1]), ([2, 0, 1], [1, 2, 0]))
    ]
    return Tensor(layer.op("Sub", products), layout)


@operation(
    "keras.ops.DotProductAttention",
    parameters="query key value bias mask scale is_causal flash_attention attn_logits_soft_cap",
)
def attention(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The values (N, S, heads, size), averaged by how well their keys fit each query (N, T, heads, size).

    Raises ConversionError if the numbers of heads differ.
    Source: keras.io/api/ops/nn.
    """
    arguments.value("flash_attention")  # how it is computed, not what
    arguments.refuse_unless("attn_logits_soft_cap", None, "scores are not capped here")
    query, key, value = (layer.keras_order(arguments.tensor(name)) for name in ("query", "key", "value"))
    if not query.rank == key.rank == value.rank == 4 or len({x.shape[2] for x in (query, key, value)}) > 1:
        raise layer.error(
            f"is given {', '.join(shown(x.shape) for x in (query, key, value))}",
            "Give a query, a key and a value (N, length, heads, size) of as many heads.",
        )
    scale = arguments.number("scale", 1 / math.sqrt(layer.known_size(query, 3)))
    rows = layer.transposed(query.value, (0, 2, 1, 3))
    columns = layer.transposed(key.value, (0, 2, 3, 1))
    scores = layer.op("Mul", [layer.op("MatMul", [rows, columns]), layer.scalar("scale", scale)])
    weights = softmax_over(_limited(Tensor(scores, Layout.KERAS), arguments, layer), [3], layer)
    mixed = layer.op("MatMul", [weights.value, layer.transposed(value.value, (0, 2, 1, 3))])
    return Tensor(layer.transposed(mixed, (0, 2, 1, 3)), Layout.KERAS)


FAR_BELOW = -1e30
"""A score that softmax makes 0."""


def _limited(scores: Tensor, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The scores (N, heads, T, S) with the bias, and far below all others where mask or order forbid to look."""
    if arguments.has("bias"):
        values, layout = aligned([scores, arguments.operand("bias")], FLOAT, layer)
        scores = Tensor(layer.op("Add", values), layout)
    masks: list[Tensor | Array] = [arguments.operand("mask")] if arguments.has("mask") else []
    if arguments.flag("is_causal", default=False):
        seen = of_places(scores.value, layer, causal=True)
        assert seen is not None, "what is causal does not see every place"
        masks.append(Shared(seen, Layout.KERAS))
    for mask in masks:
        operands = [mask, scores, np.array(FAR_BELOW, np.float32)]
        values, layout = aligned(operands, [ir.DataType.BOOL, FLOAT, FLOAT], layer)
        scores = Tensor(layer.op("Where", values), layout)
    return scores
