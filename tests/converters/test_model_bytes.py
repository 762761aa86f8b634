"""The bytes of a model's file: those that protobuf gives, with one initializer in memory at a time."""

import io
import weakref
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

import converters
from converters.errors import WeightFileError
from converters.model_bytes import write_model
from tests.small_models import numbered, small_model

MODELS = Path(__file__).parents[2] / "models"


def written(model: ir.Model) -> bytes:
    file = io.BytesIO()
    write_model(model, file)
    return file.getvalue()


def as_protobuf_does(model: ir.Model) -> bytes:
    return bytes(ir.to_proto(model).SerializeToString(deterministic=True))


def with_initializer(tensor: ir.TensorProtocol) -> ir.Model:
    """A model that holds this tensor besides others."""
    model = small_model({"conv.weight": numbered((3, 3, 1, 1)), "conv.bias": numbered((3,))})
    model.graph.register_initializer(
        ir.Value(name="x.extra", const_value=tensor, type=ir.TensorType(tensor.dtype), shape=tensor.shape)
    )
    return model


def stored(array: np.ndarray, *, raw: bool) -> ir.TensorProtocol:
    """A tensor as it comes from a file, its values as bytes or as a list of numbers."""
    return ir.from_proto(
        onnx.helper.make_tensor("x.extra", onnx.TensorProto.FLOAT, array.shape, _data(array, raw), raw)
    )


def _data(array: np.ndarray, raw: bool) -> bytes | list[float]:
    return array.tobytes() if raw else array.ravel().tolist()


TENSORS = {
    "float32": ir.tensor(numbered((4, 5))),
    "int64": ir.tensor(np.array([1, -1])),
    "bfloat16": ir.tensor(np.ones((3, 2), ml_dtypes.bfloat16)),
    "no axis": ir.tensor(np.array(3.5, np.float32)),
    "no values": ir.tensor(np.zeros((0, 3), np.float32)),
    "a length of two bytes": ir.tensor(numbered((100,))),
    "a length of three bytes": ir.tensor(numbered((5000,))),
    "not contiguous": ir.Tensor(numbered((70, 3)).T),
    "texts": ir.StringTensor([b"a", b"bc"], shape=ir.Shape([2])),
    "in another file": ir.ExternalTensor("x.bin", 0, 12, ir.DataType.FLOAT, name="x.extra", shape=ir.Shape([3])),
    "from a file, as bytes": stored(numbered((2, 3)), raw=True),
    "from a file, as numbers": stored(numbered((2, 3)), raw=False),
    "with a comment": ir.Tensor(numbered((2,)), doc_string="about it", metadata_props={"key": "value"}),
    "lazy": ir.LazyTensor(
        lambda: ir.tensor(numbered((2, 3))), dtype=ir.DataType.FLOAT, shape=ir.Shape([2, 3]), doc_string="about it"
    ),
}


@pytest.mark.parametrize("tensor", TENSORS.values(), ids=TENSORS)
def test_the_bytes_are_those_of_protobuf(tensor: ir.TensorProtocol) -> None:
    model = with_initializer(tensor)
    assert written(model) == as_protobuf_does(model)


@pytest.mark.parametrize("network", sorted(MODELS.glob("digits_*.json")), ids=lambda path: path.stem)
def test_the_bytes_of_a_converted_network_are_those_of_protobuf(network: Path) -> None:
    model = converters.convert(network)
    assert written(model) == as_protobuf_does(model)


def test_every_part_of_a_model_is_kept() -> None:
    model = ir.from_onnx_text(
        """
        <ir_version: 10, opset_import: ["" : 17, "own" : 1], producer_name: "a", producer_version: "b", domain: "c",
         model_version: 3, doc_string: "d", metadata_props: ["e": "f"]>
        net (float[N, 2] x) => (float[N, 2] y) <float[2] w = {1.0, 2.0}> {
            z = own.double (x)
            y = If (z) <then_branch = a () => (float[2] b) <float[2] v = {3.0, 4.0}> { b = Add(w, v) },
                        else_branch = c () => (float[2] d) { d = Identity(w) }>
        }
        <domain: "own", opset_import: ["" : 17]>
        double (x) => (y) { y = Add(x, x) }
        """
    )
    assert written(model) == as_protobuf_does(model)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=4))
def test_any_sizes_are_written_as_protobuf_does(sizes: list[int]) -> None:
    model = small_model({f"layer_{number}.bias": numbered((size,)) for number, size in enumerate(sizes)})
    assert written(model) == as_protobuf_does(model)


def test_a_model_without_initializers_is_written(tmp_path: Path) -> None:
    model = ir.from_onnx_text('<ir_version: 9, opset_import: ["" : 17]> n (float[N] x) => (float[N] y) {y = Relu(x)}')
    assert written(model) == as_protobuf_does(model)


def test_one_initializer_is_in_memory_at_a_time() -> None:
    alive: list[weakref.ref[np.ndarray]] = []

    def read() -> ir.Tensor:
        assert all(array() is None for array in alive), "the values before are still in memory"
        array = numbered((50, 50))
        alive.append(weakref.ref(array))
        return ir.Tensor(array)

    model = small_model({f"layer_{number}.weight": numbered((50, 50)) for number in range(4)})
    for value in list(model.graph.initializers.values())[:4]:
        value.const_value = ir.LazyTensor(read, dtype=ir.DataType.FLOAT, shape=ir.Shape([50, 50]), name=value.name)
    written(model)
    assert len(alive) == 4
    assert isinstance(model.graph.initializers["layer_0.weight"].const_value, ir.LazyTensor)


def test_what_reads_an_initializer_may_fail() -> None:
    def read() -> ir.Tensor:
        raise WeightFileError("is gone", place="w.h5", fix="Give it back.")

    model = small_model({"layer.weight": numbered((5, 5))})
    lazy = ir.LazyTensor(read, dtype=ir.DataType.FLOAT, shape=ir.Shape([5, 5]), name="layer.weight")
    model.graph.initializers["layer.weight"].const_value = lazy
    with pytest.raises(WeightFileError, match=r"^w\.h5: is gone"):
        written(model)
    assert model.graph.initializers["layer.weight"].const_value is lazy
