"""Sizes that nothing can hold are refused before anything is allocated. Whole messages are compared."""

import json
from pathlib import Path
from typing import Any

import pytest

import converters
from converters.errors import ConversionError

HUGE = 10**9


def layer(class_name: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"name": name, **config}}


def image(*shape: int | None) -> dict[str, Any]:
    return layer("InputLayer", "x", batch_shape=[None, *shape])


CASES: dict[str, tuple[list[Any], str]] = {
    "a parameter of terabytes": (
        [image(8, 12, 3), layer("Conv2D", "a", filters=HUGE, kernel_size=[300, 500], padding="same")],
        "layer 'a' (Conv2D): its parameter 'a.weight' (1000000000, 3, 300, 500) would take 1,676,380.6 GiB, "
        "and a model ends at 2 GiB",
    ),
    "a table for every number": (
        [image(8), layer("Embedding", "a", input_dim=2**31 - 1, output_dim=2**31 - 1)],
        "layer 'a' (Embedding): its parameter 'a.weight' (2147483647, 2147483647) would take "
        "17,179,869,168.0 GiB, and a model ends at 2 GiB",
    ),
    "an axis that cannot be counted": (
        [image(HUGE, 1, 1), layer("UpSampling2D", "a", size=3)],
        "layer 'a' (UpSampling2D): what it gives, (N, 1, 3000000000, 3) in ONNX's order, is too large to compute",
    ),
    "a sample that nothing holds": (
        [image(HUGE, HUGE, 3), layer("Flatten", "a"), layer("Dense", "b", units=3)],
        "layer 'x' (InputLayer): the input, (N, 3, 1000000000, 1000000000) in ONNX's order, is too large to compute",
    ),
    "an image that grows until nothing holds it": (
        [image(8, 12, 3), *(layer("UpSampling2D", f"up_{i}", size=1000) for i in range(9))],
        "layer 'up_1' (UpSampling2D): what it gives, (N, 3, 8000000, 12000000) in ONNX's order, "
        "is too large to compute",
    ),
}


@pytest.mark.parametrize(("layers", "message"), CASES.values(), ids=CASES)
def test_a_size_that_nothing_can_hold_is_refused(layers: list[Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps(layers))
    with pytest.raises(ConversionError) as error:
        converters.convert(path)
    name = message.split("'")[1]
    column = path.read_text().index(json.dumps(next(x for x in layers if x["config"]["name"] == name))) + 1
    assert str(error.value) == f"{path}:1:{column}: {message}\n  Choose smaller sizes."


def test_parameters_that_are_too_large_together_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    units = [20_000, 20_000, 10_000, 3]
    path.write_text(json.dumps([image(500), *(layer("Dense", f"d{i}", units=n) for i, n in enumerate(units))]))
    with pytest.raises(ConversionError) as error:
        converters.convert(path)
    assert str(error.value) == (
        f"{path}: the parameters take 2.3 GiB, and a model ends at 2 GiB; "
        "the largest: 'd1.weight' (1,526 MiB), 'd2.weight' (763 MiB), 'd0.weight' (38 MiB)\n"
        "  Choose smaller sizes."
    )
