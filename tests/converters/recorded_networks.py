"""Networks that TensorFlow wrote, and what it computed: recorded by the scripts in `data/tensorflow`."""

import copy
import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import converters
from converters.layers.graph_builder import IoLayout
from tests.converters.keras_oracle import run_onnx

RELATIVE_TOLERANCE = 1e-5
"""Of the largest output."""

Edit = Callable[[dict[str, Any]], None]


class Recording:
    """What one script recorded: by expression, the layers that TensorFlow wrote for it, and the outputs."""

    def __init__(self, name: str) -> None:
        self._files = Path(__file__).parent / "data" / "tensorflow" / name
        recorded = json.loads(self._files.with_suffix(".json").read_text())
        self.networks: dict[str, Any] = recorded["functions"]
        self.numbers = {expression: number for number, expression in enumerate(self.networks)}
        self._shape = recorded["shape"]

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """The inputs `x` and `y`, and by number of the expression and of the output what TensorFlow computed."""
        with np.load(self._files.with_suffix(".npz")) as arrays:
            return dict(arrays)

    def write(self, expression: str, path: Path, edit: Edit | None = None, *, open_sizes: bool = False) -> None:
        """Write the network of an expression; both inputs are outputs too, so that none is left out of the graph.

        Args:
            edit: changes each layer before it is written.
            open_sizes: whether the inputs leave all sizes open but for the channels.
        """
        shape = [*(None for _size in self._shape[1:]), self._shape[-1]] if open_sizes else self._shape
        inputs = [
            {"class_name": "InputLayer", "config": {"name": name, "batch_input_shape": [None, *shape]}} for name in "xy"
        ]
        network = copy.deepcopy(self.networks[expression])
        for layer in network["layers"]:
            layer["config"] |= {"trainable": True, "dtype": "float32"}
            if edit is not None:
                edit(layer)
        config = {
            "layers": [*({**layer, "inbound_nodes": []} for layer in inputs), *network["layers"]],
            "input_layers": [["x", 0, 0], ["y", 0, 0]],
            "output_layers": [*network["outputs"], ["x", 0, 0], ["y", 0, 0]],
        }
        path.write_text(json.dumps({"class_name": "Functional", "keras_version": "2.15.0", "config": config}))

    def assert_equals_tensorflow(
        self, expression: str, path: Path, edit: Edit | None = None, *, open_sizes: bool = False
    ) -> None:
        """Nothing, if the converted network computes what TensorFlow did."""
        self.write(expression, path, edit, open_sizes=open_sizes)
        number, outputs = self.numbers[expression], self.networks[expression]["outputs"]
        model = converters.convert(path, io_layout=IoLayout.CHANNELS_LAST)
        given = run_onnx(model, self.arrays["x"], self.arrays["y"], raw_inputs=True, raw_outputs=True)
        for output, want in zip(
            given, (self.arrays[f"{number}.{place}"] for place in range(len(outputs))), strict=False
        ):
            assert output.shape == want.shape
            assert output.dtype.kind == want.dtype.kind
            np.testing.assert_allclose(output, want, rtol=0, atol=RELATIVE_TOLERANCE * np.abs(want).max())
