"""Pooling, convolution and normalization that are called as functions."""

from keras import ops

from tests.converters.operation_cases.case import Compute, array, positive

CASES: dict[str, dict[str, Compute]] = {
    "AdaptiveAveragePool": {"plain": lambda x, y: ops.adaptive_average_pool(x, (4, 2), data_format="channels_last")},
    "AdaptiveMaxPool": {"plain": lambda x, y: ops.adaptive_max_pool(x, (2, 3), data_format="channels_last")},
    "AveragePool": {
        "plain": lambda x, y: ops.average_pool(x, 2),
        "strides and padding": lambda x, y: ops.average_pool(x, 3, strides=1, padding="same"),
        "a row": lambda x, y: ops.average_pool(x[:, 0], 2),
        "channels first": lambda x, y: ops.average_pool(x, 2, data_format="channels_first"),
    },
    "BatchNorm": {
        "plain": lambda x, y: ops.batch_normalization(x, array(3), positive(3), axis=-1),
        "scale and offset": lambda x, y: ops.batch_normalization(
            x, array(6), positive(6), axis=2, offset=array(6, seed=1), scale=array(6, seed=2), epsilon=0.1
        ),
    },
    "Conv": {
        "plain": lambda x, y: ops.conv(x, array(3, 2, 3, 4)),
        "strides and padding": lambda x, y: ops.conv(x, array(3, 2, 3, 4), strides=2, padding="same"),
        "dilation": lambda x, y: ops.conv(x, array(3, 2, 3, 4), dilation_rate=(1, 2)),
        "channels first": lambda x, y: ops.conv(x, array(3, 2, 8, 4), data_format="channels_first"),
        "one axis": lambda x, y: ops.conv(x[:, 0], array(3, 3, 4)),
    },
    "ConvTranspose": {
        "plain": lambda x, y: ops.conv_transpose(x, array(3, 2, 4, 3), strides=2),
        "padding": lambda x, y: ops.conv_transpose(x, array(3, 2, 4, 3), strides=2, padding="same"),
        "output padding": lambda x, y: ops.conv_transpose(x, array(3, 3, 4, 3), strides=2, output_padding=1),
    },
    "DepthwiseConv": {"plain": lambda x, y: ops.depthwise_conv(x, array(3, 2, 3, 2), padding="same")},
    "LayerNorm": {
        "plain": lambda x, y: ops.layer_normalization(x),
        "gamma and beta": lambda x, y: ops.layer_normalization(x, array(3), array(3, seed=1), epsilon=0.1),
        "two axes": lambda x, y: ops.layer_normalization(x, array(6, 3), array(6, 3, seed=1), axis=(2, 3)),
    },
    "MaxPool": {
        "plain": lambda x, y: ops.max_pool(x, 2),
        "strides and padding": lambda x, y: ops.max_pool(x, (3, 2), strides=(1, 2), padding="same"),
    },
    "RMSNorm": {
        "plain": lambda x, y: ops.rms_normalization(x),
        "scale": lambda x, y: ops.rms_normalization(x, array(3), epsilon=0.1),
    },
    "SeparableConv": {"plain": lambda x, y: ops.separable_conv(x, array(3, 2, 3, 2), array(1, 1, 6, 4))},
}
