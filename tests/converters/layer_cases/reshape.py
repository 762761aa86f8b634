"""Cases of layers that move, repeat, add or remove cells."""

from collections.abc import Callable
from typing import Any

from keras import layers as kl

from tests.converters.layer_cases.case import IMAGE, INPUTS, OPEN, Case, channels_first, options


def up_sampling(layer: Callable[..., Any], rank: int) -> dict[str, Case]:
    size = {1: 3, 2: (2, 3), 3: (2, 1, 3)}[rank]
    table = {"plain": {}, "factors": {"size": size}}
    if rank == 2:
        table["bilinear"] = {"interpolation": "bilinear"}
        table["bilinear with factors"] = {"interpolation": "bilinear", "size": (3, 4)}
    return options(layer, table, INPUTS[rank])


def border(layer: Callable[..., Any], key: str, rank: int) -> dict[str, Case]:
    per_axis = (1, 2, 0)[:rank]
    pairs = ((1, 2), (0, 3), (2, 0))[:rank]
    table = {"plain": {}, "one number": {key: 2}}
    if rank == 1:
        table |= {"before and after": {key: (1, 3)}, "after alone": {key: (0, 2)}}
    else:
        table |= {"a number per axis": {key: per_axis}, "a pair per axis": {key: pairs}}
    cases = options(layer, table, INPUTS[rank])
    if layer is kl.Cropping1D:  # which has no data_format
        return cases
    return cases | channels_first(layer, rank, **{key: (1, 3) if rank == 1 else pairs})


def reshape(target: tuple[int, ...], *shapes: tuple[int | None, ...], **more: Any) -> Case:
    return Case(lambda: kl.Reshape(target), shapes or (IMAGE,), raw_outputs=True, **more)


CASES: dict[str, dict[str, Case]] = {
    "Flatten": {
        "the channels of a cell stand together": Case(lambda: kl.Flatten(), (IMAGE,)),
        "one channel": Case(lambda: kl.Flatten(), ((8, 11, 1),)),
        "one cell": Case(lambda: kl.Flatten(), ((1, 1, 3),)),
        "features": Case(lambda: kl.Flatten(), ((5,),)),
        "three spatial axes": Case(lambda: kl.Flatten(), (INPUTS[3],)),
        "channels first": Case(
            lambda: kl.Flatten(data_format="channels_first"), ((3, 8, 11),), raw_inputs=True, raw_outputs=True
        ),
        "channels first, then Dense": Case(
            lambda: [
                kl.Conv2D(4, 3, data_format="channels_first"),
                kl.Flatten(data_format="channels_first"),
                kl.Dense(3),
            ],
            ((3, 8, 11),),
            raw_inputs=True,
        ),
    },
    "Reshape": {
        "rows of a grid": reshape((-1, 3)),
        "a matrix": reshape((11, 24)),
        "features": reshape((264,)),
        "an image of another size": reshape((11, 4, 6)),
        "features become an image": reshape((2, 3, 4), (24,)),
        "features become channels without space": Case(lambda: kl.Reshape((1, 1, 5)), ((5,),)),
        "channels without space become features": reshape((5,), (1, 1, 5)),
        "unknown size": reshape((-1, 3), OPEN, sizes=(IMAGE,)),
        "a matrix and back": Case(lambda: [kl.Reshape((88, 3)), kl.Reshape(IMAGE)], (IMAGE,), raw_outputs=True),
        "then a convolution": Case(lambda: [kl.Reshape((24, 11)), kl.Conv1D(4, 3)], (IMAGE,)),
    },
    "Permute": {
        "a matrix": Case(lambda: kl.Permute((2, 1)), (INPUTS[1],), raw_outputs=True),
        "an image": Case(lambda: kl.Permute((3, 1, 2)), (IMAGE,), raw_outputs=True),
        "an image, its rows last": Case(lambda: kl.Permute((2, 3, 1)), (IMAGE,), raw_outputs=True),
        "there and back": Case(
            lambda: [kl.Permute((2, 1, 3)), kl.Permute((2, 1, 3)), kl.ReLU()], (IMAGE,), raw_outputs=True
        ),
        "nothing moves": Case(lambda: kl.Permute((1, 2, 3)), (IMAGE,), raw_outputs=True),
        "then a convolution": Case(lambda: [kl.Permute((2, 1, 3)), kl.Conv2D(4, (3, 5))], (IMAGE,)),
    },
    "RepeatVector": {
        "plain": Case(lambda: kl.RepeatVector(3), ((5,),), raw_outputs=True),
        "then a convolution": Case(lambda: [kl.RepeatVector(6), kl.Conv1D(4, 3)], ((5,),)),
    },
    "UpSampling1D": up_sampling(kl.UpSampling1D, 1),
    "UpSampling2D": up_sampling(kl.UpSampling2D, 2)
    | {
        "bilinear with unknown size": Case(
            lambda: kl.UpSampling2D((2, 3), interpolation="bilinear"), (OPEN,), sizes=(IMAGE,)
        )
    },
    "UpSampling3D": up_sampling(kl.UpSampling3D, 3),
    "ZeroPadding1D": border(kl.ZeroPadding1D, "padding", 1),
    "ZeroPadding2D": border(kl.ZeroPadding2D, "padding", 2),
    "ZeroPadding3D": border(kl.ZeroPadding3D, "padding", 3),
    "Cropping1D": border(kl.Cropping1D, "cropping", 1),
    "Cropping2D": border(kl.Cropping2D, "cropping", 2),
    "Cropping3D": border(kl.Cropping3D, "cropping", 3),
}
