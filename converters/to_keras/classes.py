"""The layer classes of Keras 3 that layers are given back as, and the keys of their configs: tables alone."""

from collections.abc import Mapping
from typing import Any

from converters.layers.augmentation import AUGMENTATIONS
from converters.layers.multi_head_attention import PASSED_OVER as HEADS_PASSED_OVER

__all__ = ["ANY", "KERNEL", "KEYS", "MODULES", "PASSED_OVER", "SCALED", "WITHOUT_TRAINABLE"]


def _each_rank(class_name: str, *keys: str, ranks: str = "123") -> dict[str, tuple[str, ...]]:
    return {class_name.replace("ND", f"{rank}D"): keys for rank in ranks}


PENALIZED_BIAS = ("use_bias", "bias_initializer", "bias_regularizer", "bias_constraint")
KERNEL = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")
DEPTHWISE = ("depth_multiplier", "depthwise_initializer", "depthwise_regularizer", "depthwise_constraint")
POINTWISE = ("pointwise_initializer", "pointwise_regularizer", "pointwise_constraint")
WINDOW = ("kernel_size", "strides", "padding", "data_format", "dilation_rate")
ACTIVATED = ("activation", "activity_regularizer", *PENALIZED_BIAS)
SCALED = (
    *("epsilon", "center", "scale", "gamma_initializer", "beta_initializer"),
    *("gamma_regularizer", "beta_regularizer", "gamma_constraint", "beta_constraint"),
)

KEYS: dict[str, tuple[str, ...]] = {
    "Dense": ("units", *KERNEL, *ACTIVATED),
    **_each_rank("ConvND", "filters", "groups", *WINDOW, *KERNEL, *ACTIVATED),
    **_each_rank("ConvNDTranspose", "filters", "output_padding", *WINDOW, *KERNEL, *ACTIVATED),
    **_each_rank("DepthwiseConvND", *WINDOW, *DEPTHWISE, *ACTIVATED, ranks="12"),
    **_each_rank("SeparableConvND", "filters", *WINDOW, *DEPTHWISE, *POINTWISE, *ACTIVATED, ranks="12"),
    **_each_rank("MaxPoolingND", "pool_size", "strides", "padding", "data_format"),
    **_each_rank("AveragePoolingND", "pool_size", "strides", "padding", "data_format"),
    **_each_rank("GlobalMaxPoolingND", "keepdims", "data_format"),
    **_each_rank("GlobalAveragePoolingND", "keepdims", "data_format"),
    **_each_rank("AdaptiveAveragePoolingND", "output_size", "data_format"),
    **_each_rank("AdaptiveMaxPoolingND", "output_size", "data_format"),
    "BatchNormalization": (
        *("axis", "momentum", *SCALED),
        *("moving_mean_initializer", "moving_variance_initializer"),
    ),
    "LayerNormalization": ("axis", "rms_scaling", *SCALED),
    "GroupNormalization": ("groups", "axis", *SCALED),
    "RMSNormalization": ("axis", "epsilon"),
    "UnitNormalization": ("axis",),
    "Rescaling": ("scale", "offset"),
    "Normalization": ("axis", "mean", "variance", "invert"),
    "Activation": ("activation",),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "ELU": ("alpha",),
    "PReLU": ("alpha_initializer", "alpha_regularizer", "alpha_constraint", "shared_axes"),
    "Softmax": ("axis",),
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Identity"), ()),
    "Concatenate": ("axis",),
    "Dot": ("axes", "normalize"),
    "Flatten": ("data_format",),
    "Reshape": ("target_shape",),
    "Permute": ("dims",),
    "RepeatVector": ("n",),
    "UpSampling1D": ("size",),
    "UpSampling2D": ("size", "interpolation", "data_format"),
    "UpSampling3D": ("size", "data_format"),
    **_each_rank("ZeroPaddingND", "padding", "data_format"),
    "Cropping1D": ("cropping",),
    **_each_rank("CroppingND", "cropping", "data_format", ranks="23"),
    "Embedding": (
        *("input_dim", "output_dim", "mask_zero"),
        *("embeddings_initializer", "embeddings_regularizer", "embeddings_constraint"),
    ),
    "Dropout": ("rate", "noise_shape"),
    "SpatialDropout1D": ("rate",),
    **_each_rank("SpatialDropoutND", "rate", "data_format", ranks="23"),
    "GaussianNoise": ("stddev",),
    "GaussianDropout": ("rate",),
    "AlphaDropout": ("rate", "noise_shape"),
    "ActivityRegularization": ("l1", "l2"),
    **AUGMENTATIONS,
    "Resizing": (
        *("height", "width", "interpolation", "antialias", "data_format"),
        *("crop_to_aspect_ratio", "pad_to_aspect_ratio", "fill_mode", "fill_value"),
    ),
    "CenterCrop": ("height", "width", "data_format"),
    "Masking": ("mask_value",),
    "Attention": ("use_scale", "score_mode", "dropout"),
    "AdditiveAttention": ("use_scale", "dropout"),
    "MultiHeadAttention": (
        *("num_heads", "key_dim", "value_dim", "output_shape", "attention_axes"),
        *("dropout", "sliding_window", "use_gate", "activity_regularizer", *KERNEL, *PENALIZED_BIAS),
    ),
    "GroupQueryAttention": (
        *("head_dim", "num_query_heads", "num_key_value_heads"),
        *("dropout", "sliding_window", "use_gate", "activity_regularizer", *KERNEL, *PENALIZED_BIAS),
    ),
    "EinsumDense": (
        *("equation", "output_shape", "activation", "bias_axes", *KERNEL),
        *("bias_initializer", "bias_regularizer", "bias_constraint"),
    ),
    "LayerScale": ("init_values", "projection_dim"),
    "StochasticDepth": ("drop_path_rate",),
    "CustomScaleLayer": ("scale",),
}
"""Class of Keras 3 -> the keys of its config that say what it computes, or how it starts and trains."""

MODULES = {
    "LayerScale": "keras.src.applications.convnext",
    "StochasticDepth": "keras.src.applications.convnext",
    "CustomScaleLayer": "keras.src.applications.inception_resnet_v2",
}
"""Class that is not one of `keras.layers` -> where it lives."""

WITHOUT_TRAINABLE = frozenset({"SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"})
"""Classes whose config has no `trainable`: they have nothing to train, as others that take it all the same."""

ANY = object()
"""In the place of a value: whatever it is."""

PASSED_OVER: dict[str, Mapping[str, Any]] = {
    **{f"Conv{rank}DTranspose": {"groups": 1} for rank in "123"},
    **{f"DepthwiseConv{rank}D": {"filters": ANY, "groups": ANY} | dict.fromkeys(KERNEL, ANY) for rank in "12"},
    **{f"SeparableConv{rank}D": {"groups": 1} | dict.fromkeys(KERNEL, ANY) for rank in "12"},
    "UpSampling1D": {"data_format": "channels_last", "interpolation": "nearest"},
    "UpSampling3D": {"interpolation": "nearest"},
    "Cropping1D": {"data_format": "channels_last"},
    "SpatialDropout1D": {"data_format": "channels_last"},
    "GaussianNoise": {"noise_shape": ANY},
    **{name: {"data_format": ANY} for name, keys in AUGMENTATIONS.items() if "data_format" not in keys},
    "GaussianDropout": {"noise_shape": ANY},
    "Activation": {"axis": ANY},
    "Embedding": {"input_length": ANY},
    "MultiHeadAttention": dict.fromkeys(HEADS_PASSED_OVER, ANY),
    "GroupQueryAttention": dict.fromkeys(HEADS_PASSED_OVER, ANY),
}
"""Class -> keys that conversion reads and that Keras 3 does not know -> the value that says nothing, if it matters."""
