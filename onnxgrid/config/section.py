"""What all sections have in common: frozen, no unknown keys, and a choice between models by the value of one key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import AliasChoices, BaseModel, ConfigDict, ValidationInfo
from pydantic_core import PydanticCustomError

from onnxgrid.config.problems import fault, fault_at, quoted, shown
from onnxgrid.config.values import select

__all__ = ["Section", "Variants"]


class Section(BaseModel):
    """One object of the configuration. Required keys have a description: what to give when they are missing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unsupported: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """Keys of the dialect that this version lacks, and the values that ask for nothing and are therefore accepted."""
    ignorable: ClassVar[Mapping[str, str]] = {}
    """Keys of the dialect that are accepted and not read, and why."""

    @classmethod
    def spellings(cls) -> tuple[str, ...]:
        """Every key that is read, as it may be written in the file."""
        keys: dict[str, None] = {}
        for name, info in cls.model_fields.items():
            alias = info.validation_alias
            keys.update(dict.fromkeys(map(str, alias.choices) if isinstance(alias, AliasChoices) else (name,)))
        return tuple(keys)

    @classmethod
    def required(cls, key: str) -> str:
        """What to give for a required key, as words after "Give"."""
        description = cls.model_fields[key].description
        assert description is not None, f"{cls.__name__}.{key} is required and has no description"
        return description


@dataclass(frozen=True)
class Variants:
    """Models of which a key of the object selects one, case-insensitively."""

    key: str
    models: Mapping[str, type[Section]]
    unsupported: tuple[str, ...] = ()

    def model(self, given: Mapping[str, Any]) -> type[Section] | None:
        """The model that is selected; None if the selection is not valid."""
        try:
            return self.models[select(given.get(self.key), tuple(self.models), self.unsupported)]
        except PydanticCustomError:
            return None

    def validate(self, given: Any, info: ValidationInfo) -> Section:
        """The section, by the model that its key selects; one that is a model already passes as it is."""
        if isinstance(given, Section):
            return given
        if not isinstance(given, Mapping):
            raise fault(f"is {shown(given)}", "Give an object.")
        names = tuple(self.models)
        if self.key not in given:
            raise fault_at(self.key, "is missing", f"Give one of: {quoted(names)}.")
        try:
            name = select(given[self.key], names, self.unsupported)
        except PydanticCustomError as error:
            raise fault_at(self.key, error.message(), (error.context or {})["fix"]) from None
        return self.models[name].model_validate({**given, self.key: name}, context=info.context)
