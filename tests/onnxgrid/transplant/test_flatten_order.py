"""Dense layers behind a Flatten, of which files do not say in which order they have their inputs."""

from pathlib import Path

import keras
import numpy as np
import onnx_ir as ir
import pytest
from keras import layers

import onnxgrid
from onnxgrid.errors import TransplantError
from onnxgrid.transplant.rules import TransplantRules
from tests.converters.keras_oracle import convert_keras, functional, randomize
from tests.graph_text import model

torch = pytest.importorskip("torch", reason="writes .pt files")

# Keras' torch backend copies its variables for saving in a way that NumPy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

SIZES = (2, 4, 3)
"""(H, W, C)"""

STATED = "fc1=channels_first:3,2,4"


def network(size: tuple[int, ...] = SIZES, **options: bool) -> keras.Model:
    return functional([layers.Flatten(), layers.Dense(5, name="fc1", **options)], size)


@pytest.fixture
def linear(tmp_path: Path) -> torch.nn.Linear:
    """A Linear of torch behind a flatten of (3, 2, 4), in the file `torch.pt` as "fc1"."""
    made = torch.nn.Linear(24, 5)
    torch.save({f"fc1.{name}": value for name, value in made.state_dict().items()}, tmp_path / "torch.pt")
    return made


def unsure(known: Path, unknown: Path, which: str, order: str, fix: str, author: str) -> str:
    return (
        f"{known}: the inputs of 'fc1' stand behind a Flatten, in the order {order}; {unknown} does not say its "
        f"order, and they are copied as they are: transplant with --{which}-graph MODEL.onnx, "
        f"or --{which}-sizes {fix} if {author} wrote it"
    )


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_file_of_keras_tells_the_order_by_its_network(suffix: str, linear: torch.nn.Linear, tmp_path: Path) -> None:
    target, out = tmp_path / f"keras{suffix}", tmp_path / f"out{suffix}"
    network().save(target)
    report = onnxgrid.transplant(
        tmp_path / "torch.pt", target, out, TransplantRules.parse(source_sizes=[STATED]), strict=True
    )
    assert [match.adaptation.detail for match in report.plan.adapted] == ["axis order: input (3, 2, 4) -> (2, 4, 3)"]
    x = torch.randn(2, 3, 2, 4)
    expected = linear(x.flatten(1)).detach().numpy()
    given = keras.models.load_model(out).predict(x.numpy().transpose(0, 2, 3, 1), verbose=0)
    np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-6)


def test_files_of_keras_tell_the_sizes_to_resample(tmp_path: Path) -> None:
    coarse, fine = network(), network((4, 8, 3))
    randomize(coarse)
    coarse.save(tmp_path / "coarse.keras")
    fine.save(tmp_path / "fine.keras")
    ends = tmp_path / "coarse.keras", tmp_path / "fine.keras", tmp_path / "out.keras"
    onnxgrid.transplant(*ends, TransplantRules.parse(adapt=["dense-resample"]), strict=True)
    x = np.random.default_rng(0).standard_normal((2, *SIZES)).astype(np.float32)
    grown = keras.models.load_model(ends[2]).predict(x.repeat(2, 1).repeat(2, 2), verbose=0)
    np.testing.assert_allclose(grown, coarse.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("suffix", [".keras", ".onnx"])
def test_a_state_dict_into_keras_order_is_warned_of(
    suffix: str, linear: torch.nn.Linear, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = tmp_path / "torch.pt", tmp_path / f"keras{suffix}"
    if suffix == ".keras":
        network().save(target)
    else:
        ir.save(convert_keras(network(), tmp_path), target)
    assert len(onnxgrid.plan_transplant(source, target).plan.copied) == 2
    assert caplog.messages == [unsure(target, source, "source", "(H, W, C)", STATED, "torch")]


def test_orders_that_are_the_same_or_known_are_not_warned_of(
    linear: torch.nn.Linear, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    converted = tmp_path / "converted.onnx"
    ir.save(convert_keras(network(), tmp_path), converted)
    keras_files = [tmp_path / "own.keras", tmp_path / "own.h5", tmp_path / "own.weights.h5"]
    for path in keras_files:
        (network().save_weights if path.name.endswith(".weights.h5") else network().save)(path)
        onnxgrid.plan_transplant(path, converted)
    checkpoint = tmp_path / "checkpoint.pt"
    content = torch.load(tmp_path / "torch.pt")
    torch.save({"format": "onnxgrid-checkpoint", "version": 1, "model": content, "optimizer": {}}, checkpoint)
    onnxgrid.plan_transplant(checkpoint, converted)
    one_channel = tmp_path / "gray.onnx"
    ir.save(convert_keras(network((8, 3, 1)), tmp_path), one_channel)
    onnxgrid.plan_transplant(tmp_path / "torch.pt", one_channel)
    assert [record.message for record in caplog.records if record.name.startswith("onnxgrid")] == []


def torch_graph() -> ir.Model:
    body = "f = Flatten(x) y = Gemm<transB=1>(f, weight)"
    graph = model("float[N,3,2,4] x", body, weight=(5, 24))
    graph.graph.initializers["weight"].name = "fc1.weight"
    return graph


def test_a_target_that_does_not_say_its_order_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source, target = tmp_path / "torch.onnx", tmp_path / "own.weights.h5"
    ir.save(torch_graph(), source)
    network(use_bias=False).save_weights(target)
    onnxgrid.plan_transplant(source, target)
    assert caplog.messages == [unsure(source, target, "target", "(C, H, W)", "fc1=2,4,3", "Keras")]


def test_sizes_that_cannot_be_obeyed_are_refused(linear: torch.nn.Linear, tmp_path: Path) -> None:
    target = tmp_path / "own.weights.h5"
    network().save_weights(target)
    with pytest.raises(TransplantError) as caught:
        onnxgrid.plan_transplant(tmp_path / "torch.pt", target, TransplantRules.parse(source_sizes=[STATED]))
    assert str(caught.value) == (
        f"{target}: does not say in which order it has the inputs of 'fc1', so that the source's (3, 2, 4) cannot be "
        "brought into it\n"
        "  Give --target-graph MODEL.onnx, or --target-sizes for 'fc1': H,W,C if Keras wrote it, channels_first:C,H,W "
        "if torch did."
    )


def test_a_network_that_does_not_convert_tells_nothing(
    linear: torch.nn.Linear, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target = tmp_path / "keras.keras"
    functional(
        [layers.GaussianNoise(0.1), layers.Lambda(abs), layers.Flatten(), layers.Dense(5, name="fc1")], SIZES
    ).save(target)
    with pytest.raises(TransplantError) as caught:
        onnxgrid.plan_transplant(tmp_path / "torch.pt", target, TransplantRules.parse(source_sizes=[STATED]))
    assert str(caught.value).startswith(f"{target}: does not say in which order it has the inputs of 'fc1', so that")
    (warning,) = caplog.messages
    assert warning.startswith(f"{target}: its network does not convert, and tells no sizes and orders: ")


def convolutional() -> keras.Model:
    """Two Dense layers behind a Flatten of (2, 2, 6), and one behind that."""
    stack = [
        layers.Conv2D(6, 3, name="conv"),
        layers.Flatten(),
        layers.Dense(4, name="fc1"),
        layers.Dense(4, name="fc2"),
    ]
    return functional(stack, (4, 4, 3))


def silence(source: Path, target: Path) -> str:
    return (
        f"neither {source} nor {target} says its network: if 'fc1' stands behind a Flatten, Keras has the inputs as "
        "(H, W, C), and torch as (C, H, W); they are copied as they are: transplant with --source-graph and "
        "--target-graph, or with --source-sizes and --target-sizes (fc1=H,W,C of Keras, fc1=channels_first:C,H,W of "
        "torch)"
    )


@pytest.fixture
def bare(tmp_path: Path) -> tuple[Path, Path]:
    """A state dict of torch and a file of Keras, both without their network."""
    shapes = {"conv": (6, 3, 3, 3), "fc1": (4, 24), "fc2": (4, 4)}
    state = {f"{name}.weight": torch.randn(shape) for name, shape in shapes.items()}
    state |= {f"{name}.bias": torch.randn(shape[0]) for name, shape in shapes.items()}
    torch.save(state, tmp_path / "torch.pt")
    convolutional().save_weights(tmp_path / "own.weights.h5")
    return tmp_path / "torch.pt", tmp_path / "own.weights.h5"


def test_an_order_that_neither_end_tells_is_warned_of(
    bare: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    for ends in (bare, bare[::-1]):
        caplog.clear()
        assert len(onnxgrid.plan_transplant(*ends).plan.copied) == 6
        assert caplog.messages == [silence(*ends)]


def test_an_order_that_is_the_same_whatever_it_is_is_not_warned_of(
    bare: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    source, target = bare
    onnxgrid.plan_transplant(source, source)
    onnxgrid.plan_transplant(target, target)
    onnxgrid.plan_transplant(source, target, TransplantRules.parse(exclude=["fc1"]))
    assert caplog.messages == []


def test_sizes_of_both_ends_bring_a_weight_file_into_order(
    bare: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = bare
    sizes = {"source_sizes": ["fc1=channels_first:6,2,2"], "target_sizes": ["fc1=2,2,6"]}
    onnxgrid.transplant(source, target, tmp_path / "out.weights.h5", TransplantRules.parse(**sizes), strict=True)
    assert caplog.messages == []
    filled = convolutional()
    filled.load_weights(tmp_path / "out.weights.h5")
    state = torch.load(source)
    x = torch.randn(2, 3, 4, 4)
    features = torch.nn.functional.conv2d(x, state["conv.weight"], state["conv.bias"]).flatten(1)
    hidden = torch.nn.functional.linear(features, state["fc1.weight"], state["fc1.bias"])
    expected = torch.nn.functional.linear(hidden, state["fc2.weight"], state["fc2.bias"]).numpy()
    given = filled.predict(x.numpy().transpose(0, 2, 3, 1), verbose=0)
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-5)


def test_a_dense_of_other_sizes_that_neither_end_tells_is_warned_of(
    bare: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = tmp_path / "fine.pt", bare[1]
    torch.save(torch.load(bare[0]) | {"fc1.weight": torch.randn(4, 96)}, source)
    report = onnxgrid.plan_transplant(source, target, TransplantRules.parse(adapt=["dense-resample"]))
    assert report.lines() == ["   Skipping parameter fc1.weight: shape (4, 96) in model, (4, 24) in network"]
    assert caplog.messages == [
        f"{source} and {target} do not say what the input of 'fc1.weight' was: if it stands behind a Flatten, "
        "dense-resample needs --source-graph and --target-graph, or --source-sizes fc1=H,W,C and --target-sizes "
        "fc1=H,W,C"
    ]
