"""Layers paired by their places in two graphs, for networks whose names tell nothing about each other.

How sure a pair is, from 0 to 1:

    1.00  everything before and behind the layer is the same in both graphs, shapes of parameters included
    0.95  the same, shapes aside
    0.90  everything before the layer, or everything behind it, is the same, shapes included, and at least half of the
          layers of the smaller graph are paired so or better
    0.60  the same, but fewer are
    0.50  everything before the layer, or everything behind it, is the same, shapes aside
    0.30  the same operator and shapes, in the same order among those that are left

Exporters fold a normalization into the layer before it. Where the source has fewer of them, and pairs are surer without
them, the target's stays, and is filled so that it only adds the bias; such pairs are 0.95 at most.

Layers that a graph has several of at one place, as two equal branches into an Add, are paired one by one, in order, so
that what is behind or before one of them follows it.
"""

import difflib
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from onnxgrid.transplant.layer_graph import INPUT, NORM, Place, layer_graph

__all__ = ["MIN_CONFIDENCE", "Pair", "pair_by_structure"]

logger = logging.getLogger(__name__)

MIN_CONFIDENCE = 0.9
"""Pairs below are carried only when the user accepts them."""

SAME, SAME_BUT_SHAPES, ONE_SIDE, FEW_OF_ONE_SIDE, ONE_SIDE_BUT_SHAPES, IN_ORDER = 1.0, 0.95, 0.9, 0.6, 0.5, 0.3


MAX_TIES = 200
"""Of interchangeable layers, as many are told apart one by one: each takes one more pass over both graphs."""

MAX_COMPARISONS = 10**7
"""More pairs of layers than this are not put in order."""


@dataclass(frozen=True)
class Pair:
    """The weight of the source that stands for a parameter, and how sure that is.

    Args:
        factor: what its values are multiplied by.
        constant: then added: with factor 0, what stands for a part that the source does not have.
    """

    source: str
    confidence: float
    factor: float = 1.0
    constant: float = 0.0


def pair_by_structure(source: ir.Model, target: ir.Model) -> dict[str, Pair]:
    """By name of the target's parameters and statistics, the source's that has the same place; no values are read."""
    pairs = _pairs(source, target, fold=False)
    if _normalizations(source) >= _normalizations(target):
        return pairs
    folded = _pairs(source, target, fold=True)
    return folded if _sure(folded) > _sure(pairs) else pairs


def _normalizations(model: ir.Model) -> int:
    return sum(node.op_type == "BatchNormalization" for node in model.graph)


def _sure(pairs: dict[str, Pair]) -> int:
    return sum(pair.confidence >= MIN_CONFIDENCE for pair in pairs.values())


def _pairs(source: ir.Model, target: ir.Model, *, fold: bool) -> dict[str, Pair]:
    pairing = _Pairing(layer_graph(source, fold=fold), layer_graph(target, fold=fold))
    pairing.run()
    pairs: dict[str, Pair] = {}
    for theirs, (ours, confidence) in sorted(pairing.pairs.items()):
        source_place, target_place = pairing.source[ours], pairing.target[theirs]
        confidence = min(confidence, SAME_BUT_SHAPES) if fold else confidence
        for what, found in _of_layer(source_place, target_place, confidence).items():
            name = target_place.parameters[what]
            if name in pairs and pairs[name].source != found.source:
                # The target shares what the source has twice: one of the two would be lost.
                found = Pair(pairs[name].source, min(FEW_OF_ONE_SIDE, confidence, pairs[name].confidence))
            pairs[name] = found
    return pairs


def _of_layer(source: Place, target: Place, confidence: float) -> dict[str, Pair]:
    """By what they are for the target's layer, what stands for its parameters."""
    normalized = [any(what.startswith(NORM) for what in place.parameters) for place in (source, target)]
    if normalized == [True, False]:
        return {}  # the target's weights would have to be computed of several of the source's
    if normalized == [False, True]:
        return _unfolded(source, target, confidence)
    return {what: Pair(source.parameters[what], confidence) for what in target.parameters if what in source.parameters}


def _unfolded(source: Place, target: Place, confidence: float) -> dict[str, Pair]:
    """For a layer whose normalization was folded into it: it keeps those weights, and its normalization does nothing,
    but for adding the bias.
    """
    bias = source.parameters.get("bias")
    pairs = {"weight": Pair(source.parameters["weight"], confidence)}
    if bias is None:
        return pairs
    pairs[f"{NORM}weight"] = Pair(bias, confidence, factor=0, constant=1)
    pairs[f"{NORM}running_var"] = Pair(bias, confidence, factor=0, constant=1 - target.epsilon)
    added = f"{NORM}bias" in target.parameters
    pairs[f"{NORM}bias"] = Pair(bias, confidence)
    pairs[f"{NORM}running_mean"] = Pair(bias, confidence, factor=0 if added else -1)
    pairs["bias"] = Pair(bias, confidence, factor=0)
    return {what: pair for what, pair in pairs.items() if what in target.parameters}


Label = Hashable
Labels = list[Label]


class _Pairing:
    """Pairs of places found so far: target's index -> source's index and confidence."""

    def __init__(self, source: Sequence[Place], target: Sequence[Place]) -> None:
        self.source, self.target = source, target
        self.pairs: dict[int, tuple[int, float]] = {}
        self._numbers: dict[Hashable, int] = defaultdict(lambda: len(self._numbers))
        self._layers = min(sum(1 for place in places if place.parameters) for places in (source, target))

    def run(self) -> None:
        self._pair_both_sides(_with_shapes, SAME)
        self._pair_both_sides(_without_shapes, SAME_BUT_SHAPES)
        found = self._one_sided(_with_shapes)
        enough = 2 * (len(self._paired_layers()) + len(found)) >= self._layers
        self._add(found, ONE_SIDE if enough else FEW_OF_ONE_SIDE)
        self._add(self._one_sided(_without_shapes), ONE_SIDE_BUT_SHAPES)
        self._add(self._in_order(), IN_ORDER)

    def _paired_layers(self) -> list[int]:
        return [index for index in self.pairs if self.target[index].parameters]

    def _add(self, found: dict[int, int], confidence: float) -> None:
        taken = {source for source, _ in self.pairs.values()}
        for target, source in found.items():
            if source not in taken and target not in self.pairs:
                taken.add(source)
                self.pairs[target] = (source, confidence)

    def _pair_both_sides(self, labelled: Callable[[Place], Label], confidence: float) -> None:
        """Pair what has the same surroundings; where several do, one pair makes the next ones distinct."""
        labels = [[labelled(place) for place in places] for places in (self.source, self.target)]
        for _ in range(MAX_TIES):
            tied = None
            for sources, targets in self._classes(labels, (0, 1)):
                if len(sources) == len(targets) == 1:
                    self._add({targets[0]: sources[0]}, confidence)
                elif len(sources) == len(targets) and tied is None:
                    tied = sources[0], targets[0]
            if tied is None:
                return
            mark = ("paired", *tied)
            labels[0][tied[0]], labels[1][tied[1]] = (labels[0][tied[0]], mark), (labels[1][tied[1]], mark)
        logger.warning("more than %d layers are alike: the others are paired in their order, if at all", MAX_TIES)

    def _one_sided(self, labelled: Callable[[Place], Label]) -> dict[int, int]:
        """Target -> source of layers alone in having the same before them, or behind them; not where the two differ."""
        labels = [[labelled(place) for place in places] for places in (self.source, self.target)]
        found = {
            (targets[0], sources[0])
            for side in (0, 1)
            for sources, targets in self._classes(labels, (side,))
            if len(sources) == len(targets) == 1 and self.target[targets[0]].parameters
        }
        times = Counter(("target", target) for target, _ in found) + Counter(("source", source) for _, source in found)
        return {
            target: source
            for target, source in sorted(found)
            if times["target", target] == times["source", source] == 1
        }

    def _classes(self, labels: list[Labels], sides: tuple[int, ...]) -> Iterator[tuple[list[int], list[int]]]:
        """Indices of unpaired places of source and target that are the same on these sides."""
        members: dict[Hashable, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        paired = ({source for source, _ in self.pairs.values()}, set(self.pairs))
        for which, places in enumerate((self.source, self.target)):
            seen = self._before(places, labels[which]), self._behind(places, labels[which])
            for index in range(len(places)):
                if index not in paired[which]:
                    members[tuple(seen[side][index] for side in sides)][which].append(index)
        yield from members.values()

    def _before(self, places: Sequence[Place], labels: Labels) -> list[int]:
        """For each place a number that stands for it and all that comes before it."""
        numbers: list[int] = []
        for place, label in zip(places, labels, strict=True):
            sources = [INPUT if source == INPUT else numbers[source] for source in place.sources]
            numbers.append(self._numbers["before", label, tuple(sorted(sources) if place.commutes else sources)])
        return numbers

    def _behind(self, places: Sequence[Place], labels: Labels) -> list[int]:
        """For each place a number that stands for it and all that comes behind it."""
        readers: list[list[tuple[int, int]]] = [[] for _ in places]
        numbers = [0] * len(places)
        for index in reversed(range(len(places))):
            numbers[index] = self._numbers["behind", labels[index], tuple(sorted(readers[index]))]
            for position, source in enumerate(places[index].sources):
                if source != INPUT:
                    readers[source].append((numbers[index], 0 if places[index].commutes else position))
        return numbers

    def _in_order(self) -> dict[int, int]:
        taken = {source for source, _ in self.pairs.values()}
        left = [
            [i for i, place in enumerate(places) if i not in paired and place.parameters]
            for places, paired in ((self.source, taken), (self.target, self.pairs.keys()))
        ]
        if len(left[0]) * len(left[1]) > MAX_COMPARISONS:
            logger.warning("%d and %d layers without a pair are too many to be put in order", *map(len, left))
            return {}
        sequences = [
            [self._numbers[_with_shapes(places[i])] for i in indices]
            for places, indices in zip((self.source, self.target), left, strict=True)
        ]
        matcher = difflib.SequenceMatcher(None, sequences[0], sequences[1], autojunk=False)
        return {
            left[1][block.b + k]: left[0][block.a + k]
            for block in matcher.get_matching_blocks()
            for k in range(block.size)
        }


def _with_shapes(place: Place) -> Label:
    return place.operator, place.shape_key


def _without_shapes(place: Place) -> Label:
    return place.operator, tuple((what, len(shape)) for what, shape in place.shape_key)
