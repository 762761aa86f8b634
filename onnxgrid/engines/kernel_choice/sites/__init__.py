"""The sites of a training graph, one function per op type.

Each takes a node and the graph and gives the site, or None if there is nothing to choose there.
"""

from collections.abc import Callable, Iterator

import onnx_ir as ir

from onnxgrid.engines.kernel_choice.graph import TrainingNodes
from onnxgrid.engines.kernel_choice.site import Site
from onnxgrid.engines.kernel_choice.sites.activation import relu_gradient
from onnxgrid.engines.kernel_choice.sites.convolution import convolution, convolution_gradient
from onnxgrid.engines.kernel_choice.sites.normalization import batch_normalization, batch_normalization_gradient
from onnxgrid.engines.kernel_choice.sites.pooling import max_pooling
from onnxgrid.engines.kernel_choice.sites.torch_functions import torch_function, torch_function_gradient

__all__ = ["SITES", "find_sites"]

SITES: dict[str, Callable[[ir.Node, TrainingNodes], Site | None]] = {
    "BatchNormInternal": batch_normalization,
    "BatchNormalizationGrad": batch_normalization_gradient,
    "Conv": convolution,
    "ConvGrad": convolution_gradient,
    "ConvTranspose": convolution,
    "ConvTransposeGrad": convolution_gradient,
    "MaxPool": max_pooling,
    "ReluGrad": relu_gradient,
    "ATen": torch_function_gradient,
    "AveragePool": torch_function,
    "GlobalAveragePool": torch_function,
    "GlobalMaxPool": torch_function,
    "InstanceNormalization": torch_function,
    "LayerNormalization": torch_function,
    "Resize": torch_function,
}
"""{op type of the node that a site is found at: function}."""


def find_sites(graph: TrainingNodes) -> Iterator[Site]:
    """Every site of the graph, in the order of its nodes.

    A node belongs to one site at most: a Relu's gradient that a convolution's or a normalization's gradient takes in is
    no site of its own.
    """
    taken: set[str] = set()
    found = []
    for op_types in (SITES.keys() - {"ReluGrad"}, {"ReluGrad"}):
        for position, node in enumerate(graph.nodes):
            if node.op_type not in op_types or node.name in taken:
                continue
            site = SITES[node.op_type](node, graph)
            if site is not None:
                taken.update(name for part in site.parts for name in part.nodes)
                found.append((position, site))
    yield from (site for _, site in sorted(found, key=lambda pair: pair[0]))
