"""Cells that are repeated, turned, moved or surrounded, and shapes filled with a number."""

from keras import ops

from tests.converters.operation_cases.case import Compute

CASES: dict[str, dict[str, Compute]] = {
    "BroadcastTo": {"a known batch": lambda x, y: ops.broadcast_to(x[:, :1], (2, 8, 6, 3)) + y},
    "EmptyLike": {"plain": lambda x, y: ops.ones_like(ops.empty_like(x)) * y},
    "Flip": {"one axis": lambda x, y: ops.flip(x, axis=1), "several": lambda x, y: ops.flip(x, axis=(2, 3))},
    "Fliplr": {"plain": lambda x, y: ops.fliplr(x)},
    "FullLike": {
        "plain": lambda x, y: ops.full_like(x, 2.5) * y,
        "integers": lambda x, y: ops.full_like(x, 3, "int32"),
    },
    "OnesLike": {"plain": lambda x, y: ops.ones_like(x) * y},
    "Pad": {
        "zeros": lambda x, y: ops.pad(x, ((0, 0), (1, 2), (0, 3), (1, 0))),
        "a number": lambda x, y: ops.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0)), constant_values=2.5),
        "reflected": lambda x, y: ops.pad(x, ((0, 0), (2, 1), (3, 0), (0, 0)), mode="reflect"),
        "symmetric": lambda x, y: ops.pad(x, ((0, 0), (1, 1), (0, 1), (0, 0)), mode="symmetric"),
        "its edge": lambda x, y: ops.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0)), mode="edge"),
        "symmetric, far": lambda x, y: ops.pad(x, ((0, 0), (3, 2), (0, 6), (0, 0)), mode="symmetric"),
        "wrapped": lambda x, y: ops.pad(x, ((0, 0), (3, 2), (0, 6), (0, 0)), mode="wrap"),
        "circular": lambda x, y: ops.pad(x, ((0, 0), (2, 3), (1, 0), (0, 0)), mode="circular"),
        "integers": lambda x, y: ops.pad(ops.argmax(x, axis=1), ((0, 0), (1, 2), (0, 0)), constant_values=7),
    },
    "Repeat": {
        "rows": lambda x, y: ops.repeat(x, 2, axis=1),
        "channels": lambda x, y: ops.repeat(x, 3, axis=-1),
        "one number for each": lambda x, y: ops.repeat(x, [2, 0, 1], axis=-1),
        "features": lambda x, y: ops.repeat(ops.mean(x, axis=(1, 2)), 2, axis=1),
    },
    "Roll": {
        "one axis": lambda x, y: ops.roll(x, 3, axis=1),
        "backwards": lambda x, y: ops.roll(x, -1, axis=-1),
        "several": lambda x, y: ops.roll(x, (2, 9), axis=(1, 2)),
        "all around": lambda x, y: ops.roll(x, 8, axis=1) + y,
    },
    "Rot90": {
        "once": lambda x, y: ops.rot90(x, axes=(1, 2)),
        "twice": lambda x, y: ops.rot90(x, k=2, axes=(1, 2)),
        "three times": lambda x, y: ops.rot90(x, k=3, axes=(1, 2)),
        "four times": lambda x, y: ops.rot90(x, k=4, axes=(1, 2)),
    },
    "Tile": {
        "rows and channels": lambda x, y: ops.tile(x, (1, 2, 1, 3)),
        "the last axis": lambda x, y: ops.tile(x, 2),
    },
    "ZerosLike": {"plain": lambda x, y: ops.zeros_like(x) + y},
}
