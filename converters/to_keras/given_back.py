"""What is written for one layer of a network that goes back to Keras, and the layer as the rules for that see it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from converters.errors import ConversionError
from converters.json_text import JsonObject
from converters.keys import Keys
from converters.network import Call, Layer
from converters.notices import Notices

__all__ = ["LAYERS_MODULE", "GivenBack", "KerasLayer", "Source"]

LAYERS_MODULE = "keras.layers"


@dataclass(frozen=True)
class KerasLayer:
    """A layer or an operation of Keras 3: its class, its config without the name, and where the class lives.

    Operations of older versions take no name; those are not `named`.
    """

    class_name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    module: str = LAYERS_MODULE
    named: bool = True


@dataclass(frozen=True)
class GivenBack:
    """What stands for one layer: layers of Keras in a row, of which `main` has its weights and takes its calls.

    With `before`, that one takes the call's only tensor, and `main` what it gives.
    """

    main: KerasLayer
    calls: tuple[Call, ...]
    before: KerasLayer | None = None
    after: tuple[KerasLayer, ...] = ()


@dataclass(frozen=True)
class Source:
    """A layer that is to be given back.

    Args:
        class_name: Keras' own name of the class, or ours of an operation.
        keras_version: the major version of Keras that wrote the layer.
        notices: takes what the user should know and that hinders nothing.
        file: of the model, for errors.
    """

    layer: Layer
    class_name: str
    keras_version: int | None
    notices: Notices
    file: str

    @property
    def config(self) -> JsonObject:
        return self.layer.config

    def keys(self) -> Keys:
        """The config, to be read as conversion reads it."""
        return Keys(
            self.config,
            layer=self.layer.name,
            class_name=self.layer.class_name,
            notices=self.notices,
            keras_version=self.keras_version,
        )

    def refusal(self, problem: str, fix: str) -> ConversionError:
        """The error that the layer cannot be given back, to be raised."""
        return ConversionError(
            f"cannot be given back: {problem}",
            place=self.file,
            fix=fix,
            layer=self.layer.name,
            class_name=self.layer.class_name,
        )

    def notice(self, subject: str, text: str) -> None:
        """Tell the user something; once for all layers that have the same subject."""
        self.notices.add(
            subject, f"{self.file}: layer '{self.layer.name}' ({self.layer.class_name}): {text}", self.layer.name
        )
