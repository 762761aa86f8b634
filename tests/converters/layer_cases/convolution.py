"""Cases of convolutions."""

from collections.abc import Callable
from typing import Any

from keras import layers as kl

from tests.converters.layer_cases.case import IMAGE, INPUTS, KERNELS, OPEN, Case, channels_first, class_name, options


def convolution(layer: Callable[..., Any], rank: int) -> dict[str, Case]:
    per_axis = {
        "plain": {},
        "strides": {"strides": 2},
        "same, with as many cells before as after": {"padding": "same"},
        "same puts the odd cell last": {"padding": "same", "strides": 2},
        "same with an even kernel": {"padding": "same", "kernel_size": 2},
        "same with an even kernel and strides": {"padding": "same", "kernel_size": 4, "strides": 3},
        "same with strides above the kernel": {"padding": "same", "kernel_size": 1, "strides": 2},
        "dilation": {"dilation_rate": 2, "kernel_size": 2},
        "same with dilation": {"padding": "same", "dilation_rate": 2},
        "no bias": {"use_bias": False},
        "fused relu": {"activation": "relu"},
        "fused softmax goes over the channels": {"activation": "softmax"},
    }
    common = {"filters": 4, "kernel_size": KERNELS[rank]}
    return options(layer, per_axis, INPUTS[rank], **common) | channels_first(layer, rank, **common, padding="same")


def groups(layer: Callable[..., Any], rank: int) -> dict[str, Case]:
    shape = (*INPUTS[rank][:-1], 6)
    return options(layer, {"groups": {"groups": 3}}, shape, filters=9, kernel_size=KERNELS[rank])


def transposed(layer: Callable[..., Any], rank: int) -> dict[str, Case]:
    table = {
        "plain": {},
        "strides": {"strides": 2},
        "strides above the kernel": {"strides": 4, "kernel_size": 2},
        "same": {"padding": "same"},
        "same, kernel 2 and strides 2": {"padding": "same", "kernel_size": 2, "strides": 2},
        "same, kernel 3 and strides 2: one cell off the end": {"padding": "same", "kernel_size": 3, "strides": 2},
        "same, kernel 4 and strides 2: one cell off both ends": {"padding": "same", "kernel_size": 4, "strides": 2},
        "same, kernel 5 and strides 2": {"padding": "same", "kernel_size": 5, "strides": 2},
        "same, kernel 1 and strides 3": {"padding": "same", "kernel_size": 1, "strides": 3},
        "valid with output padding": {"strides": 3, "output_padding": 2},
        "same with output padding": {"padding": "same", "kernel_size": 3, "strides": 2, "output_padding": 1},
        "same with output padding 0": {"padding": "same", "kernel_size": 4, "strides": 2, "output_padding": 0},
        "dilation": {"dilation_rate": 2, "kernel_size": 3},
        "same with dilation": {"padding": "same", "dilation_rate": 2, "kernel_size": 3},
        "no bias": {"use_bias": False},
        "fused sigmoid": {"activation": "sigmoid"},
    }
    common = {"filters": 4, "kernel_size": KERNELS[rank]}
    return options(layer, table, INPUTS[rank], **common) | channels_first(layer, rank, **common, strides=2)


def causal(layer: Callable[..., Any]) -> dict[str, Case]:
    table = {
        "causal": {},
        "causal with strides": {"strides": 2},
        "causal with dilation": {"dilation_rate": 3},
    }
    return options(layer, table, INPUTS[1], filters=4, kernel_size=4, padding="causal")


def padding_in_numbers(name: str, layer: Callable[..., Any], rank: int, **config: Any) -> dict[str, Case]:
    """The reference program's padding, against Keras' ZeroPadding in front of the layer."""
    pad = {1: kl.ZeroPadding1D, 2: kl.ZeroPadding2D, 3: kl.ZeroPadding3D}[rank]
    per_axis = [1, 2, 0][:rank]
    pairs = [[1, 2], [0, 3], [2, 0]][:rank]
    forms = {"one number": (2, 2), "a number per axis": (per_axis, per_axis), "a pair per axis": (pairs, pairs)}
    if rank == 1:
        forms = {"one number": (2, 2), "a pair": ([1, 2], [1, 2]), "a pair in a list": ([[1, 2]], (1, 2))}

    def edit(written: Any) -> Any:
        def change(model: dict[str, Any]) -> None:
            first, _zeros, tested = model["config"]["layers"]
            model["config"]["layers"] = [first, tested]
            tested["inbound_nodes"] = ["in_0"]
            class_name(name, padding=written)(model)

        return change

    return {
        f"padding of {form}": Case(
            lambda keras_padding=keras_padding: [
                pad(keras_padding),
                layer(**config, kernel_size=KERNELS[rank], strides=2, name="tested"),
            ],
            (INPUTS[rank],),
            edit(written),
        )
        for form, (written, keras_padding) in forms.items()
    }


def depthwise(layer: Callable[..., Any], rank: int) -> dict[str, Case]:
    table = {
        "plain": {},
        "several kernels for each channel": {"depth_multiplier": 2},
        "strides": {"strides": 2, "depth_multiplier": 3},
        "same puts the odd cell last": {"padding": "same", "strides": 2},
        "same with an even kernel": {"padding": "same", "kernel_size": 4},
        "dilation": {"dilation_rate": 2, "kernel_size": 2},
        "same with dilation": {"padding": "same", "dilation_rate": 2},
        "no bias": {"use_bias": False},
        "fused relu": {"activation": "relu"},
    }
    common = {"kernel_size": KERNELS[rank]}
    cases = options(layer, table, INPUTS[rank], **common)
    return cases | channels_first(layer, rank, **common, depth_multiplier=2, padding="same")


def separable(layer: Callable[..., Any], rank: int) -> dict[str, Case]:
    table = {
        "plain": {},
        "several kernels for each channel": {"depth_multiplier": 2},
        "strides": {"strides": 2},
        "same puts the odd cell last": {"padding": "same", "strides": 2},
        "same with an even kernel": {"padding": "same", "kernel_size": 2},
        "same with dilation": {"padding": "same", "dilation_rate": 2, "depth_multiplier": 2},
        "no bias": {"use_bias": False},
        "fused softmax": {"activation": "softmax"},
    }
    common = {"filters": 4, "kernel_size": KERNELS[rank]}
    return options(layer, table, INPUTS[rank], **common) | channels_first(layer, rank, **common, padding="same")


def depthwise_volume(multiplier: int, **config: Any) -> Case:
    """DepthwiseConv3D, which Keras has not, against a convolution in as many groups as there are channels."""
    channels = INPUTS[3][-1]
    return Case(
        lambda: kl.Conv3D(channels * multiplier, KERNELS[3], groups=channels, **config, name="tested"),
        (INPUTS[3],),
        class_name("DepthwiseConv3D", "filters", "groups", depth_multiplier=multiplier),
    )


CASES: dict[str, dict[str, Case]] = {
    "Conv1D": convolution(kl.Conv1D, 1)
    | groups(kl.Conv1D, 1)
    | causal(kl.Conv1D)
    | padding_in_numbers("Conv1D", kl.Conv1D, 1, filters=4),
    "Conv2D": convolution(kl.Conv2D, 2)
    | groups(kl.Conv2D, 2)
    | padding_in_numbers("Conv2D", kl.Conv2D, 2, filters=4)
    | {
        "same with strides and unknown size": Case(
            lambda: kl.Conv2D(4, (3, 4), strides=2, padding="same"), (OPEN,), sizes=(IMAGE,)
        ),
        "same with dilation and unknown size": Case(
            lambda: kl.Conv2D(4, 3, dilation_rate=2, padding="same"), (OPEN,), sizes=(IMAGE,)
        ),
        "valid with unknown size": Case(lambda: kl.Conv2D(4, (3, 5)), (OPEN,), sizes=(IMAGE,)),
        "strides differ on each axis": Case(lambda: kl.Conv2D(4, 3, strides=(1, 2), padding="same"), (IMAGE,)),
    },
    "Conv3D": convolution(kl.Conv3D, 3) | groups(kl.Conv3D, 3) | padding_in_numbers("Conv3D", kl.Conv3D, 3, filters=4),
    "Conv1DTranspose": transposed(kl.Conv1DTranspose, 1),
    "Conv2DTranspose": transposed(kl.Conv2DTranspose, 2)
    | {
        "same with unknown size": Case(
            lambda: kl.Conv2DTranspose(4, 3, strides=2, padding="same"), (OPEN,), sizes=(IMAGE,)
        ),
        "strides differ on each axis": Case(
            lambda: kl.Conv2DTranspose(4, (3, 4), strides=(3, 2), padding="same"), (IMAGE,)
        ),
    },
    "Conv3DTranspose": transposed(kl.Conv3DTranspose, 3),
    "DepthwiseConv1D": depthwise(kl.DepthwiseConv1D, 1),
    "DepthwiseConv2D": depthwise(kl.DepthwiseConv2D, 2)
    | padding_in_numbers("DepthwiseConv2D", kl.DepthwiseConv2D, 2)
    | {
        "same with unknown size": Case(
            lambda: kl.DepthwiseConv2D((3, 4), strides=2, padding="same"), (OPEN,), sizes=(IMAGE,)
        )
    },
    "DepthwiseConv3D": {
        "plain": depthwise_volume(1),
        "several kernels for each channel": depthwise_volume(2),
        "same with strides": depthwise_volume(2, padding="same", strides=2),
        "same with dilation and a fused relu": depthwise_volume(
            1, padding="same", dilation_rate=2, activation="relu", use_bias=False
        ),
    },
    "SeparableConv1D": separable(kl.SeparableConv1D, 1),
    "SeparableConv2D": separable(kl.SeparableConv2D, 2)
    | padding_in_numbers("SeparableConv2D", kl.SeparableConv2D, 2, filters=4),
}
