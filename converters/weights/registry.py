"""Which module reads which weight file: by the end of its name."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from converters.atomic_file import replacing_or_refused
from converters.errors import WeightFileError
from converters.weights.weight import Weights

if TYPE_CHECKING:
    from converters.weights.keras_names import NetworkLayer

__all__ = [
    "NAMED_BY_NETWORK",
    "READERS",
    "WRITERS",
    "WRITTEN_BY_NETWORK",
    "is_written_by_network",
    "read_weights",
    "reads",
    "write_weights",
    "writes",
]

Reader = TypeVar("Reader", bound=Callable[..., Weights])

READERS: dict[str, Callable[..., Weights]] = {}
"""Suffix, with its dot and in lower case -> reader. Filled by `@reads`."""

NAMED_BY_NETWORK: set[str] = set()
"""Suffixes whose readers take the layers of a network too. Filled by `@reads`."""


def reads(*suffixes: str, named_by_network: bool = False) -> Callable[[Reader], Reader]:
    """A decorator that makes a function the reader of files so named; a suffix has one owner.

    Args:
        named_by_network: whether it takes, besides the path, the layers of the network that the weights are for.
    """

    def register(reader: Reader) -> Reader:
        for suffix in suffixes:
            if suffix in READERS:
                raise ValueError(f"{suffix} is read by {READERS[suffix].__module__} already")
            READERS[suffix] = reader
            if named_by_network:
                NAMED_BY_NETWORK.add(suffix)
        return reader

    return register


Writer = TypeVar("Writer", bound=Callable[..., None])

WRITERS: dict[str, Callable[..., None]] = {}
"""Suffix, with its dot and in lower case -> writer of a path, weights and a network. Filled by `@writes`."""


WRITTEN_BY_NETWORK: set[str] = set()
"""Suffixes of files in which weights stand by the layers of a network, not by name. Filled by `@writes`."""


def writes(*suffixes: str, by_network: bool = False) -> Callable[[Writer], Writer]:
    """A decorator that makes a function the writer of files so named; a suffix has one owner.

    Args:
        by_network: whether weights stand in the file by the layers of a network.
    """

    def register(writer: Writer) -> Writer:
        for suffix in suffixes:
            if suffix in WRITERS:
                raise ValueError(f"{suffix} is written by {WRITERS[suffix].__module__} already")
            WRITERS[suffix] = writer
            if by_network:
                WRITTEN_BY_NETWORK.add(suffix)
        return writer

    return register


def is_written_by_network(path: Path) -> bool:
    """Whether weights stand in a file so named by the layers of a network, which `write_weights` then needs.

    Raises:
        WeightFileError: if the kind is unknown.
    """
    return _suffix(path, WRITERS) in WRITTEN_BY_NETWORK


def write_weights(path: Path, weights: Weights, network: "Sequence[NetworkLayer]" = ()) -> None:
    """Write weights to a file of the kind that its name says: under another name beside it, then renamed.

    Args:
        network: the layers of the network that the weights are of, as `converters.to_keras` gives them: files of Keras
            need them.

    Raises:
        WeightFileError: if the kind is unknown, a weight cannot be read, or the file cannot be written.
    """
    writer = WRITERS[_suffix(path, WRITERS)]
    with replacing_or_refused(path, WeightFileError) as temporary:
        writer(temporary, weights, network)


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
