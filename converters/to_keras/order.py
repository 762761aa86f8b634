"""The order in which Keras lists the layers of a network, which is that of the weights in its files.

Source: keras/src/ops/function.py, `map_graph`.
"""

from collections.abc import Iterator, Mapping, Sequence

__all__ = ["NodeKey", "keras_order"]

NodeKey = tuple[str, int]
"""A layer's name and the number of one of its calls."""


def keras_order(parents: Mapping[NodeKey, Sequence[NodeKey]], outputs: Sequence[NodeKey]) -> tuple[str, ...]:
    """The names of the layers: the farther from the outputs, the earlier; else as a walk from the outputs meets them.

    Args:
        parents: of each call, those whose tensors it takes, in the order of its arguments; without cycles.
        outputs: the calls that give the network's outputs.
    """
    finished, first_met = _walk(parents, outputs)
    call_depths: dict[NodeKey, int] = {}
    depths: dict[str, int] = {}
    for key in reversed(finished):
        depth = max(call_depths.get(key, 0), depths.get(key[0], 0))
        depths[key[0]] = depth
        for parent in parents[key]:
            call_depths[parent] = max(call_depths.get(parent, 0), depth + 1)
    return tuple(sorted(depths, key=lambda name: (-depths[name], first_met[name])))


def _walk(
    parents: Mapping[NodeKey, Sequence[NodeKey]], outputs: Sequence[NodeKey]
) -> tuple[list[NodeKey], dict[str, int]]:
    """The calls in the order in which a depth-first walk leaves them, and when it first meets each layer.

    Written without recursion, as networks are deeper than Python's stack.
    """
    finished: dict[NodeKey, None] = {}
    first_met: dict[str, int] = {}
    path: list[tuple[NodeKey | None, Iterator[NodeKey]]] = [(None, iter(outputs))]
    while path:
        key, ahead = path[-1]
        coming = next(ahead, None)
        if coming is None:
            path.pop()
            if key is not None:
                finished[key] = None
        elif coming not in finished:
            first_met.setdefault(coming[0], len(first_met))
            path.append((coming, iter(parents[coming])))
    return list(finished), first_met
