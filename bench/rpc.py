"""Closed-loop load on the gRPC API by ghz."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import go_tools
from bench.latencies import Called, called
from bench.load import LoadFailed
from stack.settings import Settings

SPARE_S = 60
CONNECTIONS = 8
NS_PER_MS = 1e6
PROTOSET = "build/descriptors.binpb"
CREATE = "shop.orders.v1.OrderService.CreateOrder"
Json = Mapping[str, Any]


def place(
    settings: Settings,
    addresses: Sequence[str],
    metadata: Mapping[str, str],
    products: Sequence[str],
    *,
    seconds: int,
    workers: int,
) -> Called:
    """
    Place orders at all *addresses* concurrently with *workers* that each wait for their response.

    *metadata* is in ghz's format, including templates. Raises `NotThere` without ghz, and `LoadFailed`.
    """
    ghz = str(go_tools.find(settings, "ghz"))
    each = max(1, workers // len(addresses))
    running = []
    for address in addresses:
        command = [ghz, *_options(settings, metadata, seconds, each), "--data", json.dumps(orders(products)), address]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    return together([_report(process, seconds) for process in running], seconds)


def orders(products: Sequence[str]) -> list[Json]:
    """
    Return the messages that ghz sends in turn: every call has its own request id.
    """
    key = uuid.uuid4().hex[:12] + "-{{.RequestNumber}}"
    return [{"request_id": key, "order": {"lines": [{"product": name, "quantity": 1}]}} for name in products]


def by_worker(values: Sequence[str]) -> str:
    """
    Return a template of ghz that selects another of *values* for each worker.
    """
    # Its workers are called g0c0, g1c1, …: a growing number, and that of the connection.
    cases = [f"{{{{if eq .WorkerID `g{n}c{n % CONNECTIONS}`}}}}{value}{{{{else}}}}" for n, value in enumerate(values)]
    return "".join(cases) + values[0] + "{{end}}" * len(cases)


def together(reports: Sequence[Json], seconds: float) -> Called:
    """
    Return the combined statistics of several ghz processes.
    """
    details = [each for one in reports for each in one["details"] or ()]
    served = [each["latency"] / NS_PER_MS for each in details if each["status"] == "OK"]
    if not served:
        raise LoadFailed(f"ghz was served nothing: {[one.get('errorDistribution') for one in reports]}")
    return called(served, failed=len(details) - len(served), seconds=seconds)


def _options(settings: Settings, metadata: Mapping[str, str], seconds: int, workers: int) -> list[str]:
    connections = min(CONNECTIONS, workers)
    return [
        *("--insecure", "--protoset", str(Path(settings.checkout) / PROTOSET), "--call", CREATE),
        *("--concurrency", str(workers), "--connections", str(connections), "--duration", f"{seconds}s"),
        *("--duration-stop", "wait", "--timeout", "10s", "--format", "json", "--metadata", json.dumps(metadata)),
    ]


def _report(process: subprocess.Popen[bytes], seconds: int) -> Json:
    try:
        output, complaint = process.communicate(timeout=seconds + SPARE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise LoadFailed("ghz did not end") from None
    try:
        report: Json = json.loads(output)
    except ValueError:
        raise LoadFailed(f"ghz failed: {complaint.decode(errors='replace')[-500:]}") from None
    return report
