"""What is known and cannot be converted, and why: so that the user need not wonder whether it was forgotten."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Refusal", "find_refusal"]


@dataclass(frozen=True)
class Refusal:
    """Why something cannot be converted, and what to do instead."""

    reason: str
    fix: str


PYTHON = Refusal(
    "it holds Python code, which only Python can run",
    "Write it with operations of keras.ops, or as layers, and save the network again.",
)
TEXT = Refusal(
    "it turns texts or keys into numbers, and a converted network takes numbers",
    "Compute it before the network, and begin the network behind it.",
)
SIZES = Refusal(
    "the size of its result depends on the numbers that it is given",
    "Multiply by a mask, or choose with where.",
)
SAMPLES = Refusal("it mixes samples, which must stay apart", "Compute within each sample.")
RANDOM = Refusal(
    "it draws random numbers in use, too", "Use a layer of dropout or noise, which does so in training only."
)
COMPLEX = Refusal("it computes with complex numbers", "Compute it before the network or behind it.")
MATRICES = Refusal("ONNX has no operator that takes matrices apart", "Compute it before the network or behind it.")
BITS = Refusal("it computes with the bits of integers, and numbers are floats here", "Use logical operations.")
CONSTANT = Refusal(
    "what it gives has no batch", "Compute it with NumPy, and use the array in an operation on a tensor."
)
LOSS = Refusal("it is a loss or a measure, which is no part of a network", "Name the loss in the run configuration.")
SUBSCRIPTS = Refusal(
    "Keras 2 writes its subscripts, but not the tensors that it is given, so that not even Keras can load it",
    "Use EinsumDense, or tf.matmul and tf.transpose.",
)
NO_OPERATOR = Refusal("ONNX has no operator like it", "Write it with operations that can be converted.")
SPECTRUM = Refusal("it transforms signals into spectra", "Compute it before the network.")
SEGMENTS = Refusal(
    "it sums over segments, whose number depends on what it is given", "Reduce axes, or multiply by a mask."
)

CLASSES: Mapping[Refusal, str] = {
    PYTHON: "Lambda TorchModuleWrapper FlaxLayer JaxLayer TFSMLayer",
    TEXT: "Hashing HashedCrossing IntegerLookup StringLookup TextVectorization",
    Refusal(
        "it stands for a model of TensorFlow Hub, which the file does not hold",
        "Build the network with that model's layers, and save it again.",
    ): "KerasLayer",
    SPECTRUM: "MelSpectrogram STFTSpectrogram",
    Refusal(
        "versions of Keras differ in what it gives in use: the image itself, or the middle of it",
        "Use CenterCrop or Resizing.",
    ): "RandomCrop",
    Refusal(
        "in use, too, it changes colours by their distribution in the image",
        "Compute it before the network, and begin the network behind it.",
    ): "AutoContrast CLAHE",
    Refusal(
        'its "node_def" is no operation of TensorFlow', "Give the file as TensorFlow wrote it."
    ): "TensorFlowOpLayer",
}
"""Refusal -> classes of layers."""

KERAS_OPERATIONS: Mapping[Refusal, str] = {
    PYTHON: "AssociativeScan Cond ForiLoop JVP Map Scan Switch VectorizedMap WhileLoop",
    SIZES: "Bincount Histogram IsIn Nonzero Unique UnravelIndex",
    SAMPLES: "AllClose Corrcoef Correlate Diag Diagflat Flipud Kron Meshgrid Outer Vander Vdot Vsplit Vstack",
    COMPLEX: "FFT FFT2 IFFT2 IRFFT ISTFT Imag Isreal Polar RFFT STFT ViewAsComplex ViewAsReal",
    MATRICES: "Cholesky CholeskyInverse Det Eig Eigh Inv Logdet Lstsq LuFactor MatrixRank Pinv Qr SVD Slogdet Solve "
    "SolveTriangular",
    BITS: "BitwiseAnd BitwiseInvert BitwiseLeftShift BitwiseNot BitwiseOr BitwiseRightShift BitwiseXor Gcd Lcm "
    "LeftShift Nextafter RightShift View",
    CONSTANT: "Arange Array Full Geomspace Linspace Logspace Ndim Size",
    LOSS: "BinaryCrossentropy CTCDecode CTCLoss CategoricalCrossentropy InTopK PSNR SSIM SparseCategoricalCrossentropy",
    SEGMENTS: "SegmentMax SegmentMin SegmentProd SegmentReduction SegmentSum",
    NO_OPERATOR: "AffineTransform Argpartition CDist ElasticTransform Erfinv ExtractSequences Fold "
    "GaussianBlur HSVToRGB I0 Ldexp MapCoordinates Nanargmax Nanargmin Nancumprod Nancumsum Nanmedian Nanpercentile "
    "Nanquantile Nanstd Nanvar PerspectiveTransform RGBToHSV Rearrange SaturateCast ScaleAndTranslate Scatter "
    "ScatterUpdate SliceUpdate SobelEdges Unfold",
}
"""Refusal -> operations of Keras 3."""

TENSORFLOW_MODULES: Mapping[str, Refusal] = {
    "tf.py_function": PYTHON,
    "tf.numpy_function": PYTHON,
    "tf.cond": PYTHON,
    "tf.while_loop": PYTHON,
    "tf.map_fn": PYTHON,
    "tf.vectorized_map": PYTHON,
    "tf.einsum": SUBSCRIPTS,
    "tf.linalg.einsum": SUBSCRIPTS,
    "tf.strings.": TEXT,
    "tf.lookup.": TEXT,
    "tf.ragged.": SIZES,
    "tf.sparse.": SIZES,
    "tf.boolean_mask": SIZES,
    "tf.compat.v1.boolean_mask": SIZES,
    "tf.unique": SIZES,
    "tf.image.non_max_suppression": SIZES,
    "tf.random.": RANDOM,
    "tf.nn.dropout": RANDOM,
    "tf.signal.": COMPLEX,
    "tf.bitwise.": BITS,
    "tf.losses.": LOSS,
    "tf.math.segment": SEGMENTS,
    "tf.math.unsorted_segment": SEGMENTS,
}
"""Begin of the names of functions of TensorFlow -> refusal."""

BY_NAME = {
    **{name: refusal for refusal, names in CLASSES.items() for name in names.split()},
    **{f"keras.ops.{name}": refusal for refusal, names in KERAS_OPERATIONS.items() for name in names.split()},
}


def find_refusal(class_name: str) -> Refusal | None:
    """Why a class or an operation, which may be written `Package>Name`, cannot be converted; None if it is unknown."""
    found = BY_NAME.get(class_name.rpartition(">")[2])
    if found is not None:
        return found
    return next((refusal for begin, refusal in TENSORFLOW_MODULES.items() if class_name.startswith(begin)), None)
