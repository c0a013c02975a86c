"""
Configurations: what every Envoy of a random mesh is given by the translator, and by istiod.
"""

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.mesh_differential import kubernetes, oracle
from tools.mesh_differential.differences import differences
from tools.mesh_differential.meshes import NAMESPACES, ROOT, RandomMesh, random_mesh
from tools.mesh_differential.projection import comparable, of_istiod, of_translator
from translator.config.translate import Configuration, translate
from translator.model.mesh import Mesh
from translator.model.problems import InvalidMesh
from translator.model.resources import parse_resources

NOWHERE = Path("/nowhere")
BATCH = 200
AGREE, DIFFER, REFUSED = "agree", "differ", "refused by Istio"


@dataclass(frozen=True)
class Difference:
    """
    A place in one Envoy's configuration where the two differ.
    """

    mesh: RandomMesh
    workload: str
    path: str
    ours: Any
    istio: Any


@dataclass
class Score:
    """
    How many meshes agreed, differed or were refused here, and the places of difference.
    """

    counts: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)


def run(program: Path, *, seed: int, cases: int) -> Score:
    """
    Compare the configurations of *cases* random meshes.
    """
    score, rng = Score(), random.Random(seed)
    for start in range(0, cases, BATCH):
        meshes = [random_mesh(rng) for _ in range(min(BATCH, cases - start))]
        answers = oracle.ask(program, [case(mesh, str(n)) for n, mesh in enumerate(meshes)])
        for mesh, answer in zip(meshes, answers, strict=True):
            verdict, found = compared(mesh, answer)
            score.counts[verdict] += 1
            score.differences += found
    return score


def case(mesh: RandomMesh, name: str) -> dict[str, Any]:
    """
    Return a mesh as a question to Istio.
    """
    return {
        "name": name,
        "docs": [json.dumps(document) for document in mesh.documents],
        "k8s": kubernetes.objects(mesh.read, (*NAMESPACES, ROOT)),
        "proxies": kubernetes.proxies(mesh.read),
        "generate": True,
    }


def compared(mesh: RandomMesh, answer: dict[str, Any]) -> tuple[str, list[Difference]]:
    """
    Return what became of one mesh: it agrees, differs, or one of the two does not take it.
    """
    istio = projections(mesh, answer)
    return (REFUSED, []) if istio is None else judged(mesh, istio)


def projections(mesh: RandomMesh, answer: dict[str, Any]) -> dict[str, Any] | None:
    """
    Return what istiod makes for each workload, in one form; None if Istio does not take the mesh.
    """
    if answer.get("panic") or any(oracle.refusal(verdict) for verdict in answer["verdicts"]):
        return None
    ports = {w.name: [str(outbound.port) for outbound in w.outbound] for w in mesh.read.workloads}
    return {name: of_istiod(answer["proxies"][name], numbers) for name, numbers in ports.items()}


def judged(mesh: RandomMesh, istio: dict[str, Any]) -> tuple[str, list[Difference]]:
    """
    Return the same with istiod's answer as projections, by workload.
    """
    try:
        made = translate(mesh_of(mesh), out=NOWHERE, certificates=NOWHERE)
    except InvalidMesh as error:
        return f"refused here: {error.problems[0].message}", []
    found = [
        Difference(mesh, configuration.workload.name, *place)
        for configuration in made
        for place in differences(*_both(configuration, istio[configuration.workload.name]))
    ]
    return (DIFFER if found else AGREE), found


def _both(configuration: Configuration, istio: Any) -> tuple[Any, Any]:
    inbound = {str(inbound.port) for inbound in configuration.workload.inbound}
    return comparable(of_translator(configuration), istio, inbound)


def mesh_of(mesh: RandomMesh) -> Mesh:
    """
    Return the mesh as the translator reads it.
    """
    return Mesh(mesh.read, parse_resources("", mesh.documents))


def by_kind(found: Sequence[Difference]) -> dict[str, list[Difference]]:
    """
    Return the differences by the shape of their place: its path without names of hosts and ports.
    """
    kinds: dict[str, list[Difference]] = {}
    for difference in found:
        parts = difference.path.split("/")
        shape = "/".join([parts[1], *parts[3:]] if len(parts) > 2 else parts[1:])
        kinds.setdefault(shape, []).append(difference)
    return kinds
