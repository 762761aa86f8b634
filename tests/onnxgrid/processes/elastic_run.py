"""A run under torchrun whose first process kills itself in the third epoch, once. Arguments: configuration, log."""

import os
import signal
import sys
from pathlib import Path

import onnxgrid


class Killing:
    """Kills its process, if that has not been started again."""

    def epoch_started(self, epoch: int, epochs: int, batches: int) -> None:
        if epoch == 3 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            os.kill(os.getpid(), signal.SIGKILL)

    def batch_done(self, batch: int, loss: float) -> None: ...


if __name__ == "__main__":
    with Path(sys.argv[2]).open("a", buffering=1) as log:
        onnxgrid.train(
            sys.argv[1],
            engine="torch",
            elastic=True,
            num_epochs=4,
            overrides=["checkpoints.interval=1"],
            log=lambda line: print(line, file=log),
            progress=Killing(),
        )
