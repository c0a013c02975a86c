"""Orders at a fixed rate over REST by vegeta, independent of responses, so that latencies include all waiting."""

from __future__ import annotations

import base64
import itertools
import json
import subprocess
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bench import go_tools
from bench.latencies import Called, called
from bench.load import LoadFailed
from bench.target import Target

SPARE_S = 60
NS_PER_MS = 1e6
MAX_SERVED_STATUS = 299


def place(target: Target, *, rate: int, seconds: int) -> Called:
    """
    Place *rate* orders a second for *seconds*; raise `NotThere` without vegeta, and `LoadFailed`.
    """
    vegeta = str(go_tools.find(target.settings, "vegeta"))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        targets, results = Path(folder) / "targets", Path(folder) / "results"
        # It reads its input as it goes: what was not read in time would be sent late.
        targets.write_text("\n".join(json.dumps(each) for each in calls(target, rate * seconds)) + "\n")
        _run(
            *(vegeta, "attack", "-format=json", "-lazy", f"-targets={targets}", f"-output={results}"),
            *(f"-rate={rate}/1s", f"-duration={seconds}s", "-timeout=10s"),
            limit_s=seconds + SPARE_S,
        )
        encoded = _run(vegeta, "encode", "-to=json", str(results), limit_s=SPARE_S)
    return figures(encoded.splitlines(), seconds=seconds)


def calls(target: Target, count: int) -> Iterator[dict[str, Any]]:
    """
    Return *count* calls in vegeta's format, each with its own key.
    """
    prefix = uuid.uuid4().hex[:12]
    tokens = target.tokens.read_text().split() if target.tokens else [""]
    products = itertools.cycle(target.products)
    for number, token in zip(range(count), itertools.cycle(tokens), strict=False):
        body = json.dumps({"lines": [{"product": next(products), "quantity": 1}]})
        header = {"content-type": ["application/json"], "idempotency-key": [f"{prefix}-{number}"]}
        if token:
            header["authorization"] = [f"Bearer {token}"]
        encoded = base64.b64encode(body.encode()).decode()
        yield {"method": "POST", "url": f"{target.edge}/v1/orders", "header": header, "body": encoded}


def figures(lines: Iterable[str], *, seconds: float) -> Called:
    """
    Return the statistics of vegeta's results, a line of JSON each.
    """
    results = [json.loads(line) for line in lines if line]
    served = [each["latency"] / NS_PER_MS for each in results if 0 < each["code"] <= MAX_SERVED_STATUS]
    return called(served, failed=len(results) - len(served), seconds=seconds)


def _run(*command: str, limit_s: float) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    if done.returncode:
        raise LoadFailed(f"vegeta failed: {done.stderr[-500:]}")
    return done.stdout
