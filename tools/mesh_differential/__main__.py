"""
`make mesh-differential`: compare the translator with Istio on random documents and meshes.
"""

import argparse
import json
import sys
from pathlib import Path

import yaml

from tools.mesh_differential import configurations, verdicts
from tools.mesh_differential.recording import record

ROOT = Path(__file__).parents[2]
SOURCES = ("istio", "tests/unit/translator/config/golden")
MAX_SHOWN = 40
# How many mutated documents for each mesh: the goal is 20,000 for 5,000.
DOCUMENTS_PER_MESH = 4


def main() -> int:
    """
    Run the comparison; 1 if the translator is laxer than Istio, crashes, or makes something else.
    """
    options = _parser().parse_args()
    if options.record:
        documents = options.cases * DOCUMENTS_PER_MESH
        record(options.oracle, _documents(), seed=options.seed, meshes=options.cases, documents=documents)
        return 0
    score = verdicts.run(options.oracle, _documents(), seed=options.seed, cases=options.cases * DOCUMENTS_PER_MESH)
    _show_verdicts(score, options.show)
    made = configurations.run(options.oracle, seed=options.seed, cases=options.cases)
    _show_configurations(made, options.show)
    print(f"seed {options.seed}")
    print(f"{score.counts.total()} mutated documents:", _figures(score.counts))
    print(f"{made.counts.total()} meshes:", _figures(made.counts))
    wrong = (score.counts[verdicts.LAXER], score.counts[verdicts.CRASH], made.counts[configurations.DIFFER])
    return int(any(wrong))


def _show_verdicts(score: verdicts.Score, limit: int) -> None:
    for difference in sorted(score.differences, key=lambda item: (item.verdict, item.istio, item.ours))[:limit]:
        print(f"{difference.verdict}: {difference.document}\n  here:  {difference.ours}\n  Istio: {difference.istio}")


def _show_configurations(score: configurations.Score, limit: int) -> None:
    kinds = configurations.by_kind(score.differences)
    for shape, found in sorted(kinds.items(), key=lambda item: -len(item[1]))[:limit]:
        first = min(found, key=lambda item: len(item.mesh.documents))
        print(f"{len(found)} times {shape}: {first.workload}{first.path}")
        print(f"  here:  {json.dumps(first.ours)}\n  Istio: {json.dumps(first.istio)}")
        for document in first.mesh.documents:
            print(f"  {json.dumps(document)}")


def _figures(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def _documents() -> list[dict[str, object]]:
    paths = [path for folder in SOURCES for path in sorted((ROOT / folder).glob("*.yaml"))]
    found = [document for path in paths for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))]
    return [document for document in found if document and ".istio.io/" in document["apiVersion"]]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make mesh-differential", description=__doc__)
    parser.add_argument("--oracle", type=Path, required=True, help="the program that answers as Istio does")
    parser.add_argument("--seed", type=int, default=1, help="the same seed draws the same cases")
    parser.add_argument("--cases", type=int, default=200, help="how many meshes; four times as many documents")
    parser.add_argument("--record", action="store_true", help="write Istio's answers for the test without it")
    parser.add_argument("--show", type=int, default=MAX_SHOWN, help="how many differences to print")
    return parser


if __name__ == "__main__":
    sys.exit(main())
