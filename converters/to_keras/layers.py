"""How the layers of each class are given back: which keys of their configs Keras 3 takes, and what else is written.

Classes that Keras 3 lacks become what it has for the same numbers; where it has nothing, the layer is refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from converters.layers.normalization import EpsilonAt, InstanceNormalizationConfig
from converters.to_keras.classes import ANY, KEYS, MODULES, PASSED_OVER, SCALED, WITHOUT_TRAINABLE
from converters.to_keras.given_back import LAYERS_MODULE, GivenBack, KerasLayer, Source
from converters.to_keras.objects import activation, activation_layer, initializer, penalty
from converters.to_keras.sequences import bidirectional, masked_input, recurrent, rnn

__all__ = ["SPECIAL", "layer_given_back"]


WITHOUT_FORMAT = 'Give its input the channels last, and write "data_format": "channels_last".'

NEW_AND_OFF = ("use_gate", False)
"""An option that only the newest Keras 3 knows, where it is not used."""

CHOICES = frozenset({"data_format", "interpolation", "padding"})
"""Keys whose values are words, which Keras 3 wants in small letters."""


def layer_given_back(source: Source) -> GivenBack:
    """What stands for a layer that is no operation.

    Raises:
        ConversionError: if Keras 3 has nothing that computes the same.
    """
    rule = SPECIAL.get(source.class_name, _plain if source.class_name in KEYS else None)
    if rule is None:
        raise source.refusal(
            "how this class is written for Keras 3 is not known",
            "Use the weights alone: --weights-out with a .safetensors, .npz or .pt file.",
        )
    given = rule(source)
    main = given.main
    is_layer = main.module in (LAYERS_MODULE, *MODULES.values())
    if source.layer.trainable or not is_layer or main.class_name in WITHOUT_TRAINABLE:
        return given
    return replace(given, main=replace(main, config={**main.config, "trainable": False}))


def _plain(source: Source) -> GivenBack:
    """A layer whose class Keras 3 has, with those keys of its config that are known there."""
    class_name, config = source.class_name, dict(source.config)
    before = _padding_before(source) if isinstance(config.get("padding"), int | list) else None
    if before is not None:
        config["padding"] = "valid"
    written: dict[str, Any] = {}
    after: tuple[KerasLayer, ...] = ()
    for key, value in config.items():
        if value is None:
            continue
        if key == "activation":
            fused = activation(value, source)
            written[key], after = fused.value, fused.after
        elif key in KEYS[class_name]:
            written[key] = _value(key, value, source)
        elif key != "trainable":
            _require_no_meaning(key, value, source)
    known = {key: value for key, value in written.items() if value is not None and (key, value) != NEW_AND_OFF}
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
    rank = int(source.class_name.removesuffix("Transpose")[-2])
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


def _activation(source: Source) -> GivenBack:
    given = _plain(source)
    if given.after:
        main, *after = given.after
        return GivenBack(main, given.calls, after=tuple(after))
    return given


def _named_activation(name: str) -> Callable[[Source], GivenBack]:
    """A rule for a class that is an activation, which Keras 3 has by name alone."""
    return lambda source: GivenBack(KerasLayer("Activation", {"activation": name}), source.layer.calls)


def _one_activation(source: Source) -> GivenBack:
    """A layer of a class that may stand in the place of an activation too."""
    return GivenBack(activation_layer(source.class_name, source.config), source.layer.calls)


def _nothing_in_use(source: Source) -> GivenBack:
    """Nothing, for an augmentation that Keras 3 lacks."""
    return GivenBack(KerasLayer("Identity", {}), source.layer.calls)


def _shear(source: Source) -> GivenBack:
    """Its factors as Keras takes them: it writes a range for a number, and does not read one that begins below 0."""
    given = _plain(source)
    factors = {
        key: value[1]
        for key, value in given.main.config.items()
        if key in ("x_factor", "y_factor") and isinstance(value, list) and value[0] <= 0
    }
    return replace(given, main=replace(given.main, config={**given.main.config, **factors}))


def _instance_normalization(source: Source) -> GivenBack:
    """Groups of one channel each."""
    checked = InstanceNormalizationConfig.read(source.keys())
    if checked.epsilon_at is EpsilonAt.DEVIATION:
        raise source.refusal(
            "Keras 3 adds epsilon to the variance, and keras-contrib, whose layer it is, adds it to the deviation",
            'Write "groups": -1 in its config where the difference does not matter, and convert again.',
        )
    config: dict[str, Any] = {
        "groups": -1,
        "axis": checked.axis,
        "epsilon": checked.affine.epsilon,
        "center": checked.affine.center,
        "scale": checked.affine.scale,
    }
    given = {key: value for key, value in source.config.items() if value is not None and key not in config}
    objects = {key: _value(key, value, source) for key, value in given.items() if key in SCALED}
    config |= {key: value for key, value in objects.items() if value is not None}
    return GivenBack(KerasLayer("GroupNormalization", config), source.layer.calls)


def _depthwise_volume(source: Source) -> GivenBack:
    raise source.refusal(
        "Keras has no depthwise convolution over three axes",
        "Write it as a Conv3D with as many groups as it has input channels, and convert again.",
    )


def _attention(source: Source) -> GivenBack:
    """Keras 2 had an option where Keras 3 has an argument of the call."""
    causal = source.config.get("causal") is True
    given = _plain(replace(source, layer=replace(source.layer, config=source.config.only(*KEYS[source.class_name]))))
    calls = tuple(replace(call, keywords={**call.keywords, "use_causal_mask": True}) for call in given.calls)
    return replace(given, calls=calls) if causal else given


SPECIAL: dict[str, Callable[[Source], GivenBack]] = {
    "Activation": _activation,
    "AdditiveAttention": _attention,
    "Attention": _attention,
    "Bidirectional": bidirectional,
    "DepthwiseConv3D": _depthwise_volume,
    "GELU": _one_activation,
    "GRU": recurrent,
    "Identity": lambda source: masked_input(_plain(source)),
    "InstanceNormalization": _instance_normalization,
    "LSTM": recurrent,
    "LeakyReLU": _one_activation,
    "Log_Softmax": _named_activation("log_softmax"),
    "RNN": rnn,
    "RandomHeight": _nothing_in_use,
    "RandomShear": _shear,
    "RandomWidth": _nothing_in_use,
    "Sigmoid": _named_activation("sigmoid"),
    "SimpleRNN": recurrent,
    "Swish": _named_activation("silu"),
    "Tanh": _named_activation("tanh"),
    "ThresholdedReLU": _one_activation,
}
"""Class -> what gives its layers back, where that is more than leaving out keys."""
