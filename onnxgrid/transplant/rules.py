"""What a user asks of a transplant: which names stand for which, what is carried, and how shapes are adapted."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase

from onnxgrid.errors import TransplantError
from onnxgrid.transplant.adaptation import require_rules
from onnxgrid.transplant.matching import Rename
from onnxgrid.transplant.usage import Flattened

__all__ = ["CHANNELS_FIRST", "NO_RULES", "MatchBy", "TransplantRules", "parse_sizes"]

CHANNELS_FIRST = "channels_first:"
"""Before sizes that stand in torch's order."""

SIZES = re.compile(r"[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})+")


class MatchBy(Enum):
    """How the source's parameters are paired with the target's."""

    NAME = "name"
    """Those of the same name, after the renames."""
    STRUCTURE = "structure"
    """Those of the same name first; the others by their layers' places in the two graphs."""


@dataclass(frozen=True, kw_only=True)
class TransplantRules:
    """What goes where, and how.

    Args:
        renames: applied in order to each name of the source before it is looked for in the target.
        only: globs; if there are any, a parameter is carried only if one matches its name in the target, or its layer.
        exclude: globs; what one of them matches is not carried.
        adapt: names of rules (`onnxgrid.transplant.adaptation.RULES`) for arrays of another shape, in order of trial.
        match: how parameters are paired.
        accept_uncertain: whether pairs are carried that only look alike (`structure.MIN_CONFIDENCE`).
        source_sizes: by layer, what the input of a Dense of the source was before a Flatten, where no graph says so.
        target_sizes: the same of the target.

    Raises:
        TransplantError: if a rule is unknown or named twice.
    """

    renames: tuple[Rename, ...] = ()
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    adapt: tuple[str, ...] = ()
    match: MatchBy = MatchBy.NAME
    accept_uncertain: bool = False
    source_sizes: Mapping[str, Flattened] = field(default_factory=dict)
    target_sizes: Mapping[str, Flattened] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_rules(self.adapt)

    @classmethod
    def parse(
        cls,
        *,
        renames: Sequence[str] = (),
        only: Sequence[str] = (),
        exclude: Sequence[str] = (),
        adapt: Sequence[str] = (),
        match: str = MatchBy.NAME.value,
        accept_uncertain: bool = False,
        source_sizes: Sequence[str] = (),
        target_sizes: Sequence[str] = (),
    ) -> "TransplantRules":
        """The rules as text: renames as `REGEX=>REPLACEMENT`, sizes as `LAYER=H,W,C`.

        Raises:
            TransplantError: if one is not so written.
        """
        return cls(
            renames=tuple(Rename.parse(text) for text in renames),
            only=tuple(only),
            exclude=tuple(exclude),
            adapt=tuple(adapt),
            match=_match_by(match),
            accept_uncertain=accept_uncertain,
            source_sizes=dict(parse_sizes(text) for text in source_sizes),
            target_sizes=dict(parse_sizes(text) for text in target_sizes),
        )

    @property
    def asks_for_sizes(self) -> bool:
        """Whether it matters what the inputs of a Dense were before a Flatten."""
        return bool(self.adapt or self.source_sizes or self.target_sizes)

    def selects(self, layer: str, name: str) -> bool:
        """Whether a parameter, named as in the target, is to be carried."""
        wanted = not self.only or any(_matches(glob, layer, name) for glob in self.only)
        return wanted and not any(_matches(glob, layer, name) for glob in self.exclude)

    def require_matches(self, parameters: Iterable[tuple[str, str]]) -> None:
        """Nothing, if every glob matches one of these layers and names.

        Raises:
            TransplantError: for the first that does not.
        """
        known = list(parameters)
        for option, globs in (("only", self.only), ("exclude", self.exclude)):
            for glob in globs:
                if not any(_matches(glob, layer, name) for layer, name in known):
                    raise TransplantError(
                        "matches no layer and no parameter",
                        place=f"{option} '{glob}'",
                        fix="Give a layer or a parameter of the target, as 'conv_1', 'enc_*' or '*.bias'.",
                    )


NO_RULES = TransplantRules()


def _matches(glob: str, layer: str, name: str) -> bool:
    return fnmatchcase(name, glob) or fnmatchcase(layer, glob)


def _match_by(text: str) -> MatchBy:
    try:
        return MatchBy(text)
    except ValueError:
        raise TransplantError(
            "is no way of matching", place=f"match '{text}'", fix="Use 'name' or 'structure'."
        ) from None


def parse_sizes(text: str) -> tuple[str, Flattened]:
    """The layer, and what its input was before a Flatten, of `LAYER=H,W,C` or `LAYER=channels_first:C,H,W`.

    Raises:
        TransplantError: if it is not so written.
    """
    layer, equals, sizes = text.rpartition("=")
    channels_last = not sizes.startswith(CHANNELS_FIRST)
    numbers = sizes.removeprefix(CHANNELS_FIRST)
    if not equals or not layer or not SIZES.fullmatch(numbers):
        raise TransplantError(
            "is not of the form LAYER=H,W,C",
            place=f"sizes '{text}'",
            fix="Write for example 'dense_1=8,8,32', or 'fc1=channels_first:32,8,8'.",
        )
    given = [int(number) for number in numbers.split(",")]
    channels = given.pop() if channels_last else given.pop(0)
    return layer, Flattened(tuple(given), channels, channels_last)
