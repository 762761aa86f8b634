"""What `convert` can be asked for besides the network: opsets, the layout at the border, open sizes, folded norms."""

from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnx.reference
import onnx_ir as ir
import onnxruntime as ort
import pytest
from keras import layers as kl

import converters
from converters.batchnorm_folding import fold_batch_normalization
from converters.errors import ConversionError
from converters.layers.graph_builder import IoLayout
from converters.layers.opsets import MAX_OPSET, MIN_OPSET
from converters.port_layout import PortLayout, layouts_of
from tests.converters.keras_oracle import put_weights, randomize, run_onnx
from tests.converters.published_networks import xception_unet, yolo_v3

SHAPE = (8, 12, 3)

FIRST, LAST, AS_IN_KERAS = PortLayout.CHANNELS_FIRST, PortLayout.CHANNELS_LAST, PortLayout.KERAS

ORT_MAX_OPSET = 21
"""The newest that ONNX Runtime 1.19 knows. Of older ones the reference of onnx gets BatchNormalization wrong."""


def mixed() -> keras.Model:
    """A network whose operators were written otherwise in some opset: reductions, norms, hard_swish, Resize, Pad."""
    x = inputs = keras.Input(SHAPE, name="x")
    x = kl.Conv2D(4, 3, strides=2, padding="same", activation="hard_swish", name="conv")(x)
    x = kl.BatchNormalization(name="norm")(kl.ZeroPadding2D(name="pad")(x))
    x = kl.LayerNormalization(name="layer_norm")(kl.UpSampling2D(name="up")(x))
    x = kl.AveragePooling2D(2, padding="same", name="smaller")(kl.Dropout(0.2, name="drop")(x))
    x = kl.Activation("mish", name="mish")(kl.Activation("swish", name="swish")(x))
    x = kl.Dense(5, activation="gelu", name="dense")(x)
    squeezed = kl.GlobalAveragePooling2D(keepdims=True, name="mean")(x) + keras.ops.sum(x, axis=(1, 2), keepdims=True)
    return keras.Model(inputs, [kl.Multiply(name="gated")([x, squeezed]), kl.Flatten(name="flat")(squeezed)])


def converted(model: keras.Model, folder: Path, **options: Any) -> ir.Model:
    randomize(model)
    (folder / "net.json").write_text(model.to_json())
    onnx_model = converters.convert(folder / "net.json", **options)
    put_weights(onnx_model, model)
    return onnx_model


def image(*shape: int) -> Any:
    return np.random.default_rng(2).standard_normal((2, *shape)).astype(np.float32)


def predicted(model: keras.Model, x: Any) -> list[Any]:
    outputs = model(x, training=False)
    return [np.asarray(y.detach()) for y in (outputs if isinstance(outputs, list) else [outputs])]


def assert_close(outputs: Any, wanted: Any) -> None:
    for output, want in zip(outputs, wanted, strict=True):
        assert output.shape == want.shape
        np.testing.assert_allclose(output, want, rtol=0, atol=1e-5 * np.abs(want).max())


def test_channels_last_are_refused_where_keras_has_them_first(tmp_path: Path) -> None:
    inputs = keras.Input((3, 8, 12))
    (tmp_path / "net.json").write_text(
        keras.Model(inputs, kl.Conv2D(4, 3, data_format="channels_first")(inputs)).to_json()
    )
    with pytest.raises(ConversionError) as error:
        converters.convert(tmp_path / "net.json", io_layout=IoLayout.CHANNELS_LAST)
    assert str(error.value) == (
        f'{tmp_path / "net.json"}: the network has its channels first in Keras too ("data_format"), '
        "and channels last are asked for\n"
        "  Convert it channels first: inputs and outputs are those of Keras then."
    )


@pytest.mark.parametrize("opset", range(MIN_OPSET, MAX_OPSET + 1))
def test_every_opset_gives_the_same(opset: int, tmp_path: Path) -> None:
    model = mixed()
    result = converted(model, tmp_path, opset=opset)
    assert result.graph.opset_imports == {"": opset}
    x = image(*SHAPE)
    if opset <= ORT_MAX_OPSET:
        outputs = run_onnx(result, x)
    else:
        proto = ir.to_proto(result)
        onnx.checker.check_model(proto, full_check=True)
        first, second = onnx.reference.ReferenceEvaluator(proto).run(None, {"x": np.moveaxis(x, -1, 1)})
        outputs = [np.moveaxis(first, 1, -1), second]
    assert_close(outputs, predicted(model, x))


def test_an_opset_that_we_do_not_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"opset 12 is not from {MIN_OPSET} to {MAX_OPSET}"):
        converted(mixed(), tmp_path, opset=12)


def test_channels_last_puts_one_transpose_at_each_border(tmp_path: Path) -> None:
    model = mixed()
    first, last = (converted(model, tmp_path, io_layout=layout) for layout in IoLayout)
    count = {name: [n.op_type for n in result.graph].count("Transpose") for name, result in (("f", first), ("l", last))}
    assert count["l"] == count["f"] + 2
    assert [(v.name, str(v.shape)) for v in last.graph.inputs] == [("x", "[N,8,12,3]")]
    assert [(v.name, str(v.shape)) for v in last.graph.outputs] == [("gated", "[N,6,8,5]"), ("flat", "[N,5]")]
    assert list(first.graph.initializers) == list(last.graph.initializers)
    x = image(*SHAPE)
    proto = ir.to_proto(last)
    onnx.checker.check_model(proto, full_check=True)
    assert_close(onnx.reference.ReferenceEvaluator(proto).run(None, {"x": x}), predicted(model, x))
    assert layouts_of([*first.graph.inputs, *first.graph.outputs]) == [FIRST, FIRST, AS_IN_KERAS]
    assert layouts_of([*last.graph.inputs, *last.graph.outputs]) == [LAST, LAST, AS_IN_KERAS]


def test_channels_last_leaves_no_transposes_that_cancel(tmp_path: Path) -> None:
    inputs = keras.Input(SHAPE, name="x")
    model = keras.Model(inputs, kl.Flatten(name="flat")(inputs))
    assert [n.op_type for n in converted(model, tmp_path, io_layout=IoLayout.CHANNELS_LAST).graph] == ["Flatten"]


def free(size: tuple[int | None, int | None] = (8, 12)) -> keras.Model:
    inputs = keras.Input((*size, 3), name="x")
    x = kl.MaxPooling2D(name="pool")(kl.Conv2D(4, 3, strides=2, padding="same", name="conv")(inputs))
    x = kl.Concatenate(name="join")([kl.UpSampling2D(4, name="up")(x), inputs])
    pooled = kl.Reshape((1, 1, 7), name="shape")(kl.GlobalAveragePooling2D(name="mean")(x))
    return keras.Model(inputs, kl.Multiply(name="gated")([x, pooled]))


def test_open_sizes_run_at_any(tmp_path: Path) -> None:
    result = converted(free(), tmp_path, dynamic_spatial=True)
    assert str(result.graph.inputs[0].shape) == "[N,3,H,W]"
    for size in ((8, 12), (16, 4)):
        model = free(size)
        randomize(model)
        x = image(*size, 3)
        assert_close(run_onnx(result, x), predicted(model, x))


def test_a_size_that_fits_only_as_declared_is_told_with_the_size_that_was_tried(tmp_path: Path) -> None:
    inputs = keras.Input((8, 12, 3), name="x")
    rows = kl.Reshape((-1, 4), name="rows")(kl.Conv2D(4, 4, strides=4, name="patches")(inputs))
    places = np.ones((6, 4), np.float32)
    path = tmp_path / "net.json"
    path.write_text(keras.Model(inputs, kl.Identity(name="end")(rows + places)).to_json())
    with pytest.raises(ConversionError) as error:
        converters.convert(path, dynamic_spatial=True)
    _first, told, _fix = str(error.value).splitlines()
    assert told.endswith(
        "(keras.ops.Add): its arguments do not fit together: (N, 24, 4) and (6, 4), with inputs of twice the size"
    )


def test_layers_that_need_a_size_are_named_all(tmp_path: Path) -> None:
    inputs = keras.Input(SHAPE, name="x")
    x = kl.Conv2D(4, 3, padding="same", name="conv")(inputs)
    flat = kl.Dense(5, name="dense")(kl.Flatten(name="flat")(x))
    shaped = kl.Reshape((96, 4), name="shape")(x)
    path = tmp_path / "net.json"
    path.write_text(keras.Model(inputs, [flat, shaped]).to_json())
    with pytest.raises(ConversionError) as error:
        converters.convert(path, dynamic_spatial=True)
    first, *told, fix = str(error.value).splitlines()
    assert first == f"{path}: these layers need spatial sizes that are known"
    assert [line.partition("layer ")[2].partition(":")[0] for line in told] == ["'dense' (Dense)", "'shape' (Reshape)"]
    assert fix == "  Convert without dynamic spatial sizes, or replace them, as global pooling replaces Flatten."


def foldable() -> keras.Model:
    inputs = keras.Input(SHAPE, name="x")
    x = kl.BatchNormalization(name="conv_norm")(kl.Conv2D(4, 3, use_bias=False, name="conv")(inputs))
    x = kl.BatchNormalization(name="up_norm")(kl.Conv2DTranspose(5, 2, name="up")(x))
    x = kl.BatchNormalization(name="depth_norm")(kl.DepthwiseConv2D(3, depth_multiplier=2, name="depth")(x))
    x = kl.BatchNormalization(name="point_norm")(kl.Dense(6, name="point")(x))
    x = kl.BatchNormalization(name="kept_norm")(kl.ReLU(name="relu")(x))
    x = kl.BatchNormalization(name="dense_norm")(kl.Dense(3, name="dense")(kl.Flatten(name="flat")(x)))
    return keras.Model(inputs, x)


def test_folding_keeps_the_numbers_and_the_names(tmp_path: Path) -> None:
    model = foldable()
    result = converted(model, tmp_path)
    layouts = layouts_of(result.graph.outputs)
    assert fold_batch_normalization(result) == 5
    assert layouts_of(result.graph.outputs) == layouts
    names = ("conv", "up", "depth", "point", "dense")
    kept = [f"kept_norm.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
    expected = [f"{name}.{part}" for name in names for part in ("weight", "bias")] + kept
    assert sorted(name for name in result.graph.initializers if "/" not in name) == sorted(expected)
    assert [value.name for value in result.graph.outputs] == ["dense_norm"]
    x = image(*SHAPE)
    (output,) = run_onnx(result, x)
    (want,) = predicted(model, x)
    np.testing.assert_allclose(output, want, rtol=0, atol=1e-4 * np.abs(want).max())
    assert fold_batch_normalization(result) == 0


OPTIONS_TOGETHER: dict[str, tuple[Any, int]] = {
    **{f"a U-Net in opset {opset}": (xception_unet, opset) for opset in (MIN_OPSET, 17, ORT_MAX_OPSET, MAX_OPSET)},
    "YOLOv3 in opset 17": (partial(yolo_v3, width=2, classes=4), 17),
}


@pytest.mark.parametrize(("network", "opset"), OPTIONS_TOGETHER.values(), ids=OPTIONS_TOGETHER)
def test_all_options_together_equal_keras(network: Any, opset: int, tmp_path: Path) -> None:
    model = network(64)
    result = converted(model, tmp_path, opset=opset, dynamic_spatial=True, io_layout=IoLayout.CHANNELS_LAST)
    assert fold_batch_normalization(result) > 0
    proto = ir.to_proto(result)
    onnx.checker.check_model(proto, full_check=True)
    x = np.random.default_rng(3).standard_normal((1, 32, 64, 3)).astype(np.float32)
    if opset <= ORT_MAX_OPSET:
        session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        (output,) = session.run(None, {session.get_inputs()[0].name: x})
    else:
        (output,) = onnx.reference.ReferenceEvaluator(proto).run(None, {proto.graph.input[0].name: x})
    other = network((32, 64))
    randomize(other)  # as the model: the values follow the order of the weights
    (want,) = predicted(other, x)
    np.testing.assert_allclose(output, want, rtol=0, atol=1e-4 * np.abs(want).max())


NOT_FOLDED = {
    "others take the layer's output": lambda x: [kl.BatchNormalization()(x), kl.ReLU()(x)],
    "the layer's output is an output": lambda x: [kl.BatchNormalization()(x), x],
    "an activation stands between": lambda x: [kl.BatchNormalization()(kl.ReLU()(x))],
}


@pytest.mark.parametrize("end", NOT_FOLDED.values(), ids=NOT_FOLDED)
def test_what_cannot_be_folded_stays(end: Any, tmp_path: Path) -> None:
    inputs = keras.Input(SHAPE, name="x")
    result = converted(keras.Model(inputs, end(kl.Conv2D(4, 3, name="conv")(inputs))), tmp_path)
    assert fold_batch_normalization(result) == 0


def test_a_shared_kernel_is_not_folded(tmp_path: Path) -> None:
    inputs = keras.Input(SHAPE, name="x")
    shared = kl.Conv2D(3, 3, name="conv")
    x = kl.BatchNormalization(name="second_norm")(shared(kl.BatchNormalization(name="first_norm")(shared(inputs))))
    assert fold_batch_normalization(converted(keras.Model(inputs, x), tmp_path)) == 0


def test_every_value_has_a_shape_at_every_option(tmp_path: Path) -> None:
    result = converted(free(), tmp_path, dynamic_spatial=True, io_layout=IoLayout.CHANNELS_LAST, opset=MAX_OPSET)
    for node in result.graph:
        for value in node.outputs:
            assert value.shape is not None, value.name
