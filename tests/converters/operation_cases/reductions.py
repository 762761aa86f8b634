"""Sums, means, extremes, norms, positions, and sums along an axis."""

from keras import ops

from tests.converters.operation_cases.case import Compute, positive


def with_gaps(x, y):
    """Numbers, and in some places what is none."""
    return x + 0 * ops.log(y + 1.0)


CASES: dict[str, dict[str, Compute]] = {
    "All": {
        "plain": lambda x, y: ops.all(x > -3.0, axis=(1, 2)),
        "kept": lambda x, y: ops.all(x > -2, 2, keepdims=True),
    },
    "Amax": {"plain": lambda x, y: ops.amax(x, axis=1)},
    "Amin": {"plain": lambda x, y: ops.amin(x, axis=1)},
    "Any": {"plain": lambda x, y: ops.any(x > 3.0, axis=(1, 2)), "numbers": lambda x, y: ops.any(ops.relu(x), axis=1)},
    "Argmax": {
        "channels": lambda x, y: ops.argmax(x, axis=-1),
        "rows": lambda x, y: ops.argmax(x, axis=1),
        "kept": lambda x, y: ops.argmax(x, axis=2, keepdims=True),
    },
    "Argmin": {"plain": lambda x, y: ops.argmin(x, axis=-1)},
    "Average": {
        "plain": lambda x, y: ops.average(x, axis=1),
        "weighted": lambda x, y: ops.average(x, axis=-1, weights=positive(3)),
    },
    "CountNonzero": {"plain": lambda x, y: ops.count_nonzero(ops.relu(x), axis=(1, 2, 3))},
    "Cumsum": {
        "channels": lambda x, y: ops.cumsum(x, axis=-1),
        "rows": lambda x, y: ops.cumsum(x, axis=1),
        "integers": lambda x, y: ops.cumsum(ops.argmax(x, axis=1), axis=1),
    },
    "Diff": {"plain": lambda x, y: ops.diff(x, axis=1), "twice": lambda x, y: ops.diff(x, n=2)},
    "Logsumexp": {
        "plain": lambda x, y: ops.logsumexp(30 * x, axis=(1, 2)),
        "kept": lambda x, y: ops.logsumexp(x, -1, True),
    },
    "Max": {
        "space": lambda x, y: ops.max(x, axis=(1, 2)),
        "kept": lambda x, y: ops.max(x, axis=(1, 2), keepdims=True),
        "with a least one": lambda x, y: ops.max(x, axis=1, initial=2.0),
        "integers": lambda x, y: ops.max(ops.argmax(x, axis=1), axis=1),
    },
    "Mean": {
        "space": lambda x, y: ops.mean(x, axis=(1, 2)),
        "space, kept": lambda x, y: ops.mean(x, axis=(1, 2), keepdims=True),
        "channels": lambda x, y: ops.mean(x, axis=-1),
        "rows": lambda x, y: ops.mean(x, axis=1),
        "columns and channels": lambda x, y: ops.mean(x, axis=(2, 3)),
        "all but the batch": lambda x, y: ops.mean(x, axis=(1, 2, 3)),
        "booleans": lambda x, y: ops.mean(x > 0, axis=1),
    },
    "Min": {"plain": lambda x, y: ops.min(x, axis=2)},
    "Moments": {
        "plain": lambda x, y: ops.moments(x, axes=[1, 2]),
        "kept": lambda x, y: ops.moments(x, axes=[1], keepdims=True),
    },
    "Nanmax": {
        "plain": lambda x, y: ops.nanmax(with_gaps(x, y), axis=1),
        "none": lambda x, y: ops.isnan(ops.nanmax(ops.log(-ops.abs(x)), 1)),
    },
    "Nanmean": {"plain": lambda x, y: ops.nanmean(with_gaps(x, y), axis=(1, 2), keepdims=True)},
    "Nanmin": {"plain": lambda x, y: ops.nanmin(with_gaps(x, y), axis=1)},
    "Nanprod": {"plain": lambda x, y: ops.nanprod(with_gaps(x, y), axis=1)},
    "Nansum": {"plain": lambda x, y: ops.nansum(with_gaps(x, y), axis=(1, 2))},
    "Norm": {
        "vectors": lambda x, y: ops.norm(x, axis=-1),
        "order 1": lambda x, y: ops.norm(x, ord=1, axis=1, keepdims=True),
        "order 3": lambda x, y: ops.norm(x, ord=3, axis=1),
        "order 0": lambda x, y: ops.norm(ops.relu(x), ord=0, axis=1),
        "matrices": lambda x, y: ops.norm(x, axis=(1, 2)),
        "matrices by name": lambda x, y: ops.norm(x, ord="fro", axis=(1, 2)),
    },
    "Normalize": {
        "plain": lambda x, y: ops.normalize(x),
        "rows": lambda x, y: ops.normalize(x, axis=1),
        "order 3": lambda x, y: ops.normalize(x, axis=1, order=3),
        "short vectors": lambda x, y: ops.normalize(1e-3 * x, epsilon=1e-3),
    },
    "Prod": {"plain": lambda x, y: ops.prod(x, axis=1), "kept": lambda x, y: ops.prod(x, axis=(1, 2), keepdims=True)},
    "Ptp": {"plain": lambda x, y: ops.ptp(x, axis=1)},
    "Std": {"plain": lambda x, y: ops.std(x, axis=(1, 2)), "kept": lambda x, y: ops.std(x, axis=-1, keepdims=True)},
    "Sum": {
        "plain": lambda x, y: ops.sum(x, axis=-1),
        "kept": lambda x, y: ops.sum(x, axis=1, keepdims=True),
        "booleans": lambda x, y: ops.sum(x > 0, axis=1),
    },
    "Trapezoid": {"plain": lambda x, y: ops.trapezoid(x, axis=1, dx=0.5)},
    "Var": {"plain": lambda x, y: ops.var(x, axis=(1, 2)), "kept": lambda x, y: ops.var(x, axis=1, keepdims=True)},
}
