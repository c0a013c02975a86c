"""
The locations of a mesh's files, and loading them.
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
        Return the folder of applied resources, which replace those of the same name in the folders of files.
        """
        return self.out / "applied"


def resources(places: Places, checker: Checker) -> tuple[Resource, ...]:
    """
    Return every validated resource of a mesh.
    """
    applied = checker.load(places.applied) if places.applied.is_dir() else ()
    return overlaid(checker.load(*places.istio), applied)


def overlaid(under: Iterable[Resource], over: Iterable[Resource]) -> tuple[Resource, ...]:
    """
    Return the resources of *under*, with those of the same kind and name replaced by *over*'s, as `kubectl apply`
    does.
    """
    found = {resource.title: resource for resource in under}
    for resource in over:
        found[resource.title] = resource
    return tuple(found[title] for title in sorted(found))


def mesh_of(
    places: Places, checker: Checker, *, not_ready: frozenset[str] = frozenset(), over: Iterable[Resource] = ()
) -> Mesh:
    """
    Return the whole mesh, with *over* in place of resources of the same name.
    """
    return Mesh(load_registry(places.registry), overlaid(resources(places, checker), over), not_ready)


def configurations(places: Places, whole: Mesh) -> tuple[Configuration, ...]:
    """
    Return what every Envoy of a mesh is given.
    """
    return translate(whole, out=places.out, certificates=places.certificates)
