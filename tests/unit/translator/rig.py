"""
A small mesh to try resources on: orders and inventory, pages in another namespace, and an edge.
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
    """The resources of a text, checked as a file's would be."""
    resources = tuple(parse_resources("test.yaml", yaml.safe_load_all(text)))
    problems = [problem for resource in resources for problem in check(resource)]
    if problems:
        raise InvalidMesh(problems)
    return resources


def mesh(
    text: str = "", *, not_ready: frozenset[str] = frozenset(), registry: Registry = REGISTRY
) -> dict[str, Configuration]:
    """The configuration that a text of resources makes, by workload."""
    made = translate(Mesh(registry, read(text), not_ready), out=OUT, certificates=CERTIFICATES)
    return {configuration.workload.name: configuration for configuration in made}


def problems(text: str) -> list[str]:
    """What is wrong with a text of resources, a line for each mistake; none is a failure."""
    try:
        mesh(text)
    except InvalidMesh as error:
        return [str(problem) for problem in error.problems]
    raise AssertionError("nothing is wrong with it")
