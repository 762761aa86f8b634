"""The table of ONNX ops in torch, and how a function enters it.

A function takes the node's inputs as positional tensors (None where an optional one is left out) and the node's
attributes as keyword arguments with ONNX's names and defaults, and returns the output tensor, or a tuple of them. Each
is differentiable by torch's autograd. Source of semantics: the ONNX operator specification, opsets 15 to 21.

Inputs that are read as numbers, such as the shape of a Reshape, are *host inputs*: tensors on the CPU, or what
`Tensor.tolist` makes of them.
"""

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

__all__ = [
    "HOST_INPUTS",
    "SEVERAL_OUTPUTS",
    "TORCH_OPS",
    "TorchFunction",
    "bind_attributes",
    "torch_op",
    "without_attributes",
]

TorchFunction = Callable[..., Any]

TORCH_OPS: dict[tuple[str, str], TorchFunction] = {}
"""{(domain, op type): function}; the ONNX domain is ""."""

Refusal = Callable[[Mapping[str, Any]], str | None]
"""Why a function cannot compute a node with these attributes, or None."""

REFUSALS: dict[tuple[str, str], Refusal] = {}

HOST_INPUTS: dict[tuple[str, str], frozenset[int]] = {}
"""Positions of the inputs that an op's function reads as numbers."""

SEVERAL_OUTPUTS: set[tuple[str, str]] = set()
"""Ops whose function gives every output of the node; the others give the first."""


def torch_op(
    *op_types: str,
    domain: str = "",
    refusal: Refusal | None = None,
    host: Collection[int] = (),
    several_outputs: bool = False,
) -> Callable[[TorchFunction], TorchFunction]:
    """Register a function for these op types of a domain."""

    def register(function: TorchFunction) -> TorchFunction:
        for op_type in op_types:
            owner = TORCH_OPS.setdefault((domain, op_type), function)
            if owner is not function:
                raise ValueError(f"{domain}::{op_type} is already {owner.__name__}")
            if refusal is not None:
                REFUSALS[domain, op_type] = refusal
            if host:
                HOST_INPUTS[domain, op_type] = frozenset(host)
            if several_outputs:
                SEVERAL_OUTPUTS.add((domain, op_type))
        return function

    return register


def bind_attributes(domain: str, op_type: str, attributes: Mapping[str, Any]) -> TorchFunction:
    """The op's function with a node's attributes filled in, or KeyError for an unknown op, TypeError for an unknown
    attribute.
    """
    function = TORCH_OPS[domain, op_type]
    known = [
        p.name for p in inspect.signature(function).parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    unknown = sorted(attributes.keys() - set(known))
    if unknown:
        raise TypeError(f"{op_type} has attributes {unknown}; known are {known}")
    refusal = REFUSALS.get((domain, op_type))
    reason = None if refusal is None else refusal(attributes)
    if reason is not None:
        raise TypeError(f"{op_type} {reason}")
    return functools.partial(function, **attributes)


def without_attributes(functions: Mapping[str, TorchFunction]) -> None:
    """Register functions of torch for ops that have no attributes."""
    for op_type, function in functions.items():
        torch_op(op_type)(_positional(function))


def _positional(function: TorchFunction) -> TorchFunction:
    return lambda *inputs: function(*inputs)  # torch's builtins have no signature to check attributes against
