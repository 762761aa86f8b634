"""Operations of TensorFlow's graphs, which TensorFlow 2.0 to 2.3 wrote as layers of class `TensorFlowOpLayer`.

They compute what functions of TensorFlow do, and are given inputs by position and attributes by name.
Source: tensorflow.org/api_docs/python/tf/raw_ops.
"""

from collections.abc import Mapping
from dataclasses import replace

from converters.layers.operations.registry import (
    KERAS_PREFIX,
    RAW_PREFIX,
    SIGNATURES,
    TF_PREFIX,
    function_of,
    needs_batch,
    operation,
)

__all__ = ["RAW_OPERATIONS", "register_raw_operations"]

RAW_OPERATIONS: Mapping[str, Mapping[str, str]] = {
    "x": {
        "Abs": "math.abs",
        "Acos": "math.acos",
        "Acosh": "math.acosh",
        "Asin": "math.asin",
        "Asinh": "math.asinh",
        "Atan": "math.atan",
        "Atanh": "math.atanh",
        "Ceil": "math.ceil",
        "Cos": "math.cos",
        "Cosh": "math.cosh",
        "Elu": "nn.elu",
        "Erf": "math.erf",
        "Erfc": "math.erfc",
        "Exp": "math.exp",
        "Expm1": "math.expm1",
        "Floor": "math.floor",
        "Identity": "identity",
        "Inv": "math.reciprocal",
        "IsFinite": "math.is_finite",
        "IsInf": "math.is_inf",
        "IsNan": "math.is_nan",
        "Log": "math.log",
        "Log1p": "math.log1p",
        "LogSoftmax": "nn.log_softmax",
        "LogicalNot": "math.logical_not",
        "Neg": "math.negative",
        "OnesLike": "ones_like",
        "Reciprocal": "math.reciprocal",
        "Relu": "nn.relu",
        "Relu6": "nn.relu6",
        "Rint": "math.rint",
        "Round": "math.round",
        "Rsqrt": "math.rsqrt",
        "Selu": "nn.selu",
        "Sigmoid": "math.sigmoid",
        "Sign": "math.sign",
        "Sin": "math.sin",
        "Sinh": "math.sinh",
        "Softmax": "nn.softmax",
        "Softplus": "math.softplus",
        "Softsign": "nn.softsign",
        "Sqrt": "math.sqrt",
        "Square": "math.square",
        "StopGradient": "stop_gradient",
        "Tan": "math.tan",
        "Tanh": "math.tanh",
        "ZerosLike": "zeros_like",
    },
    "x1 x2": {
        "Add": "math.add",
        "AddV2": "math.add",
        "Atan2": "math.atan2",
        "Div": "math.truediv",
        "DivNoNan": "math.divide_no_nan",
        "Equal": "math.equal",
        "FloorDiv": "compat.v1.floor_div",
        "FloorMod": "math.floormod",
        "Greater": "math.greater",
        "GreaterEqual": "math.greater_equal",
        "Less": "math.less",
        "LessEqual": "math.less_equal",
        "LogicalAnd": "math.logical_and",
        "LogicalOr": "math.logical_or",
        "Maximum": "math.maximum",
        "Minimum": "math.minimum",
        "Mul": "math.multiply",
        "NotEqual": "math.not_equal",
        "Pow": "math.pow",
        "RealDiv": "math.truediv",
        "SquaredDifference": "math.squared_difference",
        "Sub": "math.subtract",
        "TruncateDiv": "truncatediv",
        "TruncateMod": "truncatemod",
    },
    "x axis keepdims|keep_dims": {
        "All": "math.reduce_all",
        "Any": "math.reduce_any",
        "EuclideanNorm": "math.reduce_euclidean_norm",
        "Max": "math.reduce_max",
        "Mean": "math.reduce_mean",
        "Min": "math.reduce_min",
        "Prod": "math.reduce_prod",
        "Sum": "math.reduce_sum",
    },
    "x axis|dimension output_type": {"ArgMax": "math.argmax", "ArgMin": "math.argmin"},
    "x axis exclusive reverse": {"Cumprod": "math.cumprod", "Cumsum": "math.cumsum"},
    "x k sorted": {"TopKV2": "math.top_k"},
    "x out_type": {"Shape": "compat.v1.shape", "Size": "compat.v1.size"},
    "x dtype|DstT": {"Cast": "cast"},
    "x negative_slope|alpha": {"LeakyRelu": "nn.leaky_relu"},
    "x x_min x_max": {"ClipByValue": "clip_by_value"},
    "condition x1 x2": {"Select": "where", "SelectV2": "where"},
    "*inputs": {"AddN": "math.add_n"},
    "x newshape": {"Reshape": "reshape"},
    "x axes": {"Transpose": "compat.v1.transpose"},
    "x axis": {"ExpandDims": "expand_dims", "ReverseV2": "reverse"},
    "x axis|squeeze_dims": {"Squeeze": "compat.v1.squeeze"},
    "*xs axis": {"ConcatV2": "concat"},
    "*x axis": {"Pack": "stack"},
    "x num axis": {"Unpack": "unstack"},
    "axis x num_or_size_splits|num_split": {"Split": "split"},
    "x num_or_size_splits axis num|num_split": {"SplitV": "split"},
    "x repeats": {"Tile": "tile"},
    "x shift axis": {"Roll": "roll"},
    "x shape": {"BroadcastTo": "broadcast_to"},
    "x pad_width constant_values": {"Pad": "compat.v1.pad", "PadV2": "compat.v1.pad"},
    "x pad_width mode": {"MirrorPad": "compat.v1.pad"},
    "shape value": {"Fill": "fill"},
    "start limit delta": {"Range": "range"},
    "*operands subscripts|equation": {"Einsum": "keras.ops.Einsum"},
    "images sizes|ksizes strides rates padding": {"ExtractImagePatches": "image.extract_patches"},
    "x k num_rows num_cols padding_value align": {"MatrixDiagV3": "linalg.diag"},
    "x k padding_value align": {"MatrixDiagPartV3": "linalg.diag_part"},
    "x num_lower num_upper": {"MatrixBandPart": "linalg.band_part"},
    "x begin end strides begin_mask end_mask ellipsis_mask new_axis_mask shrink_axis_mask": {
        "StridedSlice": "strided_slice"
    },
    "inputs start_indices shape": {"Slice": "slice"},
    "x indices axis batch_dims": {"GatherV2": "compat.v1.gather"},
    "x num_classes on_value off_value axis": {"OneHot": "one_hot"},
    "x1 x2 transpose_a transpose_b": {"MatMul": "linalg.matmul"},
    "x1 x2 transpose_a|adj_x transpose_b|adj_y": {
        "BatchMatMul": "linalg.matmul",
        "BatchMatMulV2": "linalg.matmul",
    },
    "x bias data_format": {"BiasAdd": "nn.bias_add"},
    "inputs kernel strides padding data_format dilation_rate|dilations": {
        "Conv2D": "compat.v1.nn.conv2d",
        "Conv3D": "compat.v1.nn.conv2d",
        "DepthwiseConv2dNative": "compat.v1.nn.depthwise_conv2d",
    },
    "inputs pool_size|ksize strides padding data_format": {
        "AvgPool": "nn.avg_pool",
        "AvgPool3D": "nn.avg_pool",
        "MaxPool": "compat.v1.nn.max_pool",
        "MaxPool3D": "compat.v1.nn.max_pool",
    },
    "x block_size data_format": {"DepthToSpace": "nn.depth_to_space", "SpaceToDepth": "nn.space_to_depth"},
    "images size align_corners half_pixel_centers": {
        "ResizeBicubic": "compat.v1.image.resize_bicubic",
        "ResizeBilinear": "compat.v1.image.resize_bilinear",
        "ResizeNearestNeighbor": "compat.v1.image.resize_nearest_neighbor",
    },
}
"""Parameters, inputs in their order before attributes -> operation -> the function that is the same."""


def register_raw_operations() -> None:
    """Fill `registry.OPERATIONS` and `registry.SIGNATURES` with them, once the functions that they are stand there."""
    for parameters, operations in RAW_OPERATIONS.items():
        for name, function in operations.items():
            own = function if function.startswith(KERAS_PREFIX) else f"{TF_PREFIX}{function}"
            operation(f"{RAW_PREFIX}{name}", parameters=parameters, needs_batch=needs_batch(own))(function_of(own))
            SIGNATURES[f"{RAW_PREFIX}{name}"] = replace(SIGNATURES[f"{RAW_PREFIX}{name}"], name=SIGNATURES[own].name)
