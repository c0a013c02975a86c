"""
A small mesh for trying resources: orders and inventory, pages in another namespace, and an edge.
"""

from pathlib import Path

import yaml

from translator.checks.validation import check
from translator.config.translate import Configuration, translate
from translator.model.mesh import Mesh
from translator.model.problems import InvalidMesh
from translator.model.registry import Registry
from translator.model.registry_file import load_registry
from translator.model.resources import Resource, parse_resources

REGISTRY = load_registry(Path(__file__).with_name("registry.yaml"))
OUT, CERTIFICATES = Path("/out"), Path("/certificates")


def read(text: str) -> tuple[Resource, ...]:
    """Return the resources of a text, validated like a file's."""
    resources = tuple(parse_resources("test.yaml", yaml.safe_load_all(text)))
    problems = [problem for resource in resources for problem in check(resource)]
    if problems:
        raise InvalidMesh(problems)
    return resources


def mesh(
    text: str = "", *, not_ready: frozenset[str] = frozenset(), registry: Registry = REGISTRY
) -> dict[str, Configuration]:
    """Return the configuration for a text of resources, by workload."""
    made = translate(Mesh(registry, read(text), not_ready), out=OUT, certificates=CERTIFICATES)
    return {configuration.workload.name: configuration for configuration in made}


def problems(text: str) -> list[str]:
    """Return the problems of a text of resources, one per line; fail if there are none."""
    try:
        mesh(text)
    except InvalidMesh as error:
        return [str(problem) for problem in error.problems]
    raise AssertionError("nothing is wrong with it")
