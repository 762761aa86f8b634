"""The converters need neither the trainer nor a training stack, and are quick to import."""

import subprocess
import sys

import pytest

import converters
from converters.layers.registry import converts


def test_converters_stand_alone() -> None:
    block = f"import sys; sys.modules.update(dict.fromkeys({('onnxgrid', 'torch', 'onnxruntime')}))"
    walk = (
        "import pkgutil, converters; "
        "[__import__(m.name) for m in pkgutil.walk_packages(converters.__path__, 'converters.')]"
    )
    subprocess.run([sys.executable, "-c", f"{block}; {walk}"], check=True)


def test_importing_converters_loads_no_onnx() -> None:
    seen = "import sys, converters; sys.exit(bool({'onnx', 'onnx_ir', 'numpy'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", seen], check=True)


def test_the_public_names_are_there() -> None:
    for name in converters.__all__:
        assert getattr(converters, name)
    with pytest.raises(AttributeError, match=r"^module 'converters' has no attribute 'nothing'$"):
        converters.nothing  # noqa: B018


def test_a_class_has_one_owner() -> None:
    with pytest.raises(ValueError, match=r"^Dense is converted by converters\.layers\.core\.dense already$"):
        converts("Dense", config=lambda keys: None)(lambda config, inputs, layer: inputs[0])
