"""The accuracy that an evaluation reports (BCE and NLL; a regression has none)."""

from dataclasses import dataclass

import torch

from onnxgrid.losses import Loss

__all__ = ["Accuracy", "metric_of"]


def metric_of(loss: Loss) -> "Accuracy | None":
    """The accuracy that goes with a loss, or None."""
    return None if loss.threshold is None else Accuracy(loss.threshold)


@dataclass(frozen=True)
class Accuracy:
    """The share of right answers of a batch, from 0 to 1.

    * Class indices (N,) and outputs (N, C): the fraction whose argmax is the index.
    * Class indices (N, s...) and outputs (N, C, s...), or masks like the outputs: the Dice coefficient 2|P and T| /
      (|P| + |T|) of the hard prediction (argmax over the classes; at least `threshold` for a single channel, where
      targets are positive from 0.5 on), averaged over the classes that occur.
    """

    threshold: float

    def __call__(self, outputs: torch.Tensor, targets: torch.Tensor) -> float:
        return self.score(self.counts(outputs, targets))

    def counts(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """What the score is made of, float64: those of a batch are the sums of those of its parts.

        (2,) for labels, how many are right and how many there are; (classes, 2) for masks, 2|P and T| and |P| + |T|.
        """
        if targets.dtype == torch.int64:
            predicted = outputs.argmax(dim=1)
            if targets.dim() == 1:
                right = int((predicted == targets).sum())
                return torch.tensor([right, len(targets)], dtype=torch.float64)
            return _overlaps([(predicted == c, targets == c) for c in range(outputs.shape[1])])
        if outputs.shape[1] == 1:
            return _overlaps([(outputs >= self.threshold, targets >= 0.5)])
        predicted, expected = outputs.argmax(dim=1), targets.argmax(dim=1)
        return _overlaps([(predicted == c, expected == c) for c in range(outputs.shape[1])])

    def score(self, counts: torch.Tensor) -> float:
        """The accuracy that these counts give."""
        scores = [part / whole for part, whole in counts.reshape(-1, 2).tolist() if whole]
        return sum(scores) / len(scores) if scores else 1.0


def _overlaps(masks: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    return torch.tensor(
        [
            [2 * int((predicted & expected).sum()), int(predicted.sum() + expected.sum())]
            for predicted, expected in masks
        ],
        dtype=torch.float64,
    )
