"""What is computed from each element of one tensor by itself."""

from keras import layers as kl
from keras import ops

from tests.converters.operation_cases.case import Compute


def unit(x):
    """Numbers from -1 to 1."""
    return ops.tanh(x)


CASES: dict[str, dict[str, Compute]] = {
    "Absolute": {"plain": lambda x, y: ops.absolute(x), "integers": lambda x, y: ops.abs(ops.argmax(x, axis=1) - 4)},
    "Angle": {"plain": lambda x, y: ops.angle(x)},
    "Arccos": {"plain": lambda x, y: ops.arccos(unit(x))},
    "Arccosh": {"plain": lambda x, y: ops.arccosh(ops.abs(x) + 1.1)},
    "Arcsin": {"plain": lambda x, y: ops.arcsin(unit(x))},
    "Arcsinh": {"plain": lambda x, y: ops.arcsinh(x)},
    "Arctan": {"plain": lambda x, y: ops.arctan(x)},
    "Arctanh": {"plain": lambda x, y: ops.arctanh(0.9 * unit(x))},
    "Cast": {
        "to what it is": lambda x, y: ops.cast(kl.ReLU()(x), "float32"),
        "to integers": lambda x, y: ops.cast(3 * x, "int32"),
        "to booleans": lambda x, y: ops.cast(ops.relu(x), "bool"),
        "of booleans": lambda x, y: ops.cast(x > 0, "float32") * y,
        "there and back": lambda x, y: ops.cast(ops.cast(3 * x, "int32"), "float32") * y,
    },
    "Cbrt": {"plain": lambda x, y: ops.cbrt(x)},
    "Ceil": {"plain": lambda x, y: ops.ceil(x)},
    "Clip": {
        "numbers": lambda x, y: ops.clip(x, -0.5, 1),
        "arrays": lambda x, y: ops.clip(x, [-1.0, -0.5, 0.0], 0.5),
    },
    "Conjugate": {"plain": lambda x, y: ops.conjugate(x) + y},
    "ConvertToTensor": {"plain": lambda x, y: ops.convert_to_tensor(x, dtype="float32") + y},
    "Copy": {"plain": lambda x, y: ops.copy(x) + y},
    "Cos": {"plain": lambda x, y: ops.cos(x)},
    "Cosh": {"plain": lambda x, y: ops.cosh(x)},
    "Deg2rad": {"plain": lambda x, y: ops.deg2rad(x)},
    "Erf": {"plain": lambda x, y: ops.erf(x)},
    "Erfc": {"plain": lambda x, y: ops.erfc(x)},
    "Exp": {"plain": lambda x, y: ops.exp(x), "integers": lambda x, y: ops.exp(ops.argmax(x, axis=1))},
    "Exp2": {"plain": lambda x, y: ops.exp2(x)},
    "Expm1": {"plain": lambda x, y: ops.expm1(x), "near zero": lambda x, y: ops.expm1(1e-5 * x)},
    "Fabs": {"plain": lambda x, y: ops.fabs(x)},
    "Floor": {"plain": lambda x, y: ops.floor(x)},
    "Log": {"plain": lambda x, y: ops.log(ops.abs(x) + 0.1)},
    "Log10": {"plain": lambda x, y: ops.log10(ops.abs(x) + 0.1)},
    "Log1p": {"plain": lambda x, y: ops.log1p(ops.abs(x))},
    "Log2": {"plain": lambda x, y: ops.log2(ops.abs(x) + 0.1)},
    "NanToNum": {
        "all three": lambda x, y: ops.nan_to_num(ops.log(x) / ops.relu(y), posinf=7.0, neginf=-8.0, nan=9.0),
        "the largest numbers": lambda x, y: ops.nan_to_num(1.0 / ops.relu(x)) / 1e38,
    },
    "Negative": {"plain": lambda x, y: -x, "integers": lambda x, y: -ops.argmax(x, axis=1)},
    "Rad2deg": {"plain": lambda x, y: ops.rad2deg(x)},
    "Real": {"plain": lambda x, y: ops.real(x) + y},
    "Reciprocal": {"plain": lambda x, y: ops.reciprocal(ops.abs(x) + 0.5)},
    "Round": {
        "plain": lambda x, y: ops.round(3 * x),
        "halves": lambda x, y: ops.round(ops.round(2 * x) / 2),
        "decimals": lambda x, y: ops.round(x, decimals=2),
        "tens": lambda x, y: ops.round(100 * x, decimals=-1),
        "integers": lambda x, y: ops.round(ops.argmax(x, axis=1)),
    },
    "Rsqrt": {"plain": lambda x, y: ops.rsqrt(ops.abs(x) + 0.1)},
    "Sign": {"plain": lambda x, y: ops.sign(ops.relu(x) - ops.relu(y))},
    "Sin": {"plain": lambda x, y: ops.sin(x)},
    "Sinc": {"plain": lambda x, y: ops.sinc(ops.relu(x))},
    "Sinh": {"plain": lambda x, y: ops.sinh(x)},
    "Sqrt": {"plain": lambda x, y: ops.sqrt(ops.abs(x))},
    "Square": {"plain": lambda x, y: ops.square(x), "integers": lambda x, y: ops.square(ops.argmax(x, axis=1))},
    "StopGradient": {"plain": lambda x, y: ops.stop_gradient(x) + y},
    "Tan": {"plain": lambda x, y: ops.tan(unit(x))},
    "Trunc": {"plain": lambda x, y: ops.trunc(3 * x)},
}
