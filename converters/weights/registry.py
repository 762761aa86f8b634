"""Which module reads and writes which weight file: by the end of its name."""

import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from converters.atomic_file import refused_unless_written, replacing_or_refused
from converters.errors import WeightFileError
from converters.weights.weight import Weights, cast_weights

if TYPE_CHECKING:
    import numpy.typing as npt

    from converters.head_start import HeadStart
    from converters.weights.keras_names import NetworkLayer

__all__ = [
    "NAMED_BY_NETWORK",
    "READERS",
    "REWRITERS",
    "WRITERS",
    "WRITTEN_BY_NETWORK",
    "Writing",
    "files_of",
    "is_rewritten_as",
    "is_written_by_network",
    "read_weights",
    "reads",
    "rewrite_weights",
    "rewrites",
    "write_weights",
    "writes",
]

logger = logging.getLogger(__name__)

Reader = TypeVar("Reader", bound=Callable[..., Weights])

READERS: dict[str, Callable[..., Weights]] = {}
"""Suffix, with its dot and in lower case -> reader. Filled by `@reads`."""

NAMED_BY_NETWORK: set[str] = set()
"""Suffixes whose readers take the layers of a network too. Filled by `@reads`."""


OTHERS: dict[str, Callable[[Path], Iterable[Path]]] = {}
"""Suffix -> what gives the other files that belong to one so named. Filled by `@reads`."""


def reads(
    *suffixes: str, named_by_network: bool = False, others: Callable[[Path], Iterable[Path]] | None = None
) -> Callable[[Reader], Reader]:
    """A decorator that makes a function the reader of files so named; a suffix has one owner.

    Args:
        named_by_network: whether it takes, besides the path, the layers of the network that the weights are for.
        others: gives the other files that belong to one.
    """

    def register(reader: Reader) -> Reader:
        for suffix in suffixes:
            if suffix in READERS:
                raise ValueError(f"{suffix} is read by {READERS[suffix].__module__} already")
            READERS[suffix] = reader
            if named_by_network:
                NAMED_BY_NETWORK.add(suffix)
            if others is not None:
                OTHERS[suffix] = others
        return reader

    return register


Writer = TypeVar("Writer", bound=Callable[..., None])

WRITERS: dict[str, Callable[..., None]] = {}
"""Suffix, with its dot and in lower case -> writer of a path, weights and a `Writing`. Filled by `@writes`."""

REWRITERS: dict[str, Callable[..., None]] = {}
"""Suffix -> writer of a path, the `Writing`, and of what `rewrite_weights` takes. Filled by `@rewrites`."""

WRITTEN_BY_NETWORK: set[str] = set()
"""Suffixes of files in which weights stand by the layers of a network, not by name. Filled by `@writes`."""

OF_SEVERAL_FILES: set[str] = set()
"""Suffixes of files that others belong to; their writers see to it that these appear together. Filled by `@writes`."""


@dataclass(frozen=True, kw_only=True)
class Writing:
    """How weights are written.

    Args:
        network: the layers of the network that the weights are of, as `converters.to_keras` gives them: files of Keras
            that are written anew need them.
        config: the JSON of that network (`converters.to_keras_json`), which `.keras` archives hold.
        dtype: of all weights that are floats; None keeps the type that each has, or has in the file that is copied.
        max_shard_bytes: how large each file may be, where several are written (`.safetensors.index.json`); None for the
            format's own measure.
        durable: whether to wait for the disk, so that the file survives a power failure.
        spared: files that are not to be removed, though they belong to a file that is replaced; links followed.
        head_start: of data that were begun in the background for this path.
    """

    network: "Sequence[NetworkLayer]" = ()
    config: str = ""
    dtype: "npt.DTypeLike | None" = None
    max_shard_bytes: int | None = None
    durable: bool = True
    spared: frozenset[Path] = frozenset()
    head_start: "HeadStart | None" = None

    def obsolete(
        self, path: Path, files: Iterable[Path], beside: Iterable[Path], belonging: Callable[[Path], Iterable[Path]]
    ) -> Sequence[Path]:
        """Those of the files of what stands at `path` that nothing needs when it is replaced.

        Kept, besides spared ones, are those that another file in the folder names, such as a copy of what stands at
        `path`: this is logged.

        Args:
            beside: what may be such a copy.
            belonging: gives the files that belong to one.
        """
        left = {file.resolve(): file for file in files if file.resolve() not in self.spared}
        for other in sorted(beside) if left else ():
            if other.name.startswith(".") or other.resolve() == path.resolve() or not other.is_file():
                continue
            with contextlib.suppress(OSError, WeightFileError):  # what cannot be read needs nothing
                for needed in belonging(other):
                    file = left.pop(needed.resolve(), None)
                    if file is not None:
                        logger.warning("%s is kept, as %s needs it", file, other)
        return list(left.values())

    def require_room_for_others(self, path: Path) -> None:
        """Nothing, if files beside what stands at `path` are beside `path`.

        Raises:
            WeightFileError: if they are not.
        """
        if path.resolve().parent != path.parent.resolve():
            raise WeightFileError(
                f"is a link to {path.resolve()}, and other files would have to lie beside both",
                place=str(path),
                fix="Give the file that the link stands for.",
            )


def writes(*suffixes: str, by_network: bool = False, several_files: bool = False) -> Callable[[Writer], Writer]:
    """A decorator that makes a function the writer of files so named; a suffix has one owner.

    Args:
        by_network: whether weights stand in the file by the layers of a network.
        several_files: whether it writes several files, and gives them their names itself.
    """

    def register(writer: Writer) -> Writer:
        for suffix in suffixes:
            _take(WRITERS, suffix, writer, "written")
            if by_network:
                WRITTEN_BY_NETWORK.add(suffix)
            if several_files:
                OF_SEVERAL_FILES.add(suffix)
        return writer

    return register


def rewrites(*suffixes: str, several_files: bool = False) -> Callable[[Writer], Writer]:
    """A decorator that makes a function the writer of files that are one of these but for the values of weights.

    Args:
        several_files: as of `writes`.
    """

    def register(writer: Writer) -> Writer:
        for suffix in suffixes:
            _take(REWRITERS, suffix, writer, "rewritten")
            if several_files:
                OF_SEVERAL_FILES.add(suffix)
        return writer

    return register


def _take(owners: dict[str, Callable[..., None]], suffix: str, writer: Callable[..., None], done: str) -> None:
    if suffix in owners:
        raise ValueError(f"{suffix} is {done} by {owners[suffix].__module__} already")
    owners[suffix] = writer


def is_written_by_network(path: Path) -> bool:
    """Whether weights stand in a file so named by the layers of a network, which `write_weights` then needs.

    Raises:
        WeightFileError: if the kind is unknown.
    """
    return _suffix(path, WRITERS) in WRITTEN_BY_NETWORK


def is_rewritten_as(like: Path, path: Path) -> bool:
    """Whether `rewrite_weights` can make `path` of `like`: both are of one kind."""
    known = READERS | WRITERS
    kinds = [REWRITERS.get(_suffix(file, known)) for file in (like, path)]
    return kinds[0] is not None and kinds[0] is kinds[1]


AS_IT_IS = Writing()


def write_weights(path: Path, weights: Weights, how: Writing = AS_IT_IS) -> None:
    """Write weights to a file of the kind that its name says: under another name beside it, then renamed.

    Raises:
        WeightFileError: if the kind is unknown, a weight cannot be read or cast, or the file cannot be written there.
        WritingFailed: if the disk is full or broken.
    """
    suffix = _suffix(path, WRITERS)
    written = weights if how.dtype is None else cast_weights(weights, how.dtype)
    _write(path, suffix, how, lambda place: WRITERS[suffix](place, written, how))


def rewrite_weights(path: Path, like: Path, kept: Weights, changed: Weights, how: Writing = AS_IT_IS) -> None:
    """Write a copy of a weight file in which some weights have other values; all else that it holds stays.

    Args:
        like: the file, of the same kind (`is_rewritten_as`); may be `path` itself, which then is replaced.
        kept: all of its weights, as `read_weights` gave them.
        changed: new ones by names of `kept`, in the shapes that they have there.

    Raises:
        WeightFileError: if a weight cannot be read or cast, or the file cannot be written there.
        WritingFailed: if the disk is full or broken.
    """
    assert is_rewritten_as(like, path), (like, path)
    for name, weight in changed.items():
        assert weight.shape == kept[name].shape, (name, weight.shape, kept[name].shape)
    suffix = _suffix(path, REWRITERS)
    new = {name: weight.cast(kept[name].dtype if how.dtype is None else how.dtype) for name, weight in changed.items()}
    if how.dtype is not None:
        new = {name: new.get(name, weight) for name, weight in cast_weights(kept, how.dtype).items()}
    _write(path, suffix, how, lambda place: REWRITERS[suffix](place, like, kept, new, how))


def _write(path: Path, suffix: str, how: Writing, write: Callable[[Path], None]) -> None:
    if suffix not in OF_SEVERAL_FILES:
        if how.max_shard_bytes is not None:
            raise WeightFileError(
                "is one file, whose size has no limit",
                place=str(path),
                fix="Name an index (.safetensors.index.json) to write several files.",
            )
        with replacing_or_refused(path, WeightFileError, durable=how.durable) as temporary:
            try:
                write(temporary)
            except WeightFileError as error:
                if error.place != str(temporary):
                    raise
                raise WeightFileError(error.problem, place=str(path), fix=error.fix) from None
        return
    with refused_unless_written(path, WeightFileError):
        write(path)


def files_of(path: Path) -> tuple[Path, ...]:
    """A weight file, and the others that belong to it: external data of a model, files that an index names.

    Raises:
        WeightFileError: if the file is of an unknown kind, or cannot be read.
    """
    others = OTHERS.get(_suffix(path, READERS))
    return (path, *(others(path) if others is not None else ()))


def read_weights(path: Path, network: "Sequence[NetworkLayer]" = ()) -> Weights:
    """The parameters and statistics of a weight file, by name and in its order; values are read when asked for.

    Args:
        network: the layers of the network that the weights are for (`network_layers`): they tell what files of Keras
            do not say of themselves.

    Raises:
        WeightFileError: if the file is missing, empty, broken or of an unknown kind.
    """
    suffix = _suffix(path, READERS)
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise WeightFileError(
            f"cannot be read: {error.strerror}", place=str(path), fix="Give the path of a readable weight file."
        ) from None
    if empty:
        raise WeightFileError("the file is empty", place=str(path), fix="Give a whole weight file.")
    return READERS[suffix](path, network) if suffix in NAMED_BY_NETWORK else READERS[suffix](path)


def _suffix(path: Path, known: Iterable[str]) -> str:
    # The longest suffix wins, as `.weights.h5` is another format than `.h5`.
    for suffix in sorted(known, key=len, reverse=True):
        if path.name.lower().endswith(suffix):
            return suffix
    raise WeightFileError(
        f"the suffix '{path.suffix}' is not one of a weight file",
        place=str(path),
        fix=f"Use one of: {', '.join(sorted(known))}.",
    )
