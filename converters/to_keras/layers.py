"""How the layers of each class are given back: which keys of their configs Keras 3 takes, and what else is written.

Classes that Keras 3 lacks become what it has for the same numbers; where it has nothing, the layer is refused.
"""

from collections.abc import Callable, Mapping
from typing import Any

from converters.layers.normalization import InstanceNormalizationConfig
from converters.to_keras.given_back import LAYERS_MODULE, GivenBack, KerasLayer, Source
from converters.to_keras.objects import GELU_BY_TANH, activation, initializer, penalty

__all__ = ["KEYS", "MODULES", "PASSED_OVER", "SPECIAL", "layer_given_back"]


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
    "LeakyReLU": ("negative_slope",),
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

ANY = object()

PASSED_OVER: dict[str, Mapping[str, Any]] = {
    **{f"Conv{rank}DTranspose": {"groups": 1} for rank in "123"},
    **{f"DepthwiseConv{rank}D": {"filters": ANY, "groups": ANY} | dict.fromkeys(KERNEL, ANY) for rank in "12"},
    **{f"SeparableConv{rank}D": {"groups": 1} | dict.fromkeys(KERNEL, ANY) for rank in "12"},
    "UpSampling1D": {"data_format": "channels_last", "interpolation": "nearest"},
    "UpSampling3D": {"interpolation": "nearest"},
    "Cropping1D": {"data_format": "channels_last"},
    "SpatialDropout1D": {"data_format": "channels_last"},
    "GaussianNoise": {"noise_shape": ANY},
    "GaussianDropout": {"noise_shape": ANY},
    "Activation": {"axis": ANY},
    "Embedding": {"input_length": ANY},
}
"""Class -> keys that conversion reads and that Keras 3 does not know -> the value that says nothing, if it matters."""

WITHOUT_FORMAT = 'Give its input the channels last, and write "data_format": "channels_last".'

CHOICES = frozenset({"data_format", "interpolation", "padding"})
"""Keys whose values are words, which Keras 3 wants in small letters."""


def layer_given_back(source: Source) -> GivenBack:
    """What stands for a layer that is no operation.

    Raises:
        ConversionError: if Keras 3 has nothing that computes the same.
    """
    special = SPECIAL.get(source.class_name)
    if special is not None:
        return special(source)
    if source.class_name not in KEYS:
        raise source.refusal(
            "how this class is written for Keras 3 is not known",
            "Use the weights alone: --weights-out with a .safetensors, .npz or .pt file.",
        )
    return _plain(source)


def _plain(source: Source) -> GivenBack:
    """A layer whose class Keras 3 has, with those keys of its config that are known there."""
    class_name, config = source.class_name, dict(source.config)
    before = _padding_before(source) if isinstance(config.get("padding"), int | list) else None
    if before is not None:
        config["padding"] = "valid"
    written: dict[str, Any] = {}
    after: tuple[KerasLayer, ...] = ()
    for key, value in config.items():
        if key == "activation":
            fused = activation(value, source)
            written[key], after = fused.value, fused.after
        elif key in KEYS[class_name]:
            written[key] = _value(key, value, source)
        elif key != "trainable":
            _require_no_meaning(key, value, source)
    known = {key: value for key, value in written.items() if value is not None}
    if "data_format" in KEYS[class_name]:
        known.setdefault("data_format", "channels_last")  # else it would be what Keras is set to where it is loaded
    main = KerasLayer(class_name, known, MODULES.get(class_name, LAYERS_MODULE))
    return GivenBack(main, source.layer.calls, before, after)


def _value(key: str, value: Any, source: Source) -> Any:
    """The value of a key as Keras 3 wants it; None if it is to be left out."""
    if key.endswith("_initializer"):
        return initializer(value)
    if key.endswith(("_regularizer", "_constraint")):
        return penalty(key, value, source)
    if key in CHOICES and isinstance(value, str):
        return value.lower()
    if key == "axis" and isinstance(value, list) and len(value) == 1:
        return value[0]
    if key == "target_shape":
        return [-1 if size is None else size for size in value]
    if isinstance(value, Mapping) and isinstance(value.get("config"), Mapping):
        return value["config"].get("value")  # numbers that Keras 3 wrote as an array
    if isinstance(value, list) and source.class_name == "UpSampling1D":
        return value[0]
    if isinstance(value, int | list) and source.class_name in BORDERS:
        return _pairs(key, BORDERS[source.class_name], source)
    return value


BORDERS = {f"{what}{rank}D": rank for what in ("ZeroPadding", "Cropping") for rank in (1, 2, 3)}
"""Class that adds or cuts off a border -> its spatial axes."""


def _pairs(key: str, rank: int, source: Source) -> Any:
    """Cells before and after each axis, of a single axis without the outer list."""
    pairs = [list(pair) for pair in source.keys().pads(key, rank)]
    return pairs[0] if rank == 1 else pairs


def _padding_before(source: Source) -> KerasLayer | None:
    """The layer that pads for a convolution whose padding is numbers of cells, which Keras does not know."""
    if source.class_name in BORDERS:
        return None
    rank = int(source.class_name.partition("D")[0][-1])
    config = {"padding": _pairs("padding", rank, source)}
    config["data_format"] = str(source.config.get("data_format", "channels_last")).lower()
    return KerasLayer(f"ZeroPadding{rank}D", config)


def _require_no_meaning(key: str, value: Any, source: Source) -> None:
    """Nothing, if a key that Keras 3 does not know has a value that says nothing.

    Raises:
        ConversionError: if it says something.
    """
    if key.endswith(("_regularizer", "_constraint")):
        source.notice(f"penalty {key}", f'"{key}" is no key of the class in Keras 3: left out')
        return
    harmless = PASSED_OVER.get(source.class_name, {})
    if key in harmless and harmless[key] in (ANY, value.lower() if isinstance(value, str) else value):
        return
    fix = WITHOUT_FORMAT if key == "data_format" else "Leave the key out, and convert again."
    raise source.refusal(f'its "{key}" is {value!r}, for which Keras 3 has no option', fix)


def _activation_layer(source: Source) -> GivenBack:
    given = _plain(source)
    if given.after:
        main, *after = given.after
        return GivenBack(main, given.calls, after=tuple(after))
    return given


def _named_activation(name: str) -> Callable[[Source], GivenBack]:
    """A rule for a class that is an activation, which Keras 3 has by name alone."""
    return lambda source: GivenBack(KerasLayer("Activation", {"activation": name}), source.layer.calls)


def _gelu(source: Source) -> GivenBack:
    if source.config.get("approximate"):
        return GivenBack(GELU_BY_TANH, source.layer.calls)
    return _named_activation("gelu")(source)


def _leaky_relu(source: Source) -> GivenBack:
    slope = source.config.get("alpha", source.config.get("negative_slope", 0.3))
    return GivenBack(KerasLayer("LeakyReLU", {"negative_slope": slope}), source.layer.calls)


def _thresholded_relu(source: Source) -> GivenBack:
    return GivenBack(KerasLayer("ReLU", {"threshold": source.config.get("theta", 1.0)}), source.layer.calls)


def _instance_normalization(source: Source) -> GivenBack:
    """Groups of one channel each."""
    checked = InstanceNormalizationConfig.read(source.keys())
    config: dict[str, Any] = {
        "groups": -1,
        "axis": checked.axis,
        "epsilon": checked.affine.epsilon,
        "center": checked.affine.center,
        "scale": checked.affine.scale,
    }
    objects = {key: _value(key, source.config[key], source) for key in SCALED if key in source.config.keys() - config}
    config |= {key: value for key, value in objects.items() if value is not None}
    return GivenBack(KerasLayer("GroupNormalization", config), source.layer.calls)


def _depthwise_volume(source: Source) -> GivenBack:
    raise source.refusal(
        "Keras has no depthwise convolution over three axes",
        "Write it as a Conv3D with as many groups as it has input channels, and convert again.",
    )


SPECIAL: dict[str, Callable[[Source], GivenBack]] = {
    "Activation": _activation_layer,
    "DepthwiseConv3D": _depthwise_volume,
    "GELU": _gelu,
    "InstanceNormalization": _instance_normalization,
    "LeakyReLU": _leaky_relu,
    "Log_Softmax": _named_activation("log_softmax"),
    "Sigmoid": _named_activation("sigmoid"),
    "Swish": _named_activation("silu"),
    "Tanh": _named_activation("tanh"),
    "ThresholdedReLU": _thresholded_relu,
}
"""Class -> what gives its layers back, where that is more than leaving out keys."""
