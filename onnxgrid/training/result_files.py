"""The two result files of a run: `<stem>_train<ext>` and `<stem>_test<ext>`, numbers only, one line per batch and per
evaluation.

    train: epoch batch seconds loss gradient-norm
    test:  epoch seconds loss [accuracy]

Every line starts with the epoch, so that a resumed run can drop what lies behind its checkpoint and go on.
"""

from pathlib import Path
from typing import IO

from converters.atomic_file import replacing
from onnxgrid.errors import ConfigError
from onnxgrid.training.loop import Evaluation, TrainedBatch

__all__ = ["ResultFiles"]


class ResultFiles:
    """Open result files; use as a context manager. Lines are flushed as they are written."""

    def __init__(self, outfile: Path, *, keep_epochs: int = 0) -> None:
        """Start both files, keeping the lines of the first `keep_epochs` epochs.

        Raises:
            ConfigError: if a file to go on with is not ours.
            OSError: if a file cannot be written.
        """
        outfile.parent.mkdir(parents=True, exist_ok=True)
        self.train_path = outfile.with_name(f"{outfile.stem}_train{outfile.suffix}")
        self.test_path = outfile.with_name(f"{outfile.stem}_test{outfile.suffix}")
        self._train, self._test = (_open(path, keep_epochs) for path in (self.train_path, self.test_path))

    def __enter__(self) -> "ResultFiles":
        return self

    def __exit__(self, *_: object) -> None:
        self._train.close()
        self._test.close()

    def trained(self, epoch: int, seconds: float, batch: TrainedBatch) -> None:
        """Write one training line; epoch and batch count from 1, seconds from the start of training."""
        print(
            f"{epoch:d} {batch.index + 1:d} {seconds:.3f} {batch.loss:.6f} {batch.gradient_norm:.6f}",
            file=self._train,
            flush=True,
        )

    def evaluated(self, epoch: int, seconds: float, evaluation: Evaluation) -> None:
        """Write one evaluation line, unless nothing was measured."""
        if evaluation.loss is not None:
            accuracy = "" if evaluation.accuracy is None else f" {evaluation.accuracy:.6f}"
            print(f"{epoch:d} {seconds:.3f} {evaluation.loss:.6f}{accuracy}", file=self._test, flush=True)


def _epoch(line: str, index: int, path: Path) -> int:
    try:
        return int(line.split(" ", 1)[0])
    except ValueError:
        raise ConfigError(
            f"does not begin with an epoch, so this is no result file to go on with: {line.strip()[:40]!r}",
            place=f"{path}:{index + 1}",
            fix="Move the file away, or give another outfile.",
        ) from None


def _open(path: Path, keep_epochs: int) -> IO[str]:
    kept = []
    if keep_epochs and path.exists():
        lines = path.read_text(errors="replace").splitlines(keepends=True)
        kept = [line for i, line in enumerate(lines) if line.endswith("\n") and _epoch(line, i, path) <= keep_epochs]
    with replacing(path) as temporary:
        temporary.write_text("".join(kept))
    return path.open("a")
