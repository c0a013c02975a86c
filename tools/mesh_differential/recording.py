"""
Recorded answers of Istio to documents and meshes, so that the comparison runs where its code does not.
"""

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tools.mesh_differential import configurations, oracle, verdicts
from tools.mesh_differential.meshes import RandomMesh, random_mesh
from tools.mesh_differential.mutations import mutated

FILE = Path(__file__).with_name("recorded.json.gz")


def record(program: Path, sources: Sequence[dict[str, Any]], *, seed: int, meshes: int, documents: int) -> None:
    """
    Draw documents and meshes from a seed, and write them with what Istio says of them.
    """
    rng = random.Random(seed)
    texts = [mutated(rng, list(sources)) for _ in range(documents)]
    drawn = [random_mesh(rng) for _ in range(meshes)]
    answers = oracle.ask(program, [configurations.case(mesh, str(n)) for n, mesh in enumerate(drawn)])
    made = [(mesh, configurations.projections(mesh, answer)) for mesh, answer in zip(drawn, answers, strict=True)]
    content = {
        "seed": seed,
        "documents": list(zip(texts, oracle.refusals(program, texts), strict=True)),
        "meshes": [
            {"registry": yaml.safe_dump(mesh.registry), "documents": mesh.documents, "istio": istio}
            for mesh, istio in made
            if istio is not None
        ],
    }
    # Without a time, so that the same answers are the same file.
    FILE.write_bytes(gzip.compress(json.dumps(content, sort_keys=True).encode(), mtime=0))


def replay() -> tuple[verdicts.Score, configurations.Score]:
    """
    Compare the translator with the recorded answers.
    """
    content = json.loads(gzip.decompress(FILE.read_bytes()))
    documents = verdicts.scored(verdicts.compare(text, istio) for text, istio in content["documents"])
    score = configurations.Score()
    for each in content["meshes"]:
        mesh = RandomMesh(yaml.safe_load(each["registry"]), tuple(each["documents"]))
        verdict, found = configurations.judged(mesh, each["istio"])
        score.counts[verdict] += 1
        score.differences += found
    return documents, score
