"""What all commands share: help, exit codes, error messages, warnings."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import onnxgrid
from onnxgrid.cli.main import COMMANDS, cli
from onnxgrid.errors import ConfigError, WorkFailed, WritingFailed

Invoke = Callable[..., Result]


@pytest.fixture
def train_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Invoke:
    """Runs `onnxgrid train` with another function in the place of `onnxgrid.train`."""
    config = tmp_path / "run.json"
    config.write_text("{}")

    def invoke(train: Callable[..., Any], *options: str) -> Result:
        monkeypatch.setitem(vars(onnxgrid), "train", train)
        return CliRunner().invoke(cli, [*options, "train", str(config)])

    return invoke


def raising(error: BaseException) -> Callable[..., Any]:
    def train(*_: Any, **__: Any) -> None:
        raise error

    return train


ERRORS: dict[str, tuple[BaseException, int, str]] = {
    "bad input": (
        ConfigError('"loss" is missing', place="run.json:1:1", fix="Add it."),
        2,
        'Error: run.json:1:1: "loss" is missing\n  Add it.\n',
    ),
    "work that failed": (
        WorkFailed("the loss is not a number.", fix="Lower the learning rate."),
        1,
        "Error: the loss is not a number.\n  Lower the learning rate.\n",
    ),
    "a disk that is full": (
        WritingFailed("cannot be written: No space left on device", place="net.onnx", fix="Free some space."),
        1,
        "Error: net.onnx: cannot be written: No space left on device\n  Free some space.\n",
    ),
    "a file that cannot be written": (
        PermissionError(13, "Permission denied", "/out/net.onnx"),
        1,
        "Error: /out/net.onnx: Permission denied\n",
    ),
    "interruption": (KeyboardInterrupt(), 130, "\nInterrupted.\n"),
}


@pytest.mark.parametrize(("error", "exit_code", "message"), ERRORS.values(), ids=ERRORS)
def test_an_error_is_a_message_on_stderr_and_an_exit_code(
    train_with: Invoke, error: BaseException, exit_code: int, message: str
) -> None:
    result = train_with(raising(error))
    assert (result.exit_code, result.stdout, result.stderr) == (exit_code, "", message)


def test_a_bug_is_named_as_one_with_its_place(train_with: Invoke) -> None:
    result = train_with(raising(KeyError("enc_1")))
    assert result.exit_code == 1
    place = result.stderr.partition("(")[2].partition(")")[0]
    assert place.startswith("test_main.py, line ")
    assert result.stderr == (
        f"Error: this is a bug in onnxgrid: KeyError: 'enc_1' ({place}).\n"
        "  Please report it with the traceback that the same command prints as: onnxgrid --debug ...\n"
    )


@pytest.mark.parametrize("error", [KeyError("enc_1"), ConfigError("no", place="run.json", fix="Mend it.")])
def test_debug_prints_the_traceback_before_the_message(train_with: Invoke, error: Exception) -> None:
    result = train_with(raising(error), "--debug")
    assert result.stderr.startswith("Traceback (most recent call last):\n")
    assert "\nError: " in result.stderr


def test_what_the_library_logs_is_shown_as_warning_lines_on_stderr(train_with: Invoke) -> None:
    def train(*_: Any, **__: Any) -> None:
        logging.getLogger("onnxgrid.config").warning("unknown key %r", "optimiser")
        logging.getLogger("converters.keras_json").warning("layer 'a' is not used")
        logging.getLogger("onnxgrid.config").info("not shown")

    result = train_with(train)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "warning: unknown key 'optimiser'\nwarning: layer 'a' is not used\n"
    assert not logging.getLogger("onnxgrid").handlers, "the handler is gone when the command is"


def test_debug_shows_all_that_the_library_logs(train_with: Invoke) -> None:
    result = train_with(lambda *_, **__: logging.getLogger("onnxgrid.engines").debug("conv: %s", "native"), "--debug")
    assert result.stderr == "debug: conv: native\n"
    assert logging.getLogger("onnxgrid").level == logging.NOTSET


def test_the_group_lists_every_command_file_with_its_own_first_line() -> None:
    files = {path.stem for path in Path(onnxgrid.__file__).with_name("cli").glob("*.py")}
    assert set(COMMANDS) == files - {"__init__", "deferred_imports", "main", "printable", "progress", "uncollected"}
    help_text = CliRunner().invoke(cli, ["--help"]).stdout
    for name, line in COMMANDS.items():
        assert f"  {name:<10}  {line}\n" in help_text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert f"\n  Example:\n      onnxgrid {name} " in result.stdout


def test_a_mistyped_command_is_refused_with_a_suggestion() -> None:
    result = CliRunner().invoke(cli, ["trian"])
    assert result.exit_code == 2
    assert "Error: No such command 'trian'. Did you mean 'train'?\n" in result.stderr


def test_the_version_is_the_packages() -> None:
    assert CliRunner().invoke(cli, ["--version"]).stdout == f"onnxgrid {onnxgrid.__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["convert", "--help"]])
def test_help_loads_no_training_stack_and_no_onnx(arguments: list[str]) -> None:
    heavy = ("torch", "onnxruntime", "onnx", "onnx_ir", "numpy", "pydantic")
    program = (
        f"import sys; sys.argv = ['onnxgrid', *{arguments!r}]\n"
        "from onnxgrid.cli.main import main\n"
        "try: main()\n"
        f"finally: print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_a_reader_that_goes_away_is_met_with_silence() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "onnxgrid", "--help"], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert done.stderr == b""


def test_training_without_torch_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({}))
    program = "import sys; sys.modules['torch'] = None; from onnxgrid.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "train", str(tmp_path / "run.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "Error: training needs PyTorch, which is not installed.\n  Install it with: pip install 'onnxgrid[train]'\n"
    )
