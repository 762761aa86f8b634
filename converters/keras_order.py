"""The orders of Keras: in which it lists the layers of a network, as do its files of weights, and runs their calls.

Source: keras/src/ops/function.py, `map_graph` and `_run_through_graph`.
"""

from collections.abc import Iterator, Mapping, Sequence

__all__ = ["NodeKey", "keras_order", "run_order"]

NodeKey = tuple[str, int]
"""A layer's name and the number of one of its calls."""


def keras_order(parents: Mapping[NodeKey, Sequence[NodeKey]], outputs: Sequence[NodeKey]) -> tuple[str, ...]:
    """The names of the layers: the farther from the outputs, the earlier; else as a walk from the outputs meets them.

    Args:
        parents: of each call, those whose tensors it takes, in the order of its arguments; without cycles.
        outputs: the calls that give the network's outputs.
    """
    finished, first_met = _walk(parents, outputs)
    depths, _of_calls = _depths(finished, parents)
    return tuple(sorted(depths, key=lambda name: (-depths[name], first_met[name])))


def run_order(parents: Mapping[NodeKey, Sequence[NodeKey]], outputs: Sequence[NodeKey]) -> tuple[NodeKey, ...]:
    """The calls: the farther from the outputs, the earlier; else as Keras meets them on its way back from the outputs.

    Arguments as of `keras_order`.
    """
    finished, _first_met = _walk(parents, outputs)
    _of_layers, depths = _depths(finished, parents)
    return tuple(sorted(depths, key=lambda key: -depths[key]))  # what is equal stays in the order of the dict


def _depths(
    finished: Sequence[NodeKey], parents: Mapping[NodeKey, Sequence[NodeKey]]
) -> tuple[dict[str, int], dict[NodeKey, int]]:
    """How far each layer and each call is from the outputs; a layer is as far as the farthest of its calls."""
    of_layers: dict[str, int] = {}
    of_calls: dict[NodeKey, int] = {}
    for key in reversed(finished):
        depth = max(of_calls.get(key, 0), of_layers.get(key[0], 0))
        of_layers[key[0]] = of_calls[key] = depth
        for parent in parents[key]:
            of_calls[parent] = max(of_calls.get(parent, 0), depth + 1)
    return of_layers, of_calls


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
