"""From a network and a loss to one ONNX graph of forward, loss and backward, in passes that can be read one by one.

enter_training_mode     onnxgrid.engines.training_mode: batch statistics, dropout masks (shared with the torch engine)
run_in_torch            torch_nodes.py: nodes whose attributes ONNX Runtime's gradients do not cover run in torch
make_padding_explicit   padding.py: asymmetric padding becomes Pad and Slice nodes
attach_loss             build.py: the loss as nodes
build_gradients         build.py: ONNX Runtime's own gradient builder
apply_gradient_rules    rules.py: gradients that ONNX Runtime lacks

Then, when the shapes of a batch are known, choose_kernels (onnxgrid.engines.kernel_choice) and a session.
"""

from onnxgrid.engines.gradients.build import LOSS, SHARE, TARGET, TrainingGraph, build_training_graph

__all__ = ["LOSS", "SHARE", "TARGET", "TrainingGraph", "build_training_graph"]
