"""What a transplant will do: five lists, printable before anything is touched. `pairing` makes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from converters.roles import layer_of
from converters.weights import Weight, Weights
from onnxgrid.transplant.adaptation import Adaptation, ReadTarget
from onnxgrid.transplant.structure import MIN_CONFIDENCE

__all__ = ["Match", "PairedBy", "TargetParameter", "TransplantPlan", "Unused"]

INDENT = "   "

PairedBy = Literal["name", "structure", "hand"]


@dataclass(frozen=True)
class TargetParameter:
    """A parameter or statistic of the network that is to be filled; shape in ONNX axis order."""

    name: str
    layer: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Match:
    """A parameter of the network and the weight it is matched with.

    Args:
        source: the weight's name as read.
        stored_name: its name in the file.
        adaptation: what brings it to the parameter's shape and order; without steps if it has them; None if the rules
            do not do it.
        confidence: from 0 to 1 that the two belong together; 1 if their names say so.
        paired_by: what brought them together.
    """

    target: TargetParameter
    source: str
    stored_name: str
    source_shape: tuple[int, ...]
    adaptation: Adaptation | None
    confidence: float = 1.0
    paired_by: PairedBy = "name"

    @property
    def kind(self) -> Literal["copied", "adapted", "shape_mismatch"]:
        """Which list of the plan it belongs to, if it is to be carried."""
        if self.adaptation is None:
            return "shape_mismatch"
        return "adapted" if self.adaptation.steps else "copied"

    @property
    def label(self) -> str:
        return _label(self.target.name, self.stored_name)

    def carried(self, source: Weights, read_target: ReadTarget) -> Weight:
        """The weight to copy, in the parameter's shape; its values are read, and adapted, when they are asked for.

        Args:
            read_target: gives what the parameter holds so far: some rules fill up with it.
        """
        weight = source[self.source]
        if self.adaptation is None:
            raise ValueError(f"{self.target.name}: no rule brings {self.source_shape} to {self.target.shape}")
        return self.adaptation.weight(weight, read_target)


@dataclass(frozen=True)
class Unused:
    """A weight that the network has no place for: its name as read, its name in the file, and after the renames."""

    source: str
    stored_name: str
    renamed: str
    shape: tuple[int, ...]

    @property
    def label(self) -> str:
        return _label(self.renamed, self.stored_name)


@dataclass(frozen=True)
class TransplantPlan:
    """What is carried and what is not; lists of targets in the network's order, `unmatched_in_source` in the file's.

    Args:
        targets: all that could be filled.
        copied: matched by name and shape.
        adapted: matched, with what brings the weight to the target's shape and order of axes.
        unmatched_in_source: what the file holds and the network does not use.
        unmatched_in_target: what the network has and the file lacks.
        shape_mismatch: matched, but of another shape, and so left as it is.
        uncertain: matched by structure, but not surely enough to be carried.
        excluded: what was not to be carried.
        expected_names: what the file would call a parameter that it lacks, where that is another name than ours.
    """

    targets: tuple[TargetParameter, ...]
    copied: tuple[Match, ...]
    adapted: tuple[Match, ...]
    unmatched_in_source: tuple[Unused, ...]
    unmatched_in_target: tuple[TargetParameter, ...]
    shape_mismatch: tuple[Match, ...]
    uncertain: tuple[Match, ...] = ()
    excluded: tuple[TargetParameter, ...] = ()
    expected_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def carried(self) -> tuple[Match, ...]:
        """All that is copied, as it is or adapted, in the network's order."""
        matches = {match.target: match for match in (*self.copied, *self.adapted)}
        return tuple(matches[target] for target in self.targets if target in matches)

    def lines(self) -> list[str]:
        """One line for each thing that is not carried, in the words of the reference program; none if all is.

        "model" in them is the file that is loaded, "network" is what it is loaded into.
        """
        return [*self._skipped_lines(), *self._unused_lines()]

    def pair_lines(self) -> list[str]:
        """One line for each layer that was paired by structure with one of another name, and is carried."""
        pairs: dict[tuple[str, str], float] = {}
        for match in self.carried:
            if match.paired_by == "structure":
                layers = match.target.layer, layer_of(match.source)
                pairs[layers] = min(pairs.get(layers, 1.0), match.confidence)
        return [f"{INDENT}Paired layer {ours} with {theirs}: confidence {c:.2f}" for (ours, theirs), c in pairs.items()]

    def _skipped_lines(self) -> list[str]:
        mismatched = {match.target: match for match in self.shape_mismatch}
        uncertain = {match.target: match for match in self.uncertain}
        missing = set(self.unmatched_in_target)
        layers: dict[str, list[TargetParameter]] = {}
        for target in self.targets:
            layers.setdefault(target.layer, []).append(target)
        lines = []
        for layer, parameters in layers.items():
            if missing.issuperset(parameters):
                lines.append(f"{INDENT}Skipping layer {layer}: not found in model")
            for parameter in parameters:
                if parameter in missing:
                    label = _label(parameter.name, self.expected_names.get(parameter.name, parameter.name))
                    lines.append(f"{INDENT}Skipping parameter {label}: not found in model")
                elif parameter in mismatched:
                    match = mismatched[parameter]
                    shapes = f"shape {match.source_shape} in model, {parameter.shape} in network"
                    lines.append(f"{INDENT}Skipping parameter {match.label}: {shapes}")
                elif parameter in uncertain:
                    match = uncertain[parameter]
                    doubt = f"confidence {match.confidence:.2f}, below {MIN_CONFIDENCE:.2f}"
                    lines.append(f"{INDENT}Skipping parameter {match.label}: paired by structure at {doubt}")
        return lines

    def _unused_lines(self) -> list[str]:
        matches = (*self.copied, *self.adapted, *self.shape_mismatch, *self.uncertain)
        used_layers = {layer_of(match.target.name) for match in matches}
        lines: dict[str, None] = {}
        for unused in self.unmatched_in_source:
            layer = layer_of(unused.renamed)
            if layer in used_layers:
                lines[f"{INDENT}Unused parameter {unused.label}: not found in network"] = None
            else:
                lines[f"{INDENT}Unused layer {_label(layer, layer_of(unused.source))}: not found in network"] = None
        return list(lines)


def _label(name: str, source: str) -> str:
    """The name, and in parentheses what it is called in the file where that differs."""
    return name if name == source else f"{name} ({source})"
