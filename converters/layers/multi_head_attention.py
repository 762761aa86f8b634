"""Attention with heads: Keras' `MultiHeadAttention` and `GroupQueryAttention`.

Queries, keys and values are projected to all heads at once, brought into the order (N, free axes, heads, places, size)
and compared by one product; what comes of it takes the same way back.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from converters.axes import head_vectors, input_heads, output_heads
from converters.initializers import GLOROT_UNIFORM, ZEROS, BetweenAxes, Initializer, read_initializer
from converters.keys import Keys
from converters.layers.attention import read_dropout, with_dropout
from converters.layers.attention_masks import all_of, as_booleans, masked_scores, of_places
from converters.layers.core import linear
from converters.layers.graph_builder import BATCH
from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.registry import Arity, converts
from converters.layers.tensor import Layout, Size, Tensor, shown

__all__ = ["HeadsConfig", "heads_attention"]

MASKED = float(np.finfo(np.float32).min) * 0.7
"""The score of what is not looked at: queries that look at nothing get the mean of all values.

Source: keras/src/backend/torch/nn.py, `_get_large_negative`.
"""

PASSED_OVER = ("flash_attention", "key_shape", "query_shape", "softmax_robust_masking", "value_shape")
"""Keys that choose how the same numbers are computed, or repeat what the inputs say (Keras 2)."""

PARAMETERS = (
    "query value key query_mask value_mask key_mask attention_mask return_attention_scores training use_causal_mask"
)


@dataclass(frozen=True, kw_only=True)
class HeadsConfig:
    """Keras `MultiHeadAttention` and `GroupQueryAttention`, checked.

    Args:
        heads: of the queries.
        shared_by: how many heads of queries have the same keys and values.
        key_size: of a query or key in each head.
        value_size: of a value in each head.
        output_shape: of the output's features; None for as many as a query has.
        attention_axes: over whose places is looked, counted with the batch, negative from the end; None for all.
        window: at how many places away nothing is looked at any more; None for no limit.
        gated: whether what the heads give is multiplied by a gate that the query opens.
        dropout: the share of the scores that training drops.
        takes_query_mask: whether a mask of the queries that the call is given counts; if not, only their own does.
    """

    heads: int
    shared_by: int
    key_size: int
    value_size: int
    output_shape: tuple[int, ...] | None
    attention_axes: tuple[int, ...] | None
    window: int | None
    gated: bool
    dropout: float
    use_bias: bool
    kernel_initializer: Initializer
    bias_initializer: Initializer
    takes_query_mask: bool

    @classmethod
    def read_multi_head(cls, keys: Keys) -> "HeadsConfig":
        key_size = keys.integer("key_dim")
        axes = keys.raw("attention_axes")
        return cls._read(
            keys,
            heads=keys.integer("num_heads"),
            shared_by=1,
            key_size=key_size,
            value_size=keys.integer("value_dim") if keys.has("value_dim") else key_size,
            output_shape=_read_output_shape(keys),
            attention_axes=None if axes is None or axes == [] else keys.axes("attention_axes", default=1),
            takes_query_mask=False,
        )

    @classmethod
    def read_grouped(cls, keys: Keys) -> "HeadsConfig":
        heads, groups, size = (
            keys.integer(f"{name}") for name in ("num_query_heads", "num_key_value_heads", "head_dim")
        )
        if heads % groups:
            raise keys.error(
                "num_key_value_heads", f"is {groups}, and there are {heads} heads of queries", f"Divide {heads}."
            )
        return cls._read(
            keys,
            heads=heads,
            shared_by=heads // groups,
            key_size=size,
            value_size=size,
            output_shape=None,
            attention_axes=None,
            takes_query_mask=True,
        )

    @classmethod
    def _read(
        cls,
        keys: Keys,
        *,
        heads: int,
        shared_by: int,
        key_size: int,
        value_size: int,
        output_shape: tuple[int, ...] | None,
        attention_axes: tuple[int, ...] | None,
        takes_query_mask: bool,
    ) -> "HeadsConfig":
        for key in PASSED_OVER:
            keys.raw(key)
        return cls(
            heads=heads,
            shared_by=shared_by,
            key_size=key_size,
            value_size=value_size,
            output_shape=output_shape,
            attention_axes=attention_axes,
            takes_query_mask=takes_query_mask,
            window=keys.integer("sliding_window") if keys.raw("sliding_window") is not None else None,
            gated=keys.flag("use_gate", default=False),
            dropout=read_dropout(keys),
            use_bias=keys.flag("use_bias", default=True),
            kernel_initializer=read_initializer(keys, "kernel_initializer", GLOROT_UNIFORM),
            bias_initializer=read_initializer(keys, "bias_initializer", ZEROS),
        )


def _read_output_shape(keys: Keys) -> tuple[int, ...] | None:
    if not keys.raw("output_shape"):
        return None
    if isinstance(keys.raw("output_shape"), int):
        return (keys.integer("output_shape"),)
    return keys.integer_list("output_shape", minimum=1)


@dataclass(frozen=True)
class _Axes:
    """How the axes of queries, keys and values (N, a1...an, features) take part; the first after the batch is 1.

    Args:
        free: those where each place is looked at from the same place only.
        attended: those over whose places is looked.
    """

    free: tuple[int, ...]
    attended: tuple[int, ...]

    @property
    def count(self) -> int:
        return len(self.free) + len(self.attended)

    def order(self, heads: int) -> tuple[int, ...]:
        """What brings (N, a1...an, heads..., size) into (N, free..., heads..., attended..., size)."""
        first_head = self.count + 1
        of_heads = range(first_head, first_head + heads)
        return (0, *self.free, *of_heads, *self.attended, first_head + heads)


@converts("MultiHeadAttention", config=HeadsConfig.read_multi_head, arity=Arity.NAMED)
@converts("GroupQueryAttention", "GroupedQueryAttention", config=HeadsConfig.read_grouped, arity=Arity.NAMED)
def heads_attention(config: HeadsConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> tuple[Tensor, ...]:
    """Values weighted for each query by its likeness to their keys, in each head by itself, then put together.

    Takes queries (N, Tq, features), values and possibly keys (N, Tv, features), or with more axes before the features.
    Declares query.weight, key.weight, value.weight (heads * size, in), output.weight (out, heads * size), with
    use_gate gate.weight, and with use_bias a bias to each.
    Gives the scores (N, heads, Tq, Tv) too, if the call asks for them.
    Raises ConversionError if the inputs do not fit each other.
    Source: keras.io/api/layers/attention_layers/multi_head_attention and .../group_query_attention.
    """
    call = Arguments.of_layer(PARAMETERS, inputs, layer)
    query, value = call.tensor("query"), call.tensor("value")
    key = call.tensor("key") if call.value("key") is not None else value
    return _Attention(config, _axes(config, query, value, key, layer), layer).of(query, value, key, call)


def _axes(config: HeadsConfig, query: Tensor, value: Tensor, key: Tensor, layer: LayerBuilder) -> _Axes:
    rank = query.rank
    attended = config.attention_axes or tuple(range(1, rank - 1))
    axes = _Axes(
        tuple(axis for axis in range(1, rank - 1) if axis not in [a % rank for a in attended]),
        tuple(axis % rank for axis in attended if -rank <= axis < rank),
    )
    if rank < 3 or {value.rank, key.rank} != {rank} or _differ(value.shape[1:-1], key.shape[1:-1]):
        raise layer.error(
            f"looks from {shown(query.shape)} at {shown(value.shape)} by keys {shown(key.shape)}",
            "Give sequences of as many axes, and as many keys as values.",
        )
    if len(set(axes.attended)) < len(attended) or not set(axes.attended) <= set(range(1, rank - 1)):
        raise layer.error(
            f'"attention_axes" is {list(attended)}, and its input is {shown(query.shape)}',
            f"Name axes from 1 to {rank - 2}, each once.",
        )
    return axes


def _differ(a: Sequence[Size], b: Sequence[Size]) -> bool:
    """Whether sizes differ, of which each is known: others may be equal when the graph runs."""
    return any(m != n for m, n in zip(a, b, strict=True) if isinstance(m, int) and isinstance(n, int))


@dataclass(frozen=True)
class _Attention:
    """One call under construction; heads that share keys and values are an axis of their own within their group."""

    config: HeadsConfig
    axes: _Axes
    layer: LayerBuilder

    @property
    def groups(self) -> tuple[int, ...]:
        """The sizes of the axes of heads, those of the queries."""
        shared_by = self.config.shared_by
        return (self.config.heads,) if shared_by == 1 else (self.config.heads // shared_by, shared_by)

    def of(self, query: Tensor, value: Tensor, key: Tensor, call: Arguments) -> tuple[Tensor, ...]:
        config, layer = self.config, self.layer
        in_order = {x.value: layer.keras_order(x) for x in (query, key, value)}
        q, k, v = (in_order[x.value] for x in (query, key, value))
        kv_groups = (self.groups[0], *(1 for _shared in self.groups[1:]))
        queries = self._in_heads(self._projected("query", q, self.groups, config.key_size), self.groups)
        keys = self._in_heads(self._projected("key", k, kv_groups, config.key_size), kv_groups)
        values = self._in_heads(self._projected("value", v, kv_groups, config.value_size), kv_groups)
        queries = layer.op("Mul", [queries, layer.scalar("scale", 1 / math.sqrt(config.key_size))])
        last = Tensor(keys, Layout.KERAS).rank - 1
        swapped = layer.transposed(keys, (*range(last - 1), last, last - 1))
        scores = layer.op("MatMul", [queries, swapped])
        stated = self._stated_mask(query, value, key if call.value("key") is not None else None, call)
        causal = call.flag("use_causal_mask", default=False)
        mask = all_of([stated, of_places(scores, layer, causal=causal, window=config.window)], layer)
        weights = layer.op("Softmax", [masked_scores(scores, mask, MASKED, layer)], axis=-1)
        with_scores = call.flag("return_attention_scores", default=False)
        some_see_nothing = stated is not None or config.window is not None
        if mask is not None and some_see_nothing and (config.dropout or with_scores) and not layer.written_by_keras_2:
            # Where Keras computes the scores by themselves, a query that looks at nothing gets zeros.
            weights = layer.op("Where", [mask, weights, layer.scalar("zero", 0.0)])
        dropped = with_dropout(weights, config.dropout, layer)
        attended = self._out_of_heads(layer.op("MatMul", [dropped, values]), q)
        if config.gated:
            gate = layer.op("Sigmoid", [self._projected("gate", q, self.groups, config.value_size)])
            attended = layer.op("Mul", [attended, gate])
        outputs = [Tensor(self._output(attended, q), Layout.KERAS, query.mask)]
        if with_scores:
            outputs.append(Tensor(self._scores(weights, q, k), Layout.KERAS))
        return tuple(outputs)

    def _projected(self, name: str, x: Tensor, groups: Sequence[int], size: int) -> ir.Value:
        """x (N, a1...an, in) as (N, a1...an, heads * size)."""
        layer, heads = self.layer.part(name), math.prod(groups)
        features = self.layer.known_size(x, x.rank - 1)
        initializer = BetweenAxes(self.config.kernel_initializer, (0,), (1, 2))
        weight = layer.parameter("weight", (features, heads, size), input_heads(3), initializer)
        bias = []
        if self.config.use_bias:
            bias.append(layer.parameter("bias", (heads, size), head_vectors(2), self.config.bias_initializer))
        return linear(x, weight, bias, layer).value

    def _in_heads(self, projected: ir.Value, groups: Sequence[int]) -> ir.Value:
        """(N, a1...an, heads * size) as (N, free..., heads..., T, size)."""
        width = Tensor(projected, Layout.KERAS).shape[-1]
        assert isinstance(width, int)
        size, before = width // math.prod(groups), self.axes.count + 1
        apart = self._reshaped(projected, (*(0,) * before, *groups, size))
        ordered = self.layer.transposed(apart, self.axes.order(len(groups)))
        if len(self.axes.attended) == 1:
            return ordered
        kept = 1 + len(self.axes.free) + len(groups)
        return self._reshaped(ordered, (*(0,) * kept, -1, size))

    def _out_of_heads(self, attended: ir.Value, q: Tensor) -> ir.Value:
        """(N, free..., heads..., T, size) as (N, a1...an, heads * size)."""
        if len(self.axes.attended) > 1:
            kept = 1 + len(self.axes.free) + len(self.groups)
            attended = self._reshaped(attended, (*(0,) * kept, *self._places(q), self.config.value_size))
        order = self.axes.order(len(self.groups))
        back = self.layer.transposed(attended, [order.index(axis) for axis in range(len(order))])
        return self._reshaped(back, (*(0,) * (self.axes.count + 1), self.config.heads * self.config.value_size))

    def _places(self, x: Tensor) -> list[int]:
        """The numbers of places on the axes that are looked over, as a Reshape takes them: -1 for one unknown."""
        sizes = [x.shape[axis] for axis in self.axes.attended]
        unknown = [axis for axis, size in zip(self.axes.attended, sizes, strict=True) if not isinstance(size, int)]
        for axis in unknown[1:]:
            self.layer.known_size(x, axis)
        return [size if isinstance(size, int) else -1 for size in sizes]

    def _output(self, attended: ir.Value, q: Tensor) -> ir.Value:
        """(N, a1...an, heads * size) as (N, a1...an, out...)."""
        config, layer = self.config, self.layer.part("output")
        out = config.output_shape or (self.layer.known_size(q, q.rank - 1),)
        shape = (config.heads, config.value_size, *out)
        initializer = BetweenAxes(config.kernel_initializer, (0, 1), tuple(range(2, len(shape))))
        weight = layer.parameter("weight", shape, output_heads(len(shape)), initializer)
        bias = (
            [layer.parameter("bias", out, head_vectors(len(out)), config.bias_initializer)] if config.use_bias else []
        )
        y = linear(Tensor(attended, Layout.KERAS), weight, bias, layer).value
        return y if len(out) == 1 else self._reshaped(y, (*(0,) * (self.axes.count + 1), *out))

    def _stated_mask(self, query: Tensor, value: Tensor, key: Tensor | None, call: Arguments) -> ir.Value | None:
        """Which scores count by the masks of the sequences and of the call, to be put beside them; None if all do."""
        layer = self.layer
        of_query = self._mask_of("query_mask", query, call) if self.config.takes_query_mask else query.mask
        masks = [self._unsqueezed(of_query, 2)]
        masks.append(self._unsqueezed(self._mask_of("value_mask", value, call), 1))
        masks.append(self._unsqueezed(self._mask_of("key_mask", key, call), 1))
        of_sequences = all_of(masks, layer)
        stated = self._mask_of("attention_mask", None, call)
        limited = call.flag("use_causal_mask", default=False) or self.config.window is not None
        if self.axes.count > 1 and (limited or of_sequences is not None or stated is not None):
            raise layer.error("is masked, and looks at sequences of several axes", "Use sequences (N, T, features).")
        rank = 3 if stated is None else Tensor(stated, Layout.KERAS).rank
        if rank == 4 and len(self.groups) == 1 and of_sequences is None:
            return stated
        if stated is not None and rank != 3:
            raise layer.error(
                f'its "attention_mask" is {shown(Tensor(stated, Layout.KERAS).shape)}',
                f"Give a mask ({BATCH}, Tq, Tv), one for all heads.",
            )
        return self._unsqueezed(all_of([of_sequences, stated], layer), *range(1, 1 + len(self.groups)))

    def _mask_of(self, name: str, x: Tensor | None, call: Arguments) -> ir.Value | None:
        """The mask that the call is given under a name; else that of the sequence."""
        if call.value(name) is not None:
            return as_booleans(call.tensor_of_any_type(name), self.layer)
        return None if x is None else x.mask

    def _unsqueezed(self, mask: ir.Value | None, *axes: int) -> ir.Value | None:
        if mask is None:
            return None
        return self.layer.op("Unsqueeze", [mask, self.layer.constant("mask_axes", np.array(axes, np.int64))])

    def _scores(self, weights: ir.Value, q: Tensor, k: Tensor) -> ir.Value:
        """(N, free..., heads..., Tq, Tv) as (N, free..., heads, Tq..., Tv...)."""
        if len(self.groups) == 1 and len(self.axes.attended) == 1:
            return weights
        places = [*self._places(q), *self._places(k)]
        kept = (*(0,) * (1 + len(self.axes.free)), self.config.heads)
        if places.count(-1) <= 1:
            return self._reshaped(weights, (*kept, *places))
        layer, attended = self.layer, self.layer.constant("attended", np.array(self.axes.attended, np.int64))
        counted = [layer.op("Gather", [layer.op("Shape", [x.value]), attended]) for x in (q, k)]
        shape = layer.op("Concat", [layer.constant("heads", np.array(kept, np.int64)), *counted], axis=0)
        scores = layer.op("Reshape", [weights, shape])
        free = [q.shape[axis] for axis in (0, *self.axes.free)]
        sizes = [x.shape[axis] for x in (q, k) for axis in self.axes.attended]
        layer.declare(scores, [*free, self.config.heads, *sizes])
        return scores

    def _reshaped(self, value: ir.Value, target: Sequence[int]) -> ir.Value:
        return self.layer.op("Reshape", [value, self.layer.constant("shape", np.array(target, np.int64))])
