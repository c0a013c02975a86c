"""
Loads Istio's resources from folders of files and validates each.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from translator.model.problems import InvalidMesh, Problem
from translator.model.schema import kinds, mistakes
from translator.model.values import Block
from translator.model.yamlfile import load_documents

# Kustomize's own file may be in the folder; it is not a resource.
NOT_RESOURCES = frozenset({"kustomization.yaml", "kustomization.yml"})
DEFAULT_NAMESPACE = "default"


@dataclass(frozen=True)
class Resource:
    """
    One Istio resource; `created` decides between competing ones, the oldest first.
    """

    file: str
    kind: str
    namespace: str
    name: str
    spec: Block
    created: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """
        Return the name of the resource in errors: `Kind namespace/name`.
        """
        return f"{self.kind} {self.namespace}/{self.name}"

    @property
    def age(self) -> tuple[str, str, str]:
        """
        Return the order in which Istio processes resources: by creation, then by name.
        """
        return self.created, self.name, self.namespace

    def problem(self, path: str, message: str) -> Problem:
        """
        Return a problem of this resource.
        """
        return Problem(self.file, self.title, path, message)

    def refusal(self, path: str, message: str) -> InvalidMesh:
        """
        Return the error with one problem.
        """
        return InvalidMesh([self.problem(path, message)])


def load_resources(*folders: Path) -> tuple[Resource, ...]:
    """
    Return every resource of the folders' YAML files; `InvalidMesh` lists all errors.
    """
    resources: list[Resource] = []
    problems: list[Problem] = []
    for path in resource_files(*folders):
        try:
            resources += parse_resources(shown(path), load_documents(path, shown(path)))
        except InvalidMesh as error:
            problems += error.problems
    problems += _twice(resources)
    if problems:
        raise InvalidMesh(problems)
    return tuple(sorted(resources, key=lambda resource: (resource.kind, resource.age)))


def resource_files(*folders: Path) -> list[Path]:
    """
    Return the resource files, folder by folder.
    """
    missing = [Problem(str(folder), "", "", "is not a folder") for folder in folders if not folder.is_dir()]
    if missing:
        raise InvalidMesh(missing)
    found = [path for folder in folders for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])]
    return [path for path in found if path.name not in NOT_RESOURCES and not path.name.startswith(".")]


def shown(path: Path) -> str:
    """
    Return the name of a file in errors: relative to the working directory if it is below it.
    """
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else str(path)


def parse_resources(file: str, documents: Iterable[Any]) -> list[Resource]:
    """
    Return the resources of one file's documents.
    """
    resources: list[Resource] = []
    problems: list[Problem] = []
    for number, document in enumerate(map(_with_text_keys, documents), 1):
        found = list(_problems(file, number, document))
        problems += found
        if not found:
            resources.append(_resource(file, document))
    if problems:
        raise InvalidMesh(problems)
    return resources


def _resource(file: str, document: Mapping[str, Any]) -> Resource:
    metadata = document["metadata"]
    return Resource(
        file=file,
        kind=document["kind"],
        namespace=metadata.get("namespace") or DEFAULT_NAMESPACE,
        name=metadata["name"],
        spec=_without_nulls(document.get("spec") or {}),
        created=str(metadata.get("creationTimestamp") or ""),
        annotations=metadata.get("annotations") or {},
    )


def _problems(file: str, number: int, document: Any) -> Iterator[Problem]:
    where = f"document {number}"
    if not isinstance(document, dict):
        yield Problem(file, where, "", "must be a mapping with apiVersion, kind, metadata and spec")
        return
    kind = kinds().get(str(document.get("kind")))
    if kind is None:
        yield Problem(file, where, "kind", f"{document.get('kind')!r} is not supported; known are {', '.join(kinds())}")
        return
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or not metadata["name"]:
        yield Problem(file, f"{kind.name} ({where})", "metadata.name", "is missing")
        return
    title = f"{kind.name} {metadata.get('namespace') or DEFAULT_NAMESPACE}/{metadata['name']}"
    if document.get("apiVersion") not in kind.api_versions:
        yield Problem(file, title, "apiVersion", f"must be one of {', '.join(kind.api_versions)}")
    for name in sorted(map(str, set(document) - {"apiVersion", "kind", "metadata", "spec", "status"})):
        yield Problem(file, title, name, "is not a field of a resource")
    if "status" in document and not isinstance(document["status"], dict):
        yield Problem(file, title, "status", "must be a mapping")
    for name in ("labels", "annotations"):
        yield from (Problem(file, title, path, "must be a text") for path in _not_texts(metadata, name))
    for path, message in mistakes(kind, document.get("spec", {})):
        yield Problem(file, title, path, message)


def _not_texts(metadata: Mapping[str, Any], name: str) -> Iterator[str]:
    """
    Yield the path of each value of labels or annotations that is not a text.
    """
    found = metadata.get(name)
    if found is None:
        return
    if not isinstance(found, dict):
        yield f"metadata.{name}"
        return
    # YAML's null is the empty text, as for kubectl.
    yield from (f"metadata.{name}.{key}" for key, value in found.items() if not isinstance(value, str | None))


def _twice(resources: list[Resource]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for resource in resources:
        if resource.title in seen:
            yield resource.problem("metadata.name", f"is already defined in {seen[resource.title]}")
        seen[resource.title] = resource.file


def _with_text_keys(node: Any) -> Any:
    """
    Convert every key to a string, as in JSON: YAML reads an unquoted port as a number.
    """
    if isinstance(node, dict):
        return {_key(key): _with_text_keys(value) for key, value in node.items()}
    return [_with_text_keys(item) for item in node] if isinstance(node, list) else node


def _key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _without_nulls(node: Any) -> Any:
    """
    Remove null values, which Kubernetes treats as absent.
    """
    if isinstance(node, dict):
        return {key: _without_nulls(value) for key, value in node.items() if value is not None}
    return [_without_nulls(item) for item in node] if isinstance(node, list) else node
