"""
Loads the registry from its file; errors name the field's path.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from translator.model.problems import InvalidMesh, Problem
from translator.model.registry import MAX_PORT, Joined, Registry
from translator.model.schema import path_text
from translator.model.yamlfile import load_documents

JOINED = "joined"
_Read = TypeVar("_Read")
_FILE, _JOINED_FILE = TypeAdapter(Registry), TypeAdapter(Joined)
_PORT = f"must be a port from 1 to {MAX_PORT}"
_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "missing": "is missing",
        "unexpected_keyword_argument": "is not a known field",
        "tuple_type": "must be a list",
        "dict_type": "must be a mapping",
        "dataclass_type": "must be a mapping",
        "string_type": "must be text",
        "int_type": _PORT,
        "greater_than_equal": _PORT,
        "less_than_equal": _PORT,
    }
)
# Reported of a field that inherits its default from an invalid one.
_SAID_ALREADY = "default_factory_not_called"


def load_registry(path: Path) -> Registry:
    """
    Load the registry and the files in the folder `joined` beside it.

    `InvalidMesh` lists every invalid field.
    """
    registry = _read(path, _FILE)
    added = [_read(file, _JOINED_FILE) for file in sorted(joined_folder(path).glob("*.yaml"))]
    registry = replace(
        registry,
        services=registry.services + tuple(service for each in added for service in each.services),
        workloads=registry.workloads + tuple(workload for each in added for workload in each.workloads),
    )
    twice = [Problem(str(path), "registry", group, f"{name!r} is duplicated") for group, name in _twice(registry)]
    if twice:
        raise InvalidMesh(twice)
    return replace(
        registry,
        services=tuple(sorted(registry.services, key=lambda service: (service.namespace, service.name))),
        workloads=tuple(sorted(registry.workloads, key=lambda workload: workload.name)),
    )


def joined_folder(registry: Path) -> Path:
    """
    Return where the files are that add to a registry.
    """
    return registry.parent / JOINED


def _read(path: Path, form: TypeAdapter[_Read]) -> _Read:
    documents = load_documents(path, str(path))
    if len(documents) != 1:
        raise InvalidMesh([Problem(str(path), "registry", "", "the registry must be one YAML document")])
    return _parsed(documents[0], path, form)


def read_registry(document: Any, path: Path) -> Registry:
    """
    Read the registry that a document is, alone; *path* is its file's name in errors.
    """
    return _parsed(document, path, _FILE)


def _parsed(document: Any, path: Path, form: TypeAdapter[_Read]) -> _Read:
    try:
        return form.validate_python(document)
    except ValidationError as error:
        raise InvalidMesh(_problems(path, error)) from None


def _problems(path: Path, error: ValidationError) -> Iterator[Problem]:
    for found in error.errors(include_url=False):
        if found["type"] != _SAID_ALREADY:
            parts = [part for part in found["loc"] if part != "[key]"]
            yield Problem(str(path), "registry", path_text("", parts).lstrip("."), _message(found))


def _message(found: ErrorDetails) -> str:
    context: dict[str, Any] = found.get("ctx", {})
    if found["type"] == "literal_error":
        return f"must be {context['expected'].replace(chr(39), '')}, not {found['input']!r}"
    if found["type"] == "value_error":
        return str(context["error"])
    return _WORDS.get(found["type"], found["msg"])


def _twice(registry: Registry) -> Iterator[tuple[str, str]]:
    for group, names in (
        ("services", [f"{service.namespace}/{service.name}" for service in registry.services]),
        ("workloads", [workload.name for workload in registry.workloads]),
    ):
        for name in sorted(name for name in set(names) if names.count(name) > 1):
            yield group, name
