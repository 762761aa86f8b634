"""From a file to a `RunConfig`: every problem of one reading in one error, each with its key and its place."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from onnxgrid.config.document import ROOT, Document
from onnxgrid.config.paths import Lookup
from onnxgrid.config.problems import KeyPath, Problem, dotted, shown
from onnxgrid.config.run import SECTIONS, RunConfig, contradictions
from onnxgrid.config.section import Section, Variants
from onnxgrid.config.values import nearest
from onnxgrid.errors import ConfigError

__all__ = ["read_config"]

logger = logging.getLogger(__name__)


def read_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """The run configuration of a JSON file. Unknown keys are logged as warnings and left out.

    Args:
        overrides: `key.path=value`, each replacing or adding one value, in this order; the path is
            relative to `neural_network`, or begins with it.

    Raises:
        JsonError: if the file is not JSON.
        ConfigError: with all that is wrong, one paragraph each.
    """
    document = Document(path)
    errors = [*_set_all(document, overrides), *_take_out_strange_keys(document)]
    problems = list(contradictions(document.content))
    try:
        config = RunConfig.model_validate(document.content, context=Lookup(path.parent))
    except ValidationError as error:
        problems = [*(_problem(detail, document.content) for detail in error.errors()), *problems]
    errors.extend(_located(problems, document))
    if errors:
        raise _joined(errors)
    return config


def _set_all(document: Document, overrides: Sequence[str]) -> list[ConfigError]:
    """Set what can be set in the document; return the errors of the others."""
    errors = []
    for option in overrides:
        try:
            document.set(option)
        except ConfigError as error:
            errors.append(error)
    return errors


def _take_out_strange_keys(document: Document) -> list[ConfigError]:
    """Remove the keys that no model reads; warn of the unknown, return an error for each unsupported."""
    for key, place in document.strangers().items():
        logger.warning("%s: unknown key %s, beside %s, is ignored", place, key, ROOT)
    errors = []
    for path, section in list(_strange_keys(document.content)):
        key, value, known = str(path[-1]), _at(document.content, path), ", ".join(section.spellings())
        if key in section.unsupported:
            if value is not None and value not in section.unsupported[key]:
                fix = f"Leave it out. Supported here: {known}."
                errors.extend(_located([Problem(path, "is not supported in this version", fix)], document))
        elif key not in section.ignorable:
            suggestion = nearest(key, section.spellings())
            hint = f"the keys here are {known}" if suggestion is None else f"did you mean {suggestion}?"
            logger.warning("%s: unknown key %s is ignored; %s", document.place(path), dotted(path), hint)
        document.remove(path)
    return errors


def _strange_keys(content: Mapping[str, Any]) -> Iterator[tuple[KeyPath, type[Section]]]:
    """The path of each key that no model reads, and the model that does not."""
    for path in SECTIONS:
        given, section = _at(content, path), _section(path, content)
        if isinstance(given, Mapping) and section is not None:
            known = section.spellings()
            yield from (((*path, key), section) for key in given if key not in known)


def _section(path: KeyPath, content: Mapping[str, Any]) -> type[Section] | None:
    """The model that reads the object at the path; None if none can be chosen."""
    model, given = SECTIONS[path], _at(content, path)
    if not isinstance(model, Variants):
        return model
    return model.model(given) if isinstance(given, Mapping) else None


def _at(content: Mapping[str, Any], path: KeyPath) -> Any:
    """The value at the path; None if there is none."""
    value: Any = content
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _problem(detail: ErrorDetails, content: Mapping[str, Any]) -> Problem:
    """A validation error in our own words."""
    path: KeyPath = detail["loc"]
    match detail["type"]:
        case "fault":
            return Problem(path, detail["msg"], detail["ctx"]["fix"])
        case "missing":
            section = _section(path[:-1], content)
            assert section is not None, "a model reported a missing key, so it was chosen"
            return Problem(path, "is missing", f"Give {section.required(str(path[-1]))}.")
        case "model_type":
            return Problem(path, f"is {shown(detail['input'])}", "Give an object.")
        case "extra_forbidden":  # a known key; the unknown are gone by now
            return Problem(path, "is given beside the keys that it stands for", "Give either it or them.")
        case other:
            raise AssertionError(f"no words for the validation error {other} at {dotted(path)}")


def _located(problems: list[Problem], document: Document) -> list[ConfigError]:
    """One error for each path, the first that was found."""
    first: dict[KeyPath, Problem] = {}
    for problem in problems:
        first.setdefault(problem.path, problem)
    return [
        ConfigError(f"{dotted(path)} {problem.text}", place=document.place(path), fix=problem.fix)
        for path, problem in first.items()
    ]


def _joined(errors: list[ConfigError]) -> ConfigError:
    """One error that reads as all of them, a paragraph each."""
    first, *others = errors
    return ConfigError(first.problem, place=first.place, fix="\n".join([first.fix, *map(str, others)]))
