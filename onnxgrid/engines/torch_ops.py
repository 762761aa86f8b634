"""ONNX ops in torch: one function per op. The torch engine runs networks with them; the ort engine takes missing
gradients from them.

A function takes the node's inputs as positional tensors (None where an optional one is left out) and the node's
attributes as keyword arguments with ONNX's names and defaults, and returns the output tensor, or a tuple of them. Each
is differentiable by torch's autograd. Source of semantics: the ONNX operator specification, opset 17.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from onnxgrid.errors import WorkFailed

__all__ = ["TORCH_OPS", "TorchFunction", "bind_attributes", "torch_op"]

TorchFunction = Callable[..., Any]

TORCH_OPS: dict[tuple[str, str], TorchFunction] = {}
"""{(domain, op type): function}; the ONNX domain is ""."""


Refusal = Callable[[Mapping[str, Any]], str | None]
"""Why a function cannot compute a node with these attributes, or None."""

REFUSALS: dict[tuple[str, str], Refusal] = {}


def torch_op(
    *op_types: str, domain: str = "", refusal: Refusal | None = None
) -> Callable[[TorchFunction], TorchFunction]:
    """Register a function for these op types of a domain."""

    def register(function: TorchFunction) -> TorchFunction:
        for op_type in op_types:
            owner = TORCH_OPS.setdefault((domain, op_type), function)
            if owner is not function:
                raise ValueError(f"{domain}::{op_type} is already {owner.__name__}")
            if refusal is not None:
                REFUSALS[domain, op_type] = refusal
        return function

    return register


def bind_attributes(domain: str, op_type: str, attributes: Mapping[str, Any]) -> TorchFunction:
    """The op's function with a node's attributes filled in, or KeyError for an unknown op, TypeError for an unknown
    attribute.
    """
    function = TORCH_OPS[domain, op_type]
    known = [
        p.name for p in inspect.signature(function).parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    unknown = sorted(attributes.keys() - set(known))
    if unknown:
        raise TypeError(f"{op_type} has attributes {unknown}; known are {known}")
    refusal = REFUSALS.get((domain, op_type))
    reason = None if refusal is None else refusal(attributes)
    if reason is not None:
        raise TypeError(f"{op_type} {reason}")
    return functools.partial(function, **attributes)


def _begin_end(pads: Sequence[int], rank: int) -> tuple[Sequence[int], Sequence[int]]:
    return (pads[:rank], pads[rank:]) if pads else ([0] * rank, [0] * rank)


def _torch_pads(begin: Sequence[int], end: Sequence[int]) -> list[int]:
    """ONNX order (all begins, all ends) -> torch order (last axis first, begin and end together)."""
    return [amount for pair in zip(reversed(begin), reversed(end), strict=True) for amount in pair]


def _same_pads(
    sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], upper: bool
) -> tuple[list[int], list[int]]:
    begin, end = [], []
    for size, extent, stride in zip(sizes, kernel, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + extent - size, 0)
        small, large = total // 2, total - total // 2
        begin.append(small if upper else large)
        end.append(large if upper else small)
    return begin, end


def _resolved_pads(
    x: torch.Tensor, auto_pad: str, pads: Sequence[int], extent: Sequence[int], strides: Sequence[int]
) -> tuple[Sequence[int], Sequence[int]]:
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        return _same_pads(x.shape[2:], extent, strides, auto_pad == "SAME_UPPER")
    return _begin_end(pads, x.dim() - 2)


_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_MAX_POOLS = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


@torch_op("Conv")
def conv(
    x: torch.Tensor,
    w: torch.Tensor,
    b: torch.Tensor | None = None,
    *,
    kernel_shape: Sequence[int] = (),
    strides: Sequence[int] = (),
    pads: Sequence[int] = (),
    dilations: Sequence[int] = (),
    group: int = 1,
    auto_pad: str = "NOTSET",
) -> torch.Tensor:
    """x (N, C, s...), w (M, C/group, k...), b (M,) -> (N, M, s'...)."""
    rank = x.dim() - 2
    strides, dilations = list(strides) or [1] * rank, list(dilations) or [1] * rank
    extent = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations, strict=True)]
    begin, end = _resolved_pads(x, auto_pad, pads, extent, strides)
    if list(begin) != list(end):
        x, begin = F.pad(x, _torch_pads(begin, end)), [0] * rank
    return _CONVOLUTIONS[rank](x, w, b, strides, list(begin), dilations, group)


@torch_op("ConvTranspose")
def conv_transpose(
    x: torch.Tensor,
    w: torch.Tensor,
    b: torch.Tensor | None = None,
    *,
    kernel_shape: Sequence[int] = (),
    strides: Sequence[int] = (),
    pads: Sequence[int] = (),
    output_padding: Sequence[int] = (),
    dilations: Sequence[int] = (),
    group: int = 1,
) -> torch.Tensor:
    """x (N, C, s...), w (C, M/group, k...), b (M,) -> (N, M, s'...); `pads` crop the result."""
    rank = x.dim() - 2
    strides, dilations = list(strides) or [1] * rank, list(dilations) or [1] * rank
    begin, end = _begin_end(pads, rank)
    cropped = [0] * rank if list(begin) != list(end) else list(begin)
    y = _TRANSPOSED[rank](x, w, b, strides, cropped, list(output_padding) or [0] * rank, group, dilations)
    if list(begin) != list(end):
        for axis, (first, last) in enumerate(zip(begin, end, strict=True), start=2):
            y = y.narrow(axis, first, y.shape[axis] - first - last)
    return y


@torch_op("MaxPool")
def max_pool(
    x: torch.Tensor,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] = (),
    pads: Sequence[int] = (),
    dilations: Sequence[int] = (),
    ceil_mode: int = 0,
    auto_pad: str = "NOTSET",
    storage_order: int = 0,
) -> torch.Tensor:
    """x (N, C, s...) -> (N, C, s'...); padding never wins. The indices output is not given."""
    rank = x.dim() - 2
    strides, dilations = list(strides) or [1] * rank, list(dilations) or [1] * rank
    extent = [(k - 1) * d + 1 for k, d in zip(kernel_shape, dilations, strict=True)]
    begin, end = _resolved_pads(x, auto_pad, pads, extent, strides)
    if list(begin) != list(end) or any(2 * p > k for p, k in zip(begin, kernel_shape, strict=True)):
        x, begin = F.pad(x, _torch_pads(begin, end), value=float("-inf")), [0] * rank
    return _MAX_POOLS[rank](x, list(kernel_shape), strides, list(begin), dilations, bool(ceil_mode))


_AVERAGE_POOLS = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


@torch_op("AveragePool")
def average_pool(
    x: torch.Tensor,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] = (),
    pads: Sequence[int] = (),
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    auto_pad: str = "NOTSET",
) -> torch.Tensor:
    """x (N, C, s...) -> (N, C, s'...); the mean of the cells that are there, or with `count_include_pad` of all.

    Raises ValueError for `ceil_mode`, whose last windows torch and ONNX count differently.
    """
    if ceil_mode:
        raise ValueError("AveragePool with ceil_mode=1 has no torch counterpart here")
    rank = x.dim() - 2
    strides = list(strides) or [1] * rank
    begin, end = _resolved_pads(x, auto_pad, pads, kernel_shape, strides)
    pool = _AVERAGE_POOLS[rank]
    if list(begin) == list(end) and all(2 * p <= k for p, k in zip(begin, kernel_shape, strict=True)):
        return pool(x, list(kernel_shape), strides, list(begin), False, bool(count_include_pad))
    around = _torch_pads(begin, end)
    y = pool(F.pad(x, around), list(kernel_shape), strides)
    if count_include_pad:
        return y
    share = pool(F.pad(torch.ones_like(x[:1, :1]), around), list(kernel_shape), strides)
    return y / share


@torch_op("GlobalAveragePool")
def global_average_pool(x: torch.Tensor) -> torch.Tensor:
    """x (N, C, s...) -> (N, C, 1...)."""
    return x.mean(dim=tuple(range(2, x.dim())), keepdim=True)


@torch_op("GlobalMaxPool")
def global_max_pool(x: torch.Tensor) -> torch.Tensor:
    """x (N, C, s...) -> (N, C, 1...)."""
    return x.flatten(2).max(dim=2).values.reshape(*x.shape[:2], *[1] * (x.dim() - 2))


@torch_op("Pad")
def pad(
    x: torch.Tensor, pads: torch.Tensor, value: torch.Tensor | None = None, *, mode: str = "constant"
) -> torch.Tensor:
    """x with cells around it, all of one value, 0 by default. Raises ValueError for other modes."""
    if mode != "constant":
        raise ValueError(f"Pad with {mode=} has no torch counterpart here")
    begin, end = _begin_end(pads.tolist(), x.dim())
    return F.pad(x, _torch_pads(begin, end), value=0.0 if value is None else float(value))


@torch_op("Slice")
def slice_(
    x: torch.Tensor,
    starts: torch.Tensor,
    ends: torch.Tensor,
    axes: torch.Tensor | None = None,
    steps: torch.Tensor | None = None,
) -> torch.Tensor:
    """The cells of x from `starts` to before `ends` along `axes`, the first ones by default.

    Raises ValueError for steps below 1.
    """
    count = starts.numel()
    along = list(range(count)) if axes is None else axes.tolist()
    strides = [1] * count if steps is None else steps.tolist()
    if min(strides, default=1) < 1:
        raise ValueError(f"Slice with steps {strides} has no torch counterpart here")
    cut = [slice(None)] * x.dim()
    for axis, start, end, step in zip(along, starts.tolist(), ends.tolist(), strides, strict=True):
        cut[axis] = slice(start, end, step)
    return x[tuple(cut)]


@torch_op("Split")
def split(x: torch.Tensor, sizes: torch.Tensor, *, axis: int = 0) -> tuple[torch.Tensor, ...]:
    """x cut into parts of these sizes along an axis."""
    return tuple(torch.split_with_sizes(x, sizes.tolist(), axis))


def _resize_refusal(attributes: Mapping[str, Any]) -> str | None:
    mode = attributes.get("mode", "nearest")
    coordinates = attributes.get("coordinate_transformation_mode", "half_pixel")
    rounding = attributes.get("nearest_mode", "round_prefer_floor")
    if (mode, coordinates, rounding) == ("nearest", "asymmetric", "floor") or (mode, coordinates) == (
        "linear",
        "half_pixel",
    ):
        return None
    known = "nearest with asymmetric and floor, linear with half_pixel"
    return f"is {mode} with {coordinates} and {rounding}; known are {known}"


@torch_op("Resize", refusal=_resize_refusal)
def resize(
    x: torch.Tensor,
    roi: torch.Tensor | None = None,
    scales: torch.Tensor | None = None,
    sizes: torch.Tensor | None = None,
    *,
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
) -> torch.Tensor:
    """x (N, C, s...) -> (N, C, s'...), enlarged by whole factors: nearest (asymmetric, floor) or linear (half_pixel).

    The last three attributes concern other modes; ONNX Runtime writes their defaults into every node. Raises WorkFailed
    for other factors.
    """
    spatial = list(x.shape[2:])
    if sizes is not None:
        target = sizes.tolist()[2:]
    else:
        assert scales is not None
        target = [n * s for n, s in zip(spatial, scales.tolist()[2:], strict=True)]
    if any(t % n for t, n in zip(target, spatial, strict=True)):
        raise WorkFailed(
            f"A Resize from {spatial} to {target} is not by whole factors: training does not know it.",
            fix="Use whole factors in the network.",
        )
    size = [int(t) for t in target]
    if mode == "nearest":
        return F.interpolate(x, size=size, mode="nearest")
    kinds = {1: "linear", 2: "bilinear", 3: "trilinear"}
    return F.interpolate(x, size=size, mode=kinds[len(spatial)], align_corners=False)


@torch_op("BatchNormalization")
def batch_normalization(
    x: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor,
    mean: torch.Tensor,
    var: torch.Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> Any:
    """x (N, C, ...) -> y, and in training mode (y, running mean, running variance), with the batch's population
    variance.
    """
    if not training_mode:
        return F.batch_norm(x, mean, var, scale, bias, False, 0.0, epsilon)
    y, batch_mean, inverse_deviation = torch.native_batch_norm(x, scale, bias, None, None, True, 0.0, epsilon)
    with torch.no_grad():
        batch_var = inverse_deviation.pow(-2).sub_(epsilon).clamp_(min=0)
        return y, mean.lerp(batch_mean, 1 - momentum), var.lerp(batch_var, 1 - momentum)


@torch_op("InstanceNormalization")
def instance_normalization(
    x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor, *, epsilon: float = 1e-5
) -> torch.Tensor:
    """x (N, C, s...) with each sample's channel brought to mean 0 and variance 1, times scale (C,), plus bias (C,)."""
    return torch.group_norm(x, x.shape[1], scale, bias, epsilon)


@torch_op("LayerNormalization")
def layer_normalization(
    x: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> torch.Tensor:
    """x brought to mean 0 and variance 1 over the axes from `axis` on, times scale, plus bias, both of their shape.

    float32 is computed in float32, which is what `stash_type` 1 says.
    """
    return F.layer_norm(x, x.shape[axis:], scale, bias, epsilon)


@torch_op("Gemm")
def gemm(
    a: torch.Tensor,
    b: torch.Tensor,
    c: torch.Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> torch.Tensor:
    """alpha * a' @ b' + beta * c, all of rank 2."""
    a, b = a.t() if transA else a, b.t() if transB else b
    if c is None:
        return alpha * (a @ b)
    return torch.addmm(c, a, b, beta=beta, alpha=alpha)


@torch_op("Concat")
def concat(*inputs: torch.Tensor, axis: int) -> torch.Tensor:
    """The inputs joined along an axis."""
    return torch.cat(inputs, dim=axis)


@torch_op("Transpose")
def transpose(x: torch.Tensor, *, perm: Sequence[int] = ()) -> torch.Tensor:
    """x with its axes in the order `perm`, reversed by default."""
    return x.permute(*(perm or range(x.dim() - 1, -1, -1)))


@torch_op("Flatten")
def flatten(x: torch.Tensor, *, axis: int = 1) -> torch.Tensor:
    """x as a matrix: axes before `axis` become rows, the others columns."""
    rows = 1
    for size in x.shape[:axis]:
        rows *= size
    return x.reshape(rows, -1)


@torch_op("Reshape")
def reshape(x: torch.Tensor, shape: torch.Tensor, *, allowzero: int = 0) -> torch.Tensor:
    """x in a new shape; 0 keeps the input's size there unless `allowzero`."""
    sizes = shape.tolist()
    return x.reshape([x.shape[i] if size == 0 and not allowzero else size for i, size in enumerate(sizes)])


@torch_op("Squeeze")
def squeeze(x: torch.Tensor, axes: torch.Tensor | None = None) -> torch.Tensor:
    """x without these axes of size 1, or without all."""
    return x.squeeze() if axes is None else x.squeeze(tuple(axes.tolist()))


@torch_op("Unsqueeze")
def unsqueeze(x: torch.Tensor, axes: torch.Tensor) -> torch.Tensor:
    """x with axes of size 1 inserted; `axes` count in the result."""
    rank = x.dim() + axes.numel()
    for axis in sorted(a % rank for a in axes.tolist()):
        x = x.unsqueeze(axis)
    return x


@torch_op("ReduceMean")
def reduce_mean(x: torch.Tensor, *, axes: Sequence[int] = (), keepdims: int = 1) -> torch.Tensor:
    """The mean over these axes, or over all."""
    return x.mean(dim=tuple(axes) or tuple(range(x.dim())), keepdim=bool(keepdims))


@torch_op("ReduceL2")
def reduce_l2(x: torch.Tensor, *, axes: Sequence[int] = (), keepdims: int = 1) -> torch.Tensor:
    """The Euclidean length along these axes, or of all."""
    length: torch.Tensor = torch.linalg.vector_norm(x, dim=tuple(axes) or None, keepdim=bool(keepdims))
    return length


@torch_op("Expand")
def expand(x: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    """x repeated along axes of size 1 so that it broadcasts with a tensor of this shape."""
    return x.expand(torch.broadcast_shapes(x.shape, tuple(shape.tolist())))  # type: ignore[no-untyped-call]


@torch_op("Shape")
def shape(x: torch.Tensor) -> torch.Tensor:
    """The sizes of x, int64."""
    return torch.tensor(x.shape)


@torch_op("Cast")
def cast(x: torch.Tensor, *, to: int) -> torch.Tensor:
    """x in another type, named by its ONNX number: float32, int32, int64 or boolean. Raises ValueError for others."""
    types = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool}
    if to not in types:
        raise ValueError(f"Cast with {to=} has no torch counterpart here")
    return x.to(types[to])


@torch_op("Gather")
def gather(x: torch.Tensor, indices: torch.Tensor, *, axis: int = 0) -> torch.Tensor:
    """The entries of x along an axis that the indices name, which take the axis' place."""
    axis %= x.dim()
    indices = torch.where(indices < 0, indices + x.shape[axis], indices)
    return x.index_select(axis, indices.flatten()).reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


@torch_op("Einsum")
def einsum(*inputs: torch.Tensor, equation: str) -> torch.Tensor:
    """Products of the inputs, summed over the letters that the result lacks."""
    return torch.einsum(equation, *inputs)


@torch_op("Max")
def maximum(*inputs: torch.Tensor) -> torch.Tensor:
    """The largest of the inputs, element by element."""
    return functools.reduce(torch.maximum, inputs)


@torch_op("Min")
def minimum(*inputs: torch.Tensor) -> torch.Tensor:
    """The smallest of the inputs, element by element."""
    return functools.reduce(torch.minimum, inputs)


@torch_op("Sum")
def total(*inputs: torch.Tensor) -> torch.Tensor:
    """The sum of the inputs."""
    return functools.reduce(torch.add, inputs)


@torch_op("Mean")
def mean(*inputs: torch.Tensor) -> torch.Tensor:
    """The mean of the inputs."""
    return functools.reduce(torch.add, inputs) / len(inputs)


@torch_op("Clip")
def clip(x: torch.Tensor, low: torch.Tensor | None = None, high: torch.Tensor | None = None) -> torch.Tensor:
    """x limited to [low, high]; either may be left out."""
    return x if low is None and high is None else torch.clamp(x, low, high)


@torch_op("LeakyRelu")
def leaky_relu(x: torch.Tensor, *, alpha: float = 0.01) -> torch.Tensor:
    """x, times alpha where negative."""
    return F.leaky_relu(x, alpha)


@torch_op("PRelu")
def prelu(x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """x, times slope where negative."""
    return torch.where(x < 0, x * slope, x)


@torch_op("Elu")
def elu(x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """x, or alpha * (exp(x) - 1) where negative."""
    return F.elu(x, alpha)


@torch_op("Celu")
def celu(x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """x, or alpha * (exp(x / alpha) - 1) where negative."""
    return F.celu(x, alpha)


@torch_op("Selu")
def selu(x: torch.Tensor, *, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805) -> torch.Tensor:
    """gamma * x, or gamma * alpha * (exp(x) - 1) where negative."""
    return gamma * F.elu(x, alpha)


@torch_op("HardSigmoid")
def hard_sigmoid(x: torch.Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> torch.Tensor:
    """alpha * x + beta, limited to [0, 1]."""
    return (alpha * x + beta).clamp(0, 1)


@torch_op("ThresholdedRelu")
def thresholded_relu(x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """x where above alpha, else 0."""
    return F.threshold(x, alpha, 0.0)


@torch_op("Shrink")
def shrink(x: torch.Tensor, *, bias: float = 0.0, lambd: float = 0.5) -> torch.Tensor:
    """x moved by bias towards 0 where it is beyond lambd or -lambd, else 0."""
    return torch.where(x > lambd, x - bias, torch.where(x < -lambd, x + bias, torch.zeros_like(x)))


@torch_op("Softmax")
def softmax(x: torch.Tensor, *, axis: int = -1) -> torch.Tensor:
    """exp(x) normalised to sum 1 along an axis."""
    return x.softmax(axis)


@torch_op("LogSoftmax")
def log_softmax(x: torch.Tensor, *, axis: int = -1) -> torch.Tensor:
    """Logarithm of the softmax along an axis."""
    return x.log_softmax(axis)


@torch_op("Dropout")
def dropout(
    x: torch.Tensor, ratio: torch.Tensor | None = None, training_mode: torch.Tensor | None = None, *, seed: int = 0
) -> torch.Tensor:
    """x: in training graphs a multiplication with a mask stands in its place."""
    return x


def _without_attributes(function: TorchFunction) -> TorchFunction:
    return lambda *inputs: function(*inputs)  # torch's builtins have no signature to check attributes against


_BUILTINS: dict[str, TorchFunction] = {
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": torch.div,
    "MatMul": torch.matmul,
    "Where": torch.where,
    "Greater": torch.gt,
    "Less": torch.lt,
    "GreaterOrEqual": torch.ge,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "HardSwish": F.hardswish,
    "Neg": torch.neg,
    "Softplus": F.softplus,
    "Softsign": F.softsign,
    "Sqrt": torch.sqrt,
}
for _op_type, _function in _BUILTINS.items():
    torch_op(_op_type)(_without_attributes(_function))


@torch_op("Identity")
def identity(x: torch.Tensor) -> torch.Tensor:
    """x."""
    return x
