"""What an installation promises: the console script, the metadata, and which packages are needed for what."""

import importlib
import pkgutil
import re
import subprocess
import sys
from importlib.metadata import distribution, requires
from pathlib import Path

import pytest

import converters
import onnxgrid

REPOSITORY = Path(__file__).parents[1]


def python(program: str, *arguments: str) -> str:
    """What a program prints, run in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, *(["-c", program] if program else []), *arguments], capture_output=True, text=True, check=True
    ).stdout


def requirements(extra: str | None) -> set[str]:
    """Names of the packages that an extra asks for; None is the core."""
    found = set()
    for line in requires("onnxgrid") or []:
        named = re.search(r"extra == ['\"](.+?)['\"]", line)
        if (named.group(1) if named else None) == extra:
            found.add(re.split(r"[^\w.-]", line)[0])
    return found


def test_the_console_script_and_the_module_are_the_same_program() -> None:
    (script,) = [point for point in distribution("onnxgrid").entry_points if point.group == "console_scripts"]
    assert (script.name, script.value) == ("onnxgrid", "onnxgrid.cli.main:main")
    assert python("", "-m", "onnxgrid", "--version") == f"onnxgrid {onnxgrid.__version__}\n"


def test_the_metadata_states_version_licence_and_python() -> None:
    metadata = distribution("onnxgrid").metadata
    assert metadata["Version"] == onnxgrid.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.10"


def test_the_core_needs_no_training_stack() -> None:
    assert requirements(None) == {
        "click",
        "h5py",
        "ml-dtypes",
        "numpy",
        "onnx",
        "onnx-ir",
        "protobuf",
        "pydantic",
        "rich",
        "safetensors",
    }


CUDA_11 = {f"nvidia-{name}-cu11" for name in ("cublas", "cuda-runtime", "cudnn", "cufft", "curand")}


def test_the_two_training_extras_differ_in_the_onnxruntime_build_and_its_libraries_alone() -> None:
    builds = {"onnxruntime-training-cpu", "onnxruntime-training"}
    assert requirements("train") ^ requirements("train-gpu") == builds | CUDA_11


def test_every_direct_requirement_is_pinned() -> None:
    pins = {
        re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower()
        for line in (REPOSITORY / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    }
    # The GPU build of ONNX Runtime is pinned in its extra; the tested set holds the CPU build.
    wanted = set().union(*(requirements(extra) for extra in (None, "train", "demo", "test", "dev")))
    assert wanted <= pins


@pytest.mark.parametrize("package", [converters, onnxgrid])
def test_both_packages_ship_their_type_annotations(package: object) -> None:
    assert Path(str(package.__file__)).with_name("py.typed").exists()  # type: ignore[attr-defined]


BLOCKED = "import sys; sys.modules.update(dict.fromkeys({names!r}))"


def test_converters_stand_alone() -> None:
    walk = (
        "import pkgutil, converters; "
        "[__import__(m.name) for m in pkgutil.walk_packages(converters.__path__, 'converters.')]"
    )
    python(f"{BLOCKED.format(names=('onnxgrid', 'torch', 'onnxruntime', 'h5py', 'safetensors'))}; {walk}")


CORE_ROOMS = ["onnxgrid.cli", "onnxgrid.config", "onnxgrid.transplant", "onnxgrid.zoo"]


@pytest.mark.parametrize("name", ["onnxgrid", "onnxgrid.inspection", *CORE_ROOMS])
def test_the_core_imports_without_a_training_stack(name: str) -> None:
    modules = [name]
    if name in CORE_ROOMS:
        modules += [found.name for found in pkgutil.walk_packages(importlib.import_module(name).__path__, name + ".")]
    blocked = BLOCKED.format(names=("torch", "onnxruntime", "PIL", "matplotlib", "sklearn"))
    python("\n".join([blocked, *(f"import {module}" for module in modules)]))


def test_importing_onnxgrid_loads_nothing_heavy() -> None:
    heavy = ("torch", "onnxruntime", "onnx", "onnx_ir", "numpy", "pydantic", "rich", "click")
    program = f"import sys, onnxgrid; print([name for name in {heavy!r} if name in sys.modules])"
    assert python(program) == "[]\n"


@pytest.mark.parametrize("first", ["", "import onnxgrid.transplant;", "import onnxgrid.transplant.plan;"])
def test_transplant_is_the_function_whatever_is_imported_first(first: str) -> None:
    assert python(f"{first}import onnxgrid; print(callable(onnxgrid.transplant))") == "True\n"


@pytest.mark.parametrize("name", onnxgrid.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert name in dir(onnxgrid)
    assert getattr(onnxgrid, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'onnxgrid' has no attribute 'trian'$"):
        _ = onnxgrid.trian
