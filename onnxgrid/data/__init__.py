"""Samples on disk as batches of tensors: one file per loader kind, the pairing of inputs with targets, the batches.

Tensors are (N, C, space...), channels first. A loader finds its samples and reads one at a time (`samples.Samples`);
a column (`columns.Column`) gives many as one tensor, from the files or from memory.
"""

from onnxgrid.data.batches import Batch, Rows, Share, batch_count, batches
from onnxgrid.data.dataset import Dataset, TargetKind
from onnxgrid.data.opening import Split, open_dataset

__all__ = ["Batch", "Dataset", "Rows", "Share", "Split", "TargetKind", "batch_count", "batches", "open_dataset"]
