"""
Istio's answers: a program beside this checkout that runs Istio's own validation and istiod's own generator.
"""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ANSWER_S = 3600


def ask(oracle: Path, cases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    Istio's answer to each case, in their order; the first call compiles Istio, which takes minutes.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cases.json"
        path.write_text(json.dumps(cases), encoding="utf-8")
        subprocess.run([str(oracle), str(path)], check=True, timeout=ANSWER_S)
        answers: list[dict[str, Any]] = json.loads(path.with_suffix(".out").read_text(encoding="utf-8"))
    return answers


def refusals(oracle: Path, documents: Sequence[str]) -> list[str]:
    """
    Return why Istio refuses each document, in its own words; empty for one that it takes.
    """
    [answer] = ask(oracle, [{"name": "verdicts", "docs": list(documents)}])
    return [refusal(verdict) for verdict in answer["verdicts"]]


def refusal(verdict: dict[str, str]) -> str:
    """
    Return the reason in a verdict, of the webhook or of the schema; empty if both are content.
    """
    return verdict.get("panic") or verdict.get("webhook") or verdict.get("crd") or ""
