"""What reading a run configuration gives, and every message it can end in."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from onnxgrid.config import (
    AdamConfig,
    BCELossConfig,
    DataType,
    ExponentialConfig,
    InlineNetwork,
    InputPath,
    MSELossConfig,
    MultiStepConfig,
    NLLLossConfig,
    RunConfig,
    SGDConfig,
    Source,
    StepConfig,
    WarmupConfig,
    read_config,
)
from onnxgrid.config.run import SECTIONS
from onnxgrid.config.section import Section, Variants
from onnxgrid.errors import ConfigError

TRAINING = {
    "layers": "net.json",
    "data": {"input_type": "images", "target_type": "labels", "input_path": "d"},
    "optimizer": {"type": "SGD"},
    "loss": {"function": "NLL"},
}
VALUES = TRAINING | {
    "data": {"type": "numpy", "input_path": "d", "target_path": "d"},
    "loss": {"function": "MSE"},
}
EVALUATION = {
    "layers": "net.json",
    "data": {"input_type": "images", "test_input_path": "d"},
    "checkpoints": {"load": "base.pt"},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A working directory that has a network, a data directory and a checkpoint."""
    monkeypatch.chdir(tmp_path)
    Path("d").mkdir()
    Path("net.json").write_text("{}")
    Path("base.pt").touch()


def write(content, name="run.json"):
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"neural_network": content}, indent=1))
    return path


def changed(base, changes):
    """The base with the values at dotted keys replaced; None takes a key out."""
    result = json.loads(json.dumps(base))
    for dotted_key, value in changes.items():
        *parents, key = dotted_key.split(".")
        node = result
        for parent in parents:
            node = node.setdefault(parent, {})
        if value is None:
            node.pop(key)
        else:
            node[key] = value
    return result


def read(base, changes=None, *overrides):
    return read_config(write(changed(base, changes or {})), overrides)


def problem(base, changes=None, *overrides):
    """The message, without the places of the file, which have tests of their own."""
    with pytest.raises(ConfigError) as caught:
        read(base, changes, *overrides)
    lines = str(caught.value).splitlines()
    return "\n".join(line.split(": ", 1)[1] if line.startswith("run.json:") else line for line in lines)


def test_the_defaults_are_those_of_the_dialect():
    config = read(TRAINING)
    assert config.num_epochs == 1
    assert config.outfile is None
    assert (config.checkpoints.save, config.checkpoints.interval, config.checkpoints.load) == (None, 1, None)
    assert (config.data.batch_size, config.data.test_batch_size, config.data.seed) == (64, 64, 42)
    assert not config.data.preload
    assert config.optimizer == SGDConfig(learning_rate=0.01, momentum=0, weight_decay=0, dampening=0, nesterov=False)
    assert config.loss == NLLLossConfig(weight=None, ignore_index=None)


def test_adam_has_the_defaults_of_the_dialect():
    expected = AdamConfig(learning_rate=0.01, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0, amsgrad=False)
    assert read(TRAINING, {"optimizer.type": "adam"}).optimizer == expected


SCHEDULES = {
    "Step": ({"type": "step", "step_size": 3}, StepConfig(gamma=0.1, step_size=3, verbose=True)),
    "MultiStep": (
        {"type": "MULTISTEP", "milestones": [2, 5], "gamma": 0.5, "verbose": False},
        MultiStepConfig(milestones=(2, 5), gamma=0.5, verbose=False),
    ),
    "Exponential": ({"type": "exponential", "gamma": 0.9}, ExponentialConfig(gamma=0.9)),
    "Warmup": (
        {"type": "Warmup", "num_epochs": 4, "start_factor": 0.25},
        WarmupConfig(num_epochs=4, start_factor=0.25),
    ),
}


@pytest.mark.parametrize(("given", "expected"), SCHEDULES.values(), ids=SCHEDULES)
def test_a_schedule_is_selected_by_type_in_any_case(given, expected):
    config = read(TRAINING, {"optimizer.lr_scheduler": given})
    assert config.optimizer is not None
    assert config.optimizer.lr_scheduler == expected


LOSSES = {
    "NLL with weights": (
        TRAINING,
        {"function": "nll", "weight": [1, 2.5], "ignore_index": -1},
        NLLLossConfig(weight=(1.0, 2.5), ignore_index=-1),
    ),
    "BCE of probabilities": (
        VALUES,
        {"function": "bce", "source": "Sigmoid"},
        BCELossConfig(source=Source.SIGMOID),
    ),
    "BCE of logits": (VALUES, {"function": "BCE", "source": "linear"}, BCELossConfig(source=Source.LOGITS)),
    "MSE": (VALUES, {"function": "Mse"}, MSELossConfig()),
}


@pytest.mark.parametrize(("base", "given", "expected"), LOSSES.values(), ids=LOSSES)
def test_a_loss_is_selected_by_function_in_any_case(base, given, expected):
    assert read(base, {"loss": given}).loss == expected


def test_shorthands_stand_for_both_sides_and_one_side_wins():
    data = {"type": "Images", "input_path": "d", "target_path": "d", "grayscale": True, "target_grayscale": False}
    config = read(VALUES, {"data": data}).data
    assert (config.input_type, config.target_type) == (DataType.IMAGES, DataType.IMAGES)
    assert (config.input_grayscale, config.target_grayscale) == (True, False)


@pytest.mark.parametrize("key", ["testing_tag", "test_tag"])
def test_both_spellings_of_the_test_tag_are_read(key):
    assert read(TRAINING, {f"data.{key}": "val"}).data.testing_tag == "val"


def test_an_evaluation_needs_neither_optimizer_nor_loss():
    config = read(EVALUATION)
    assert (config.optimizer, config.loss) == (None, None)
    assert config.checkpoints.load == InputPath("base.pt", Path("base.pt"))


def test_a_network_may_stand_in_the_file_and_knows_its_place():
    config = read(TRAINING, {"layers": [{"class_name": "Dense"}]})
    assert isinstance(config.layers, InlineNetwork)
    assert config.layers.content == [{"class_name": "Dense"}]
    assert config.layers.content[0].place("class_name") == "run.json:5:19"  # type: ignore[union-attr]


def test_an_input_is_looked_up_beside_the_configuration_and_keeps_its_spelling():
    write(changed(TRAINING, {"layers": "./only_there.json"}), "runs/run.json")
    Path("runs/only_there.json").write_text("{}")
    config = read_config(Path("runs/run.json"))
    assert config.layers == InputPath("./only_there.json", Path("runs/only_there.json"))
    assert config.data.input_path == InputPath("d", Path("d"))


def test_the_working_directory_goes_before_the_folder_of_the_configuration():
    write(TRAINING, "runs/run.json")
    Path("runs/net.json").write_text("{}")
    assert read_config(Path("runs/run.json")).layers == InputPath("net.json", Path("net.json"))


def test_a_missing_input_is_told_with_both_places():
    write(changed(TRAINING, {"layers": "gone.json"}), "runs/run.json")
    with pytest.raises(ConfigError) as caught:
        read_config(Path("runs/run.json"))
    assert str(caught.value) == (
        'runs/run.json:3:13: layers is "gone.json", but neither gone.json nor runs/gone.json exists\n'
        "  Give a path relative to the working directory or to the folder of the configuration."
    )


REFUSED = {
    "a number as a string": (
        TRAINING,
        {"data.batch_size": "64"},
        'data.batch_size is "64"\n  Give an integer of 1 or more, below 2**31.',
    ),
    "a boolean as a number": (
        TRAINING,
        {"num_epochs": True},
        "num_epochs is true\n  Give an integer of 1 or more, below 2**31.",
    ),
    "no epochs": (TRAINING, {"num_epochs": 0}, "num_epochs is 0\n  Give an integer of 1 or more, below 2**31."),
    "half an epoch": (TRAINING, {"num_epochs": 1.5}, "num_epochs is 1.5\n  Give an integer of 1 or more, below 2**31."),
    "a negative rate": (
        TRAINING,
        {"optimizer.learning_rate": -0.1},
        "optimizer.learning_rate is -0.1\n  Give a number of 0 or more.",
    ),
    "a word for a rate": (
        TRAINING,
        {"optimizer.learning_rate": "fast"},
        'optimizer.learning_rate is "fast"\n  Give a number of 0 or more.',
    ),
    "beta of 1": (
        TRAINING,
        {"optimizer": {"type": "Adam", "beta1": 1}},
        "optimizer.beta1 is 1\n  Give a number from 0 to below 1.",
    ),
    "a dampening that is no number": (
        TRAINING,
        {"optimizer.dampening": []},
        "optimizer.dampening is []\n  Give a number.",
    ),
    "a flag as a word": (TRAINING, {"data.preload": "yes"}, 'data.preload is "yes"\n  Give true or false.'),
    "a negative seed": (TRAINING, {"data.seed": -1}, "data.seed is -1\n  Give an integer of 0 or more, below 2**63."),
    "an empty tag": (
        TRAINING,
        {"data.training_tag": ""},
        'data.training_tag is ""\n  Give a string that is not empty.',
    ),
    "a section that is no object": (TRAINING, {"data": [1]}, "data is [1]\n  Give an object."),
    "an optimizer that is no object": (TRAINING, {"optimizer": "SGD"}, 'optimizer is "SGD"\n  Give an object.'),
    "no network": (
        TRAINING,
        {"layers": None},
        "layers is missing\n  Give the path of a network JSON file, or the network itself.",
    ),
    "a network that is a number": (
        TRAINING,
        {"layers": 3},
        "layers is 3\n  Give the path of a network JSON file, or the network itself.",
    ),
    "a network that is a directory": (
        TRAINING,
        {"layers": "d"},
        'layers is "d", which is a directory\n  Give the path of a file.',
    ),
    "a path that is a number": (
        TRAINING,
        {"data.input_path": 3},
        "data.input_path is 3\n  Give a path, as a string.",
    ),
    "a directory to write to that is a number": (
        TRAINING,
        {"checkpoints.save": 3},
        "checkpoints.save is 3\n  Give a path, as a string.",
    ),
    "no data": (TRAINING, {"data": None}, "data is missing\n  Give an object that says where the data is."),
    "no input type": (
        TRAINING,
        {"data.input_type": None},
        'data.input_type is missing\n  Give one of: "images", "numpy".',
    ),
    "labels as inputs": (
        TRAINING,
        {"data.input_type": "Labels"},
        'data.input_type is "labels", which is a type of targets only\n'
        '  Give target_type and, for the inputs, input_type: one of "images", "numpy".',
    ),
    "a misspelt type": (
        TRAINING,
        {"data.input_type": "image"},
        'data.input_type is "image"\n  Did you mean "images"? Allowed: "images", "numpy".',
    ),
    "a type unlike any": (
        VALUES,
        {"data.target_type": 7},
        'data.target_type is 7\n  Allowed: "images", "labels", "numpy".',
    ),
    "a type of the dialect that is not here yet": (
        TRAINING,
        {"data.input_type": "HDF5"},
        'data.input_type is "HDF5", which this version does not support\n  Use one of: "images", "numpy".',
    ),
    "an optimizer without type": (
        TRAINING,
        {"optimizer": {}},
        'optimizer.type is missing\n  Give one of: "SGD", "Adam".',
    ),
    "an optimizer of the dialect that is not here yet": (
        TRAINING,
        {"optimizer.type": "rmsprop"},
        'optimizer.type is "rmsprop", which this version does not support\n  Use one of: "SGD", "Adam".',
    ),
    "a misspelt optimizer": (
        TRAINING,
        {"optimizer.type": "Adma"},
        'optimizer.type is "Adma"\n  Did you mean "Adam"? Allowed: "SGD", "Adam".',
    ),
    "a loss of the dialect that is not here yet": (
        TRAINING,
        {"loss.function": "Dice"},
        'loss.function is "Dice", which this version does not support\n  Use one of: "NLL", "BCE", "MSE".',
    ),
    "a source that this version cannot read": (
        VALUES,
        {"loss": {"function": "BCE", "source": "log_softmax"}},
        'loss.source is "log_softmax", which this version does not support\n'
        '  Use one of: "sigmoid", "softmax", "logits", "linear", "none".',
    ),
    "nesterov without momentum": (
        TRAINING,
        {"optimizer.nesterov": True},
        "optimizer.nesterov is true with momentum 0.0 and dampening 0.0\n"
        "  Give a momentum above 0 and no dampening, or leave nesterov out.",
    ),
    "a schedule without its key": (
        TRAINING,
        {"optimizer.lr_scheduler": {"type": "Step"}},
        "optimizer.lr_scheduler.step_size is missing\n"
        "  Give an integer of 1 or more: the number of epochs between two steps.",
    ),
    "a milestone that is no epoch": (
        TRAINING,
        {"optimizer.lr_scheduler": {"type": "MultiStep", "milestones": [3, 0]}},
        "optimizer.lr_scheduler.milestones[1] is 0\n  Give an integer of 1 or more, below 2**31.",
    ),
    "no milestones": (
        TRAINING,
        {"optimizer.lr_scheduler": {"type": "MultiStep", "milestones": []}},
        "optimizer.lr_scheduler.milestones is []\n  Give an array of epochs.",
    ),
    "a warm-up that starts at the top": (
        TRAINING,
        {"optimizer.lr_scheduler": {"type": "Warmup", "num_epochs": 2, "start_factor": 1}},
        "optimizer.lr_scheduler.start_factor is 1\n  Give a number between 0 and 1.",
    ),
    "weights that count no class": (
        TRAINING,
        {"loss.weight": [0, 0]},
        "loss.weight is 0 for every class\n  Give a number above 0 for at least one class.",
    ),
    "an ignored index that is no integer": (
        TRAINING,
        {"loss.ignore_index": 0.5},
        "loss.ignore_index is 0.5\n  Give an integer.",
    ),
    "two spellings of one key": (
        TRAINING,
        {"data.testing_tag": "a", "data.test_tag": "b"},
        "data.test_tag is given beside the keys that it stands for\n  Give either it or them.",
    ),
    "a key of the dialect that is not here yet": (
        EVALUATION,
        {"checkpoints.load": "base.pt", "debug": True},
        "debug is not supported in this version\n"
        "  Leave it out. Supported here: layers, data, optimizer, loss, num_epochs, freeze, outfile, checkpoints.",
    ),
    "nothing to do": (
        TRAINING,
        {"data.input_path": None},
        "data has neither input_path nor test_input_path: there is nothing to do\n"
        "  Give data.input_path to train, data.test_input_path to evaluate, or both.",
    ),
    "training without optimizer and loss": (
        TRAINING,
        {"optimizer": None, "loss": None},
        "optimizer is missing, but data.input_path asks for training\n"
        "  Give optimizer, or leave data.input_path out.\n"
        "loss is missing, but data.input_path asks for training\n"
        "  Give loss, or leave data.input_path out.",
    ),
    "training without targets": (
        VALUES,
        {"data.target_path": None},
        "data.target_path is missing, but data.input_path asks for training\n"
        '  Give the targets, or set data.target_type to "labels".',
    ),
    "an evaluation of nothing trained": (
        EVALUATION,
        {"checkpoints": None},
        "checkpoints.load is missing, and without data.input_path nothing is trained\n"
        "  Give the checkpoint to evaluate, or data.input_path to train.",
    ),
    "targets without inputs": (
        VALUES,
        {"data.test_target_path": "d"},
        "data.test_input_path is missing, but test_target_path is given\n  Give both, or leave test_target_path out.",
    ),
    "targets of unknown type": (
        EVALUATION,
        {"data.test_target_path": "d"},
        "data.target_type is missing, but test_target_path is given\n  Give type or target_type: what the targets are.",
    ),
    "labels with a loss of values": (
        TRAINING,
        {"loss.function": "mse"},
        'loss.function is "mse", which cannot compare class labels\n  Use "NLL", or targets of another type.',
    ),
}


@pytest.mark.parametrize(("base", "changes", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_told_with_its_key_and_what_is_allowed(base, changes, message):
    assert problem(base, changes) == message


def test_a_long_value_is_cut():
    message = problem(TRAINING, {"num_epochs": list(range(100))})
    assert message == (
        "num_epochs is [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16...\n"
        "  Give an integer of 1 or more, below 2**31."
    )


def test_everything_wrong_is_told_at_once_with_places():
    path = Path("run.json")
    path.write_text(
        """{"neural_network": {
  "layers": "net.json",
  "num_epochs": 0,
  "data": {"type": "numpy", "input_path": "d",
           "slicers": [{"sizes": [4, 4]}], "batch_size": 0},
  "optimizer": {"type": "Hessian"}
}}"""
    )
    with pytest.raises(ConfigError) as caught:
        read_config(path, ["data.seed=x", "data"])
    supported = ", ".join(SECTIONS[("data",)].spellings())  # type: ignore[union-attr]
    assert str(caught.value).splitlines() == [
        '--set data: there is no "="',
        "  Write --set KEY=VALUE, for example --set data.batch_size=32.",
        "run.json:5:23: data.slicers is not supported in this version",
        f"  Leave it out. Supported here: {supported}.",
        "run.json:5:58: data.batch_size is 0",
        "  Give an integer of 1 or more, below 2**31.",
        '--set data.seed=x: data.seed is "x"',
        "  Give an integer of 0 or more, below 2**63.",
        'run.json:6:25: optimizer.type is "Hessian", which this version does not support',
        '  Use one of: "SGD", "Adam".',
        "run.json:3:17: num_epochs is 0",
        "  Give an integer of 1 or more, below 2**31.",
        "run.json:1:20: loss is missing, but data.input_path asks for training",
        "  Give loss, or leave data.input_path out.",
        "run.json:4:11: data.target_path is missing, but data.input_path asks for training",
        '  Give the targets, or set data.target_type to "labels".',
    ]


NOT_A_CONFIGURATION = {
    "an array": ("[]", "run.json:1:1: the file holds []"),
    "no neural_network": ('{"layers": 1}', "run.json:1:1: neural_network is missing"),
    "a neural_network that is no object": (
        '{"neural_network": 3}',
        "run.json:1:20: neural_network is 3",
    ),
}


@pytest.mark.parametrize(("text", "message"), NOT_A_CONFIGURATION.values(), ids=NOT_A_CONFIGURATION)
def test_a_file_without_the_one_object_is_refused(text, message):
    Path("run.json").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_config(Path("run.json"))
    assert str(caught.value) == f'{message}\n  Put the configuration into one object: {{"neural_network": {{...}}}}.'


UNKNOWN = {
    "misspelt": (
        {"data.batch_sise": 3},
        "run.json:8:18: unknown key data.batch_sise is ignored; did you mean batch_size?",
    ),
    "of another variant": (
        {"optimizer.amsgrad": True},
        "run.json:11:15: unknown key optimizer.amsgrad is ignored; the keys here are "
        "type, learning_rate, momentum, weight_decay, dampening, nesterov, lr_scheduler, layer_rates",
    ),
    "like nothing": (
        {"checkpoints.zzz": 1},
        "run.json:16:11: unknown key checkpoints.zzz is ignored; the keys here are save, interval, load",
    ),
}


@pytest.mark.parametrize(("changes", "warning"), UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_key_warns_once_with_place_and_suggestion(changes, warning, caplog):
    config = read(TRAINING, changes)
    assert isinstance(config, RunConfig)
    assert caplog.messages == [warning]
    assert caplog.records[0].levelno == logging.WARNING


def test_a_key_beside_neural_network_warns(caplog):
    Path("run.json").write_text(json.dumps({"neural_network": TRAINING, "note": ""}))
    read_config(Path("run.json"))
    [message] = caplog.messages
    assert message.endswith(": unknown key note, beside neural_network, is ignored")


def test_keys_that_ask_for_nothing_are_accepted_in_silence(caplog):
    read(TRAINING, {"debug": False, "debug_interval": 5, "data.transforms": [], "data.hdf5_precision": "single"})
    assert caplog.messages == []


def test_every_key_of_a_table_is_one_that_no_model_reads():
    models = [
        model
        for entry in SECTIONS.values()
        for model in (entry.models.values() if isinstance(entry, Variants) else [entry])
    ]
    for model in models:
        assert issubclass(model, Section)
        assert not {*model.unsupported, *model.ignorable} & set(model.spellings())


def test_every_required_key_says_what_to_give():
    for entry in SECTIONS.values():
        for model in entry.models.values() if isinstance(entry, Variants) else [entry]:
            for name, info in model.model_fields.items():
                assert not info.is_required() or model.required(name)


def test_a_configuration_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        read(TRAINING).data.seed = 1  # type: ignore[misc]


def test_configurations_are_read_without_torch():
    code = "import sys; sys.modules['torch'] = None; import onnxgrid.config"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
