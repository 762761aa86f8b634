"""What a transplant will do, decided from names and shapes alone: five lists, printable before anything is touched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import onnx_ir as ir

from converters.roles import Role, initializer_roles, layer_of
from converters.weights import Weights
from converters.weights.onnx import initializer_tensor
from onnxgrid.transplant.matching import Rename, rename_all

__all__ = ["Match", "TargetParameter", "TransplantPlan", "Unused", "describe_targets", "plan_transplant"]

INDENT = "   "


@dataclass(frozen=True)
class TargetParameter:
    """A parameter or statistic of the network that is to be filled; shape in ONNX axis order."""

    name: str
    layer: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Match:
    """A parameter of the network and the weight it is matched with: its name as read and in the file, its shape."""

    target: TargetParameter
    source: str
    stored_name: str
    source_shape: tuple[int, ...]

    @property
    def label(self) -> str:
        return _label(self.target.name, self.stored_name)


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
    """The five lists; those of targets in the network's order, `unmatched_in_source` in the file's.

    Args:
        targets: all that could be filled.
        copied: matched by name and shape.
        adapted: matched by name, with a rule that makes the shapes equal.
        unmatched_in_source: what the file holds and the network does not use.
        unmatched_in_target: what the network has and the file lacks.
        shape_mismatch: matched by name alone, and so left as it is.
        expected_names: what the file would call a parameter that it lacks, where that is another name than ours.
    """

    targets: tuple[TargetParameter, ...]
    copied: tuple[Match, ...]
    adapted: tuple[Match, ...]
    unmatched_in_source: tuple[Unused, ...]
    unmatched_in_target: tuple[TargetParameter, ...]
    shape_mismatch: tuple[Match, ...]
    expected_names: Mapping[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """One line for each thing that is not carried, in the words of the reference program; none if all is.

        "model" in them is the file that is loaded, "network" is what it is loaded into.
        """
        return [*self._skipped_lines(), *self._unused_lines()]

    def _skipped_lines(self) -> list[str]:
        mismatched = {match.target: match for match in self.shape_mismatch}
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
        return lines

    def _unused_lines(self) -> list[str]:
        used_layers = {layer_of(match.target.name) for match in (*self.copied, *self.adapted, *self.shape_mismatch)}
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


def describe_targets(model: ir.Model) -> tuple[TargetParameter, ...]:
    """The parameters and statistics of a model, in the order in which its nodes use them."""
    roles = initializer_roles(model)
    used = [value.name for node in model.graph for value in node.inputs if value is not None]
    names = dict.fromkeys([*(name for name in used if name in roles), *roles])
    return tuple(
        TargetParameter(name, roles[name].layer, tuple(initializer_tensor(model, name).shape.numpy()))
        for name in names
        if roles[name].kind is not Role.CONSTANT
    )


def plan_transplant(
    source: Weights,
    targets: Sequence[TargetParameter],
    renames: Sequence[Rename] = (),
    expected_names: Mapping[str, str] = MappingProxyType({}),
) -> TransplantPlan:
    """What of `source` goes where in `targets`; nothing is read or changed.

    Args:
        expected_names: as of `TransplantPlan`.

    Raises:
        TransplantError: if the renames give two weights one name.
    """
    available = rename_all(source, renames)
    copied: list[Match] = []
    mismatched: list[Match] = []
    missing: list[TargetParameter] = []
    for target in targets:
        name = available.get(target.name)
        if name is None:
            missing.append(target)
            continue
        match = Match(target, name, _stored_name(source, name), source[name].shape)
        (copied if match.source_shape == target.shape else mismatched).append(match)
    wanted = {target.name for target in targets}
    unused = [
        Unused(name, _stored_name(source, name), renamed, source[name].shape)
        for renamed, name in available.items()
        if renamed not in wanted
    ]
    return TransplantPlan(
        targets=tuple(targets),
        copied=tuple(copied),
        adapted=(),
        unmatched_in_source=tuple(unused),
        unmatched_in_target=tuple(missing),
        shape_mismatch=tuple(mismatched),
        expected_names=expected_names,
    )


def _stored_name(source: Weights, name: str) -> str:
    return source[name].stored_name or name
