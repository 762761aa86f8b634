"""Cases of attention layers, and of the products of any axes that stand beside them."""

from collections.abc import Callable
from typing import Any

from keras import layers as kl
from keras import ops

from tests.converters.layer_cases.case import Case, called

QUERY, VALUE, KEY = (5, 6), (7, 4), (7, 6)
MEMORY = (7, 6)


def on_list(layer: Callable[[], Any], *shapes: tuple[int, ...], masks: bool = False, **call: Any) -> Case:
    """A layer that takes its inputs in a list; of a masked sequence, some steps are zeros."""

    def network(tested: Any, *inputs: Any) -> Any:
        return tested([kl.Masking()(x) for x in inputs] if masks else list(inputs), **call)

    return called(layer, network, *shapes, hidden_steps=masks)


def on_each(
    layer: Callable[[], Any], *shapes: tuple[int | None, ...], masked: tuple[int, ...] = (), **call: Any
) -> Case:
    """A layer that takes its inputs one by one, some of them masked."""
    sizes = call.pop("sizes", None)

    def network(tested: Any, *inputs: Any) -> Any:
        given = [kl.Masking()(x) if i in masked else x for i, x in enumerate(inputs)]
        return tested(*given, **call)

    return called(layer, network, *shapes, hidden_steps=bool(masked), sizes=sizes)


def self_attention(layer: Callable[[], Any], shape: tuple[int | None, ...] = QUERY, **common: Any) -> Case:
    return called(layer, lambda tested, x: tested(x, x), shape, **common)


def plain_attention() -> dict[str, Case]:
    def concat() -> Any:
        return kl.Attention(score_mode="concat")

    return {
        "values that are keys": on_list(lambda: kl.Attention(), QUERY, MEMORY),
        "keys": on_list(lambda: kl.Attention(), QUERY, VALUE, KEY),
        "scale": on_list(lambda: kl.Attention(use_scale=True), QUERY, MEMORY),
        "scores": on_list(lambda: kl.Attention(), QUERY, VALUE, KEY, return_attention_scores=True),
        "nothing later": on_list(lambda: kl.Attention(), QUERY, MEMORY, use_causal_mask=True),
        "scores by a sum": on_list(concat, QUERY, MEMORY),
        "scores by a sum, scale": on_list(
            lambda: kl.Attention(score_mode="concat", use_scale=True), QUERY, VALUE, KEY, use_causal_mask=True
        ),
        "dropout, which acts in training only": on_list(lambda: kl.Attention(dropout=0.4), QUERY, MEMORY),
        "masked": on_list(lambda: kl.Attention(), QUERY, MEMORY, masks=True),
        "masked, nothing later": on_list(concat, QUERY, MEMORY, masks=True, use_causal_mask=True),
        "of itself": called(lambda: kl.Attention(), lambda tested, x: tested([x, x]), QUERY),
    }


def additive_attention() -> dict[str, Case]:
    return {
        "plain": on_list(lambda: kl.AdditiveAttention(), QUERY, MEMORY),
        "keys and scores": on_list(lambda: kl.AdditiveAttention(), QUERY, VALUE, KEY, return_attention_scores=True),
        "no scale": on_list(lambda: kl.AdditiveAttention(use_scale=False), QUERY, MEMORY, use_causal_mask=True),
        "masked": on_list(lambda: kl.AdditiveAttention(), QUERY, MEMORY, masks=True),
        "of itself": called(lambda: kl.AdditiveAttention(), lambda tested, x: tested([x, x]), QUERY),
    }


def with_heads(layer: Callable[..., Any]) -> dict[str, Case]:
    """What both layers with heads have in common; of the sizes that heads have, the test of each says its own."""
    return {
        "of itself": self_attention(layer),
        "of another": on_each(layer, QUERY, MEMORY),
        "keys": on_each(layer, QUERY, (7, 6), (7, 9)),
        "scores": on_each(layer, QUERY, MEMORY, return_attention_scores=True),
        "nothing later": on_each(layer, QUERY, MEMORY, use_causal_mask=True),
        "nothing later, with scores": on_each(layer, QUERY, MEMORY, use_causal_mask=True, return_attention_scores=True),
        "no bias": on_each(lambda: layer(use_bias=False), QUERY, MEMORY),
        "a gate": on_each(lambda: layer(use_gate=True), QUERY, MEMORY),
        "a window": on_each(lambda: layer(sliding_window=2), QUERY, MEMORY),
        "a window, nothing later": on_each(
            lambda: layer(sliding_window=3), QUERY, MEMORY, use_causal_mask=True, return_attention_scores=True
        ),
        "dropout, which acts in training only": on_each(lambda: layer(dropout=0.3), QUERY, MEMORY),
        "a mask": called(
            layer, lambda tested, q, v, m: tested(q, v, attention_mask=m), QUERY, MEMORY, (5, 7), hidden_steps=True
        ),
        "any number of places": self_attention(layer, (None, 6), sizes=(QUERY,)),
        "any number of places, nothing later": called(
            lambda: layer(sliding_window=4),
            lambda tested, x: tested(x, x, use_causal_mask=True),
            (None, 6),
            sizes=(QUERY,),
        ),
        "after a convolution": called(layer, lambda tested, x: tested(*[kl.Conv1D(6, 2)(x)] * 2), QUERY),
    }


def with_masks(layer: Callable[..., Any]) -> dict[str, Case]:
    """Attention over masked sequences; that of grouped queries is tested elsewhere, as Keras warns of its own parts."""
    return {
        "masked sequences": on_each(layer, QUERY, MEMORY, masked=(0, 1)),
        "masked sequences, with scores": on_each(
            layer, QUERY, MEMORY, masked=(0, 1), return_attention_scores=True, use_causal_mask=True
        ),
        "masked keys": on_each(layer, QUERY, MEMORY, MEMORY, masked=(2,)),
        "masks that the call is given": called(
            layer,
            lambda tested, q, v: tested(q, v, v, query_mask=counted(q), value_mask=counted(v), key_mask=counted(v)),
            QUERY,
            MEMORY,
            hidden_steps=True,
        ),
        "a mask of the keys, which are the values": called(
            layer,
            lambda tested, q, v: tested(q, v, key_mask=counted(v), return_attention_scores=True),
            QUERY,
            MEMORY,
            hidden_steps=True,
        ),
        "a mask in the place of another": called(
            layer,
            lambda tested, q, v: tested(q, kl.Masking()(v), value_mask=ops.greater(v[..., 0], 0.0)),
            QUERY,
            MEMORY,
            hidden_steps=True,
        ),
    }


def counted(x: Any) -> Any:
    return ops.any(ops.not_equal(x, 0.0), axis=-1)


def multi_head(**config: Any) -> Any:
    return kl.MultiHeadAttention(2, 3, name="tested", **config)


def grouped(**config: Any) -> Any:
    return kl.GroupQueryAttention(3, 4, 2, name="tested", **config)


def einsum(equation: str, output_shape: Any, shape: tuple[int | None, ...] = QUERY, **config: Any) -> Case:
    sizes = config.pop("sizes", None)
    return Case(
        lambda: kl.EinsumDense(equation, output_shape, name="tested", **config),
        (shape,),
        raw_outputs=True,
        sizes=sizes,
    )


CASES: dict[str, dict[str, Case]] = {
    "Attention": plain_attention(),
    "AdditiveAttention": additive_attention(),
    "MultiHeadAttention": {
        **with_heads(multi_head),
        **with_masks(multi_head),
        "values of another size": on_each(lambda: multi_head(value_dim=5), QUERY, VALUE, (7, 8)),
        "another output": on_each(lambda: multi_head(output_shape=9), QUERY, VALUE),
        "an output of two axes": on_each(lambda: multi_head(output_shape=(2, 5)), QUERY, VALUE),
        "an image": on_each(multi_head, (4, 5, 6), (3, 2, 6), return_attention_scores=True),
        "along one axis of an image": on_each(
            lambda: multi_head(attention_axes=2), (4, 5, 6), (4, 3, 6), return_attention_scores=True
        ),
        "along the other axis of an image": on_each(lambda: multi_head(attention_axes=(1,)), (4, 5, 6), (2, 5, 6)),
        "a mask for each head": called(
            multi_head,
            lambda tested, q, v, m: tested(q, v, attention_mask=m, use_causal_mask=True),
            QUERY,
            MEMORY,
            (2, 5, 7),
        ),
    },
    "GroupQueryAttention": {
        **with_heads(grouped),
        "one head of values": on_each(lambda: kl.GroupQueryAttention(3, 4, 1), QUERY, MEMORY),
        "as many heads of values": on_each(lambda: kl.GroupQueryAttention(3, 4, 4), QUERY, MEMORY),
    },
    "EinsumDense": {
        "a matrix": einsum("abc,cd->abd", (None, 8), bias_axes="d"),
        "no bias, fused activation": einsum("abc,cd->abd", (None, 8), activation="relu"),
        "an ellipsis": einsum("...x,xy->...y", 8, bias_axes="y"),
        "an ellipsis of the batch alone": einsum("...x,xy->...y", 8, (6,), bias_axes="y"),
        "an ellipsis of two axes": einsum("...x,xy->...y", 8, (3, 5, 6), bias_axes="y"),
        "an ellipsis at the end": einsum("ab...,bc->ac...", 4, (5, 3, 6), bias_axes="c"),
        "heads": einsum("abc,cde->abde", (None, 2, 8), bias_axes="de"),
        "out of heads": einsum("abcd,cde->abe", (None, 8), (5, 2, 6), bias_axes="e"),
        "another axis": einsum("abc,bd->adc", (4, None), bias_axes="d"),
        "all axes": einsum("abc,bcd->ad", 4, bias_axes="d"),
        "a kernel for each place": einsum("abc,bcd->abd", (5, 4), bias_axes="bd"),
        "features": einsum("ab,bc->ac", 4, (6,), bias_axes="c"),
        "any number of places": einsum("abc,cd->abd", (None, 8), (None, 6), bias_axes="d", sizes=(QUERY,)),
        "after a convolution": Case(
            lambda: [kl.Conv1D(4, 2), kl.EinsumDense("abc,cd->abd", (None, 8))], (QUERY,), raw_outputs=True
        ),
    },
}
