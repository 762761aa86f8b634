"""Attention without heads: Keras' `Attention` and `AdditiveAttention`."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import onnx_ir as ir

from converters.axes import SCALAR, VECTOR
from converters.initializers import GLOROT_UNIFORM, ONES
from converters.keys import Keys
from converters.layers.attention_masks import all_of, as_booleans, masked_scores, of_places
from converters.layers.graph_builder import BATCH
from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.registry import Arity, converts
from converters.layers.tensor import Layout, Tensor, shown
from converters.network import Operand

__all__ = ["AttentionConfig", "ScoreMode", "additive_attention", "attention", "read_dropout", "with_dropout"]

MASKED = -1e9
"""The score of what is not looked at. Source: keras/src/layers/attention/attention.py."""


class ScoreMode(Enum):
    """How a query is compared with a key."""

    DOT = "dot"
    CONCAT = "concat"


@dataclass(frozen=True)
class AttentionConfig:
    """Keras `Attention` and `AdditiveAttention`, checked; `causal` is an option of Keras 2 up to 2.9."""

    use_scale: bool
    score_mode: ScoreMode
    causal: bool
    dropout: float

    @classmethod
    def read(cls, keys: Keys) -> "AttentionConfig":
        score_mode = keys.choice("score_mode", ScoreMode, default=ScoreMode.DOT)
        return cls._read(keys, score_mode, use_scale=False)

    @classmethod
    def read_additive(cls, keys: Keys) -> "AttentionConfig":
        return cls._read(keys, ScoreMode.CONCAT, use_scale=True)

    @classmethod
    def _read(cls, keys: Keys, score_mode: ScoreMode, *, use_scale: bool) -> "AttentionConfig":
        scaled = keys.flag("use_scale", default=use_scale)
        return cls(scaled, score_mode, keys.flag("causal", default=False), read_dropout(keys))


def read_dropout(keys: Keys) -> float:
    """The share of the scores that training drops."""
    return keys.number("dropout", default=0.0, minimum=0.0, maximum=1.0)


def with_dropout(weights: ir.Value, rate: float, layer: LayerBuilder) -> ir.Value:
    """The weights; a Dropout node marks where training drops some, if it does."""
    return layer.op("Dropout", [weights, layer.scalar("ratio", rate)]) if rate else weights


@dataclass(frozen=True)
class _Inputs:
    """Queries (N, Tq, dim), values (N, Tv, dim) and keys (N, Tv, dim), all in Keras' order, and the first two's masks.

    `call` holds the other arguments.
    """

    query: Tensor
    value: Tensor
    key: Tensor
    query_mask: ir.Value | None
    value_mask: ir.Value | None
    call: Arguments

    @classmethod
    def of(cls, inputs: Sequence[Tensor], layer: LayerBuilder) -> "_Inputs":
        parameters = "inputs mask training return_attention_scores use_causal_mask"
        call = Arguments.of_layer(parameters, inputs, layer)
        listed = call.value("inputs", tuple(map(Operand, range(len(inputs)))))
        given = (
            [inputs[item.index] for item in listed if isinstance(item, Operand)] if isinstance(listed, tuple) else []
        )
        if not 2 <= len(given) <= 3 or any(x.rank != 3 for x in given):
            raise layer.error(
                f"takes queries, values and possibly keys, each ({BATCH}, T, dim), and is given "
                f"{', '.join(shown(x.shape) for x in given) or 'none of them in a list'}",
                'Change its "inbound_nodes".',
            )
        masks = call.value("mask", ())
        masks = masks if isinstance(masks, tuple) else (masks,)
        explicit = [as_booleans(inputs[m.index], layer) if isinstance(m, Operand) else None for m in masks]
        known = explicit if any(isinstance(m, Operand) for m in masks) else [x.mask for x in given]
        query_mask, value_mask = [*known, None, None][:2]
        query, value, *key = (layer.keras_order(x) for x in given)
        return cls(query, value, key[0] if key else value, query_mask, value_mask, call)


@converts("Attention", config=AttentionConfig.read, arity=Arity.NAMED)
def attention(config: AttentionConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> tuple[Tensor, ...]:
    """Values (N, Tv, dim) weighted for each query (N, Tq, dim) by how much its product with their keys is.

    Declares scale (1,) with use_scale, and concat_score_weight (1,) if the score is not a product but a sum of tanh.
    Gives the scores (N, Tq, Tv) too, if the call asks for them.
    Raises ConversionError if the inputs are no such sequences.
    Source: keras.io/api/layers/attention_layers/attention.
    """
    given = _Inputs.of(inputs, layer)
    scale = [layer.parameter("scale", (), SCALAR, ONES)] if config.use_scale else []
    if config.score_mode is ScoreMode.DOT:
        _require_dim(given, layer)
        scores = layer.op("MatMul", [given.query.value, layer.transposed(given.key.value, (0, 2, 1))])
        for factor in scale:
            scores = layer.op("Mul", [scores, factor])
        return _attended(config, scores, given, layer)
    sums = _sums(given, layer)
    for factor in scale:
        sums = layer.op("Mul", [sums, factor])
    scores = layer.op("ReduceSum", [layer.op("Tanh", [sums])], axes=[-1], keepdims=0)
    weight = layer.parameter("concat_score_weight", (), SCALAR, ONES)
    return _attended(config, layer.op("Mul", [scores, weight]), given, layer)


@converts("AdditiveAttention", config=AttentionConfig.read_additive, arity=Arity.NAMED)
def additive_attention(config: AttentionConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> tuple[Tensor, ...]:
    """As `attention`, where the score is the sum of tanh(query + key), each feature times its scale.

    Declares scale (dim,) with use_scale.
    Source: keras.io/api/layers/attention_layers/additive_attention.
    """
    given = _Inputs.of(inputs, layer)
    bent = layer.op("Tanh", [_sums(given, layer)])
    if config.use_scale:
        dim = layer.known_size(given.query, 2)
        bent = layer.op("Mul", [bent, layer.parameter("scale", (dim,), VECTOR, GLOROT_UNIFORM)])
    return _attended(config, layer.op("ReduceSum", [bent], axes=[-1], keepdims=0), given, layer)


def _sums(given: _Inputs, layer: LayerBuilder) -> ir.Value:
    """(N, Tq, Tv, dim): each query plus each key."""
    _require_dim(given, layer)
    query = layer.op("Unsqueeze", [given.query.value, layer.constant("key_axis", np.array([2], np.int64))])
    key = layer.op("Unsqueeze", [given.key.value, layer.constant("query_axis", np.array([1], np.int64))])
    return layer.op("Add", [query, key])


def _require_dim(given: _Inputs, layer: LayerBuilder) -> None:
    if given.query.shape[2] != given.key.shape[2]:
        raise layer.error(
            f"compares queries {shown(given.query.shape)} with keys {shown(given.key.shape)}",
            "Give both as many features.",
        )


def _attended(config: AttentionConfig, scores: ir.Value, given: _Inputs, layer: LayerBuilder) -> tuple[Tensor, ...]:
    """The values weighted by the scores (N, Tq, Tv), zeros for masked queries; then the scores, if they are wanted."""
    causal = config.causal or given.call.flag("use_causal_mask", default=False)
    value_mask = given.value_mask
    if value_mask is not None:
        value_mask = layer.op("Unsqueeze", [value_mask, layer.constant("query_axis", np.array([1], np.int64))])
    mask = all_of([value_mask, of_places(scores, layer, causal=causal)], layer)
    weights = layer.op("Softmax", [masked_scores(scores, mask, MASKED, layer)], axis=-1)
    y = layer.op("MatMul", [with_dropout(weights, config.dropout, layer), given.value.value])
    if given.query_mask is not None:
        kept = layer.op("Unsqueeze", [given.query_mask, layer.constant("last_axis", np.array([-1], np.int64))])
        y = layer.op("Where", [kept, y, layer.scalar("zero", 0.0)])
    outputs = [Tensor(y, Layout.KERAS, given.query_mask)]
    if given.call.flag("return_attention_scores", default=False):
        outputs.append(Tensor(weights, Layout.KERAS))
    return tuple(outputs)
