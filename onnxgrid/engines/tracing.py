"""One training step again, with every value kept: what each node gives, and the gradient of it. For finding errors; the
engines themselves keep nothing.

The nodes are those of the engine's own training graph, in float32 and by kernels that compute one node each.
"""

from onnxgrid.engines.engine import Engine
from onnxgrid.engines.torch_tracing import TorchTracer
from onnxgrid.engines.traced_value import Tracer
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.losses import Loss

__all__ = ["create_tracer"]


def create_tracer(engine: Engine, graph: TrainableGraph, loss: Loss, *, seed: int, processes: int) -> Tracer:
    """A tracer of the engine's steps, with the weights that the engine has when it is called."""
    if engine.name == "torch":
        return TorchTracer(engine, graph, loss, seed=seed, processes=processes)
    # Imported here because ONNX Runtime need not be installed.
    from onnxgrid.engines.ort_tracing import OrtTracer

    return OrtTracer(engine, graph, loss, seed=seed, processes=processes)
