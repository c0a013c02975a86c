"""
Verdicts: which documents the translator takes or refuses, and which Istio does.
"""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.mesh_differential import oracle
from tools.mesh_differential.mutations import mutated
from translator.checks.validation import check
from translator.model.problems import InvalidMesh
from translator.model.resources import parse_resources
from translator.model.yamlfile import read_documents

AGREES, LAXER, STRICTER, CRASH = "agrees", "laxer", "stricter", "crash"
# Refused here though Istio's webhook takes it, for a reason that the words say: no support for a field, what Envoy
# would not load or does not know (Istio warns of it), or what the API server refuses before it asks the webhook.
BY_NAME = {
    "not supported": "unsupported",
    "Envoy would reject it": "refused by Envoy",
    "has no field named": "unknown to Envoy",
    "metadata.name: is missing": "refused by Kubernetes",
}


@dataclass(frozen=True)
class Difference:
    """
    A document about which the two differ, with what each says of it; the empty text takes it.
    """

    verdict: str
    document: str
    ours: str
    istio: str


@dataclass
class Score:
    """
    How often each verdict came, and every difference that counts.
    """

    counts: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)


def ours(text: str) -> str:
    """
    Return why the translator refuses a document; empty if it takes it.
    """
    try:
        resources = parse_resources("", read_documents(text, ""))
        return "; ".join(dict.fromkeys(str(problem) for resource in resources for problem in check(resource)))
    except InvalidMesh as error:
        return str(error)


def compare(text: str, istio: str) -> Difference:
    """
    Return what the translator says of a document, beside Istio's answer.
    """
    try:
        refusal = ours(text)
    except Exception as error:
        return Difference(CRASH, text, repr(error), istio)
    return Difference(_verdict(refusal, istio), text, refusal, istio)


def _verdict(refusal: str, istio: str) -> str:
    if bool(refusal) == bool(istio):
        return AGREES
    if not refusal:
        return LAXER
    return next((verdict for words, verdict in BY_NAME.items() if words in refusal), STRICTER)


def run(program: Path, documents: Sequence[dict[str, Any]], *, seed: int, cases: int) -> Score:
    """
    Compare the verdicts on *cases* mutations of *documents*.
    """
    rng = random.Random(seed)
    texts = [mutated(rng, list(documents)) for _ in range(cases)]
    return scored(compare(text, istio) for text, istio in zip(texts, oracle.refusals(program, texts), strict=True))


def scored(compared: Iterable[Difference]) -> Score:
    """
    Return the figures of what was compared.
    """
    score = Score()
    for difference in compared:
        score.counts[difference.verdict] += 1
        if difference.verdict in (LAXER, STRICTER, CRASH):
            score.differences.append(difference)
    return score
