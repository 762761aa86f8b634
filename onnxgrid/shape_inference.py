"""Shapes of the values of a graph, where they can be inferred."""

import logging

import onnx_ir as ir

__all__ = ["infer_shapes"]


def infer_shapes(model: ir.Model) -> None:
    """Give values their shapes, in place; a graph in which they cannot be inferred stays as it is, without a word."""
    from onnx_ir.passes.common import ShapeInferencePass  # many passes, which not all who import this need

    # onnx_ir would log a traceback, which Python prints where nobody has set up logging.
    logger = logging.getLogger(ShapeInferencePass.__module__)
    was_disabled, logger.disabled = logger.disabled, True
    try:
        ShapeInferencePass()(model)
    finally:
        logger.disabled = was_disabled
