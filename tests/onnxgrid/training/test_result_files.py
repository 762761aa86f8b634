"""The two result files: numbers only, line by line as CONFIG.md, section 13, shows them."""

from pathlib import Path

import pytest

from onnxgrid.training.loop import Evaluation, TrainedBatch
from onnxgrid.training.result_files import ResultFiles


def batch(index: int) -> TrainedBatch:
    return TrainedBatch(index, loss=0.25 + index, gradient_norm=1e-7, data_share=0.5, compute_share=0.5)


def write_epochs(outfile: Path, *epochs: int, keep_epochs: int = 0) -> ResultFiles:
    with ResultFiles(outfile, keep_epochs=keep_epochs) as files:
        for epoch in epochs:
            files.trained(epoch, 1.23456, batch(0))
            files.trained(epoch, 2.0, batch(1))
            files.evaluated(epoch, 3.0, Evaluation(0.5, 0.875))
    return files


def test_lines_are_those_of_the_specification(tmp_path: Path) -> None:
    files = write_epochs(tmp_path / "run.txt", 12)
    assert files.train_path == tmp_path / "run_train.txt"
    assert files.test_path == tmp_path / "run_test.txt"
    assert files.train_path.read_text() == "12 1 1.235 0.250000 0.000000\n12 2 2.000 1.250000 0.000000\n"
    assert files.test_path.read_text() == "12 3.000 0.500000 0.875000\n"


@pytest.mark.parametrize(
    ("outfile", "train", "test"), [("run", "run_train", "run_test"), ("a.b.log", "a.b_train.log", "a.b_test.log")]
)
def test_names(outfile: str, train: str, test: str, tmp_path: Path) -> None:
    files = write_epochs(tmp_path / "new" / "folder" / outfile)
    assert (files.train_path.name, files.test_path.name) == (train, test)
    assert files.train_path.exists()
    assert files.test_path.exists()


def test_the_accuracy_is_left_out_where_there_is_none(tmp_path: Path) -> None:
    with ResultFiles(tmp_path / "run.txt") as files:
        files.evaluated(1, 3.0, Evaluation(0.5, None))
        files.evaluated(2, 4.0, Evaluation(None, None))
    assert files.test_path.read_text() == "1 3.000 0.500000\n"


def test_lines_can_be_read_while_the_run_goes_on(tmp_path: Path) -> None:
    with ResultFiles(tmp_path / "run.txt") as files:
        files.trained(1, 0.5, batch(0))
        assert files.train_path.read_text() == "1 1 0.500 0.250000 0.000000\n"


def test_a_new_run_starts_both_files_anew(tmp_path: Path) -> None:
    write_epochs(tmp_path / "run.txt", 1, 2, 3)
    files = write_epochs(tmp_path / "run.txt")
    assert files.train_path.read_text() == files.test_path.read_text() == ""


def test_a_resumed_run_drops_what_lies_behind_its_checkpoint(tmp_path: Path) -> None:
    files = write_epochs(tmp_path / "run.txt", 1, 2, 10)
    with files.train_path.open("a") as stream:
        stream.write("2 3 1.0")  # a line that a kill cut off
    write_epochs(tmp_path / "run.txt", 3, keep_epochs=2)
    assert [line.split()[:2] for line in files.train_path.read_text().splitlines()] == [
        ["1", "1"],
        ["1", "2"],
        ["2", "1"],
        ["2", "2"],
        ["3", "1"],
        ["3", "2"],
    ]
    assert [line.split()[0] for line in files.test_path.read_text().splitlines()] == ["1", "2", "3"]


def test_a_resumed_run_without_earlier_files_begins_them(tmp_path: Path) -> None:
    files = write_epochs(tmp_path / "run.txt", 3, keep_epochs=2)
    assert files.test_path.read_text() == "3 3.000 0.500000 0.875000\n"
