"""Keras' initializers: first values of parameters, drawn in Keras' shape, as their spread depends on it.

Source: keras.io/api/layers/initializers. Each parameter has a random generator of its own, made from the seed and the
parameter's name, so that what one layer draws does not depend on the others.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from converters.json_text import JsonObject
from converters.keys import Keys

__all__ = [
    "GLOROT_UNIFORM",
    "ONES",
    "READERS",
    "ZEROS",
    "BetweenAxes",
    "Constant",
    "Distribution",
    "FanMode",
    "Identity",
    "Initializer",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "UnitForgetBias",
    "VarianceScaling",
    "generator",
    "initializer_class",
    "read_initializer",
]

Array = npt.NDArray[np.float32]
Shape = tuple[int, ...]

TRUNCATED_STDDEV = 0.87962566103423978
"""Standard deviation of the standard normal distribution cut at two standard deviations."""


class Initializer(Protocol):
    """A rule for first values."""

    def refusal(self, shape: Shape) -> str | None:
        """Why the rule has no values for this Keras shape, or None."""
        ...

    def draw(self, shape: Shape, random: np.random.Generator) -> Array:
        """Values of this Keras shape."""
        ...


class _AnyShape:
    def refusal(self, shape: Shape) -> str | None:
        return None


@dataclass(frozen=True)
class Constant(_AnyShape):
    """One value everywhere."""

    value: float

    def draw(self, shape: Shape, random: np.random.Generator) -> Array:
        return np.full(shape, self.value, np.float32)


@dataclass(frozen=True)
class RandomUniform(_AnyShape):
    """Uniform from `low` to `high`."""

    low: float
    high: float

    def draw(self, shape: Shape, random: np.random.Generator) -> Array:
        values = random.random(shape, dtype=np.float32)
        values *= np.float32(self.high - self.low)
        values += np.float32(self.low)
        return values


@dataclass(frozen=True)
class RandomNormal(_AnyShape):
    """Normal."""

    mean: float
    stddev: float

    def draw(self, shape: Shape, random: np.random.Generator) -> Array:
        values = random.standard_normal(shape, dtype=np.float32)
        values *= np.float32(self.stddev)
        values += np.float32(self.mean)
        return values


@dataclass(frozen=True)
class TruncatedNormal(_AnyShape):
    """Normal, with what lies more than two standard deviations from the mean drawn again."""

    mean: float
    stddev: float

    def draw(self, shape: Shape, random: np.random.Generator) -> Array:
        values = random.standard_normal(math.prod(shape), dtype=np.float32)
        outside = np.flatnonzero(np.abs(values) > 2)
        while outside.size:
            values[outside] = random.standard_normal(outside.size, dtype=np.float32)
            outside = outside[np.abs(values[outside]) > 2]
        values *= np.float32(self.stddev)
        values += np.float32(self.mean)
        return values.reshape(shape)


class FanMode(Enum):
    """Which fan divides the variance."""

    FAN_IN = "fan_in"
    FAN_OUT = "fan_out"
    FAN_AVG = "fan_avg"


class Distribution(Enum):
    """The shape of the distribution; NORMAL is the old spelling of TRUNCATED_NORMAL."""

    TRUNCATED_NORMAL = "truncated_normal"
    NORMAL = "normal"
    UNTRUNCATED_NORMAL = "untruncated_normal"
    UNIFORM = "uniform"


@dataclass(frozen=True)
class VarianceScaling(_AnyShape):
    """Mean 0 and variance `scale` / fan."""

    scale: float
    mode: FanMode
    distribution: Distribution

    def draw(self, shape: Shape, random: np.random.Generator) -> Array:
        return self.drawn(shape, fans(shape), random)

    def drawn(self, shape: Shape, fans: tuple[float, float], random: np.random.Generator) -> Array:
        """Values of this shape for a kernel with these fans, in and out."""
        fan_in, fan_out = fans
        fan = {FanMode.FAN_IN: fan_in, FanMode.FAN_OUT: fan_out, FanMode.FAN_AVG: (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution is Distribution.UNIFORM:
            limit = math.sqrt(3 * variance)
            return RandomUniform(-limit, limit).draw(shape, random)
        if self.distribution is Distribution.UNTRUNCATED_NORMAL:
            return RandomNormal(0, math.sqrt(variance)).draw(shape, random)
        return TruncatedNormal(0, math.sqrt(variance) / TRUNCATED_STDDEV).draw(shape, random)


@dataclass(frozen=True)
class Orthogonal:
    """Orthonormal rows or columns, times `gain`, of the matrix (all other axes, last axis)."""

    gain: float

    def refusal(self, shape: Shape) -> str | None:
        return None if len(shape) >= 2 else f"needs at least two axes, and this parameter has the shape {shape}"

    def draw(self, shape: Shape, random: np.random.Generator) -> Array:
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(random.standard_normal((max(rows, columns), min(rows, columns))))
        # The sign makes the decomposition unique, else LAPACK's choice would show in the distribution.
        q *= np.sign(np.diag(r))
        matrix = q if rows >= columns else q.T
        return (self.gain * matrix.reshape(shape)).astype(np.float32)


@dataclass(frozen=True)
class Identity:
    """The identity matrix times `gain`."""

    gain: float

    def refusal(self, shape: Shape) -> str | None:
        return None if len(shape) == 2 else f"needs two axes, and this parameter has the shape {shape}"

    def draw(self, shape: Shape, random: np.random.Generator) -> Array:
        return np.float32(self.gain) * np.eye(*shape, dtype=np.float32)


@dataclass(frozen=True)
class BetweenAxes:
    """Another rule for a kernel whose fans are the products of some of its axes, as Keras has it in `EinsumDense`."""

    rule: Initializer
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def refusal(self, shape: Shape) -> str | None:
        return self.rule.refusal(shape)

    def draw(self, shape: Shape, random: np.random.Generator) -> Array:
        if not isinstance(self.rule, VarianceScaling):
            return self.rule.draw(shape, random)
        fan_in, fan_out = (float(math.prod(shape[axis] for axis in axes)) for axes in (self.inputs, self.outputs))
        return self.rule.drawn(shape, (fan_in, fan_out), random)


@dataclass(frozen=True)
class UnitForgetBias(_AnyShape):
    """The biases of an LSTM: ones for the forget gate, the second of four, and what another rule gives for the rest."""

    rest: Initializer

    def draw(self, shape: Shape, random: np.random.Generator) -> Array:
        units = shape[0] // 4
        first, others = self.rest.draw((units,), random), self.rest.draw((2 * units,), random)
        return np.concatenate([first, np.ones(units, np.float32), others])


ZEROS = Constant(0.0)
ONES = Constant(1.0)
GLOROT_UNIFORM = VarianceScaling(1.0, FanMode.FAN_AVG, Distribution.UNIFORM)


def fans(shape: Shape) -> tuple[float, float]:
    """Inputs and outputs of one cell: the last two axes of a Keras kernel, each times the size of its window."""
    if not shape:
        return 1.0, 1.0
    if len(shape) == 1:
        return float(shape[0]), float(shape[0])
    window = math.prod(shape[:-2])
    return float(window * shape[-2]), float(window * shape[-1])


def generator(seed: int, parameter: str) -> np.random.Generator:
    """The random generator of one parameter: the same for the same seed and name, and independent of all others."""
    digest = hashlib.sha256(parameter.encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:16], "little")])


def _scaled(scale: float, mode: FanMode, distribution: Distribution) -> Callable[[Keys], Initializer]:
    return lambda keys: VarianceScaling(scale, mode, distribution)


def _variance_scaling(keys: Keys) -> Initializer:
    mode, distribution = FanMode.FAN_IN, Distribution.TRUNCATED_NORMAL
    # TensorFlow.js writes null for these two where it means the default.
    return VarianceScaling(
        keys.number("scale", default=1.0, minimum=0.0),
        mode if keys.is_null("mode") else keys.choice("mode", FanMode, default=mode),
        distribution
        if keys.is_null("distribution")
        else keys.choice("distribution", Distribution, default=distribution),
    )


def _normal(make: Callable[[float, float], Initializer]) -> Callable[[Keys], Initializer]:
    return lambda keys: make(keys.number("mean", default=0.0), keys.number("stddev", default=0.05, minimum=0.0))


READERS: dict[str, Callable[[Keys], Initializer]] = {
    "Constant": lambda keys: Constant(keys.number("value", default=0.0)),
    "GlorotNormal": _scaled(1.0, FanMode.FAN_AVG, Distribution.TRUNCATED_NORMAL),
    "GlorotUniform": _scaled(1.0, FanMode.FAN_AVG, Distribution.UNIFORM),
    "HeNormal": _scaled(2.0, FanMode.FAN_IN, Distribution.TRUNCATED_NORMAL),
    "HeUniform": _scaled(2.0, FanMode.FAN_IN, Distribution.UNIFORM),
    "Identity": lambda keys: Identity(keys.number("gain", default=1.0)),
    "LecunNormal": _scaled(1.0, FanMode.FAN_IN, Distribution.TRUNCATED_NORMAL),
    "LecunUniform": _scaled(1.0, FanMode.FAN_IN, Distribution.UNIFORM),
    "Ones": lambda keys: ONES,
    "Orthogonal": lambda keys: Orthogonal(keys.number("gain", default=1.0)),
    "RandomNormal": _normal(RandomNormal),
    "RandomUniform": lambda keys: RandomUniform(
        keys.number("minval", default=-0.05), keys.number("maxval", default=0.05)
    ),
    "TruncatedNormal": _normal(TruncatedNormal),
    "VarianceScaling": _variance_scaling,
    "Zeros": lambda keys: ZEROS,
}
"""Class name -> what reads its config."""

_BY_NORMAL_NAME = {name.lower(): name for name in READERS}
"""Keras writes HeNormal and he_normal, and means the same."""


def initializer_class(name: Any) -> str | None:
    """Keras' own spelling of the class of an initializer; None if we do not know it."""
    return _BY_NORMAL_NAME.get(name.replace("_", "").lower()) if isinstance(name, str) else None


def read_initializer(keys: Keys, key: str, default: Initializer) -> Initializer:
    """The initializer at a key: `{"class_name": ..., "config": ...}`, a name, or the default if absent or null.

    Raises:
        ConversionError: if it is none of these, or a rule that we do not know.
    """
    value = keys.raw(key)
    if value is None:
        return default
    name, config = (value.get("class_name"), value.get("config")) if isinstance(value, JsonObject) else (value, None)
    known = initializer_class(name)
    if known is None:
        raise keys.unknown(key, name, list(READERS))
    if config is not None and not isinstance(config, JsonObject):
        raise keys.error(key, 'has a "config" that is no object', 'Write "config": {}.')
    inner = keys.inner(config)
    initializer = READERS[known](inner)
    inner.report_unread()
    return initializer
