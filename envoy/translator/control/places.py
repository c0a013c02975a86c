"""
Where a mesh's files are, and what they come to.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from translator.checks.validation import Checker
from translator.config.translate import Configuration, translate
from translator.model.mesh import Mesh
from translator.model.registry_file import load_registry
from translator.model.resources import Resource


@dataclass(frozen=True)
class Places:
    """
    Where the mesh is read from and written to.
    """

    istio: tuple[Path, ...]
    registry: Path
    certificates: Path
    out: Path

    @property
    def applied(self) -> Path:
        """
        What was applied beside the folders of files; it stands in for a resource there of the same name.
        """
        return self.out / "applied"


def resources(places: Places, checker: Checker) -> tuple[Resource, ...]:
    """
    Every resource of a mesh, checked.
    """
    applied = checker.load(places.applied) if places.applied.is_dir() else ()
    return overlaid(checker.load(*places.istio), applied)


def overlaid(under: Iterable[Resource], over: Iterable[Resource]) -> tuple[Resource, ...]:
    """
    The resources of *under*, those of the same kind and name replaced by *over*'s, as `kubectl apply` does.
    """
    found = {resource.title: resource for resource in under}
    for resource in over:
        found[resource.title] = resource
    return tuple(found[title] for title in sorted(found))


def configurations(
    places: Places, checker: Checker, *, not_ready: frozenset[str] = frozenset(), over: Iterable[Resource] = ()
) -> tuple[Configuration, ...]:
    """
    What every Envoy is given, with *over* in place of resources of the same name.
    """
    mesh = Mesh(load_registry(places.registry), overlaid(resources(places, checker), over), not_ready)
    return translate(mesh, out=places.out, certificates=places.certificates)
