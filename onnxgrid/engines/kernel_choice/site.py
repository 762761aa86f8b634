"""What is chosen between: a site is one or a few nodes of the training graph that can be computed in several ways."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["NATIVE", "Call", "Candidate", "Part", "Site", "with_channels_last"]

NATIVE = "native"
"""The candidate that leaves the nodes to ONNX Runtime."""

Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """A kernel of `onnxgrid.engines.kernels` in the place of a part's nodes; its outputs are the part's."""

    operator: str
    inputs: tuple[str, ...]
    """Names of values."""
    arguments: Mapping[str, Any]
    activations: tuple[str, ...]
    """Those of the inputs and outputs that have the shape (N, C, s...)."""
    rank: int
    """Of the activations."""


@dataclass(frozen=True)
class Candidate:
    """One way to compute a site: a call for each of its parts, or none of them for ONNX Runtime's own kernels."""

    name: str
    calls: tuple[Call, ...] = ()
    channels_last: bool = False
    """Whether activations come and go as (N, s..., C)."""
    low_precision: bool = False
    """Whether it multiplies in bfloat16."""
    on_request_only: bool = False
    """Whether it was so slow wherever it was measured that measuring it again is a waste."""


@dataclass(frozen=True)
class Part:
    """Nodes that one call replaces, in graph order, by name; nothing but the part reads what is between them."""

    nodes: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Site:
    """Nodes of a training graph that can be computed in several ways. Where there are two parts, forward and gradient,
    one hands the other something that only the same way of computing understands.
    """

    op: str
    parts: tuple[Part, ...]
    shapes: Mapping[str, Sizes]
    """{input: shape}, those of all candidates together."""
    describing: Mapping[str, Any]
    """What else decides how fast it is."""
    candidates: tuple[Candidate, ...] = field(default=())
    """The first is the one that is taken where nothing is measured."""
    constants: Mapping[str, Any] = field(default_factory=dict)
    """{input: its values}, of those inputs whose values decide what is computed."""

    @property
    def activations(self) -> frozenset[str]:
        """Inputs and outputs of the shape (N, C, s...)."""
        return frozenset(name for candidate in self.candidates for call in candidate.calls for name in call.activations)

    @property
    def key(self) -> str:
        """The same text for sites whose candidates cost the same."""
        shapes = " ".join("x".join(map(str, shape)) or "scalar" for shape in self.shapes.values())
        describing = {**self.describing, **({"constants": list(self.constants.values())} if self.constants else {})}
        return f"{self.op} {shapes} {json.dumps(describing, sort_keys=True)}"


def with_channels_last(*candidates: Candidate) -> tuple[Candidate, ...]:
    """The candidates, and for each one that does the same with channels last; torch knows that for 2D and 3D."""
    twins = (
        Candidate(f"{c.name}, channels last", c.calls, channels_last=True, low_precision=c.low_precision)
        for c in candidates
        if all(call.rank in (4, 5) for call in c.calls) and c.calls
    )
    return (*candidates, *twins)
