"""
How long the translation of a large mesh takes; the time is printed, and only a gross regression fails.
"""

import time
from pathlib import Path
from typing import Any

from translator.checks.validation import check
from translator.config.discovery import files_of
from translator.config.translate import layout, translate_workload
from translator.model.mesh import Mesh
from translator.model.registry import Outbound, Registry, ServicePort, ServiceRecord, SocketAddress, Workload
from translator.model.resources import Resource, parse_resources

SERVICES = 1000
GOAL_S, GROSS_LOSS_S = 10, 60
HERE = SocketAddress("127.0.0.1", 15000)
CLIENT = Workload("client", "shop", "client", "127.0.0.1", HERE, {"app": "client"}, outbound=(Outbound(50051, HERE),))


def rules(number: int, timeout: str = "2s") -> list[Any]:
    name, to = f"s{number}", [{"destination": {"host": f"s{number}"}}]
    routes = [
        {"match": [{"uri": {"prefix": "/a"}}], "route": to, "timeout": timeout, "retries": {"attempts": 2}},
        {"route": to},
    ]
    policy = {"connectionPool": {"tcp": {"maxConnections": 10}}, "outlierDetection": {"consecutive5xxErrors": 3}}
    head = {"apiVersion": "networking.istio.io/v1", "metadata": {"name": name, "namespace": "shop"}}
    return [
        {**head, "kind": "VirtualService", "spec": {"hosts": [name], "http": routes}},
        {**head, "kind": "DestinationRule", "spec": {"host": name, "trafficPolicy": policy}},
    ]


def registry() -> Registry:
    ports = (ServicePort("grpc", 50051, 50051),)
    services = tuple(ServiceRecord(f"s{n}", "shop", ports, {"app": f"s{n}"}) for n in range(SERVICES))
    return Registry("cluster.local", "cluster.local", "istio-system", {}, services, (CLIENT,))


def read(documents: list[Any]) -> list[Resource]:
    resources = parse_resources("test.yaml", documents)
    assert not [problem for resource in resources for problem in check(resource)]
    return resources


def files(resources: list[Resource]) -> dict[str, str]:
    where = layout(CLIENT, out=Path("/out"), certificates=Path("/certificates"))
    made = files_of(translate_workload(Mesh(registry(), resources), CLIENT, where))
    return {path: file.content for path, file in made.items()}


def test_a_thousand_services_and_what_one_file_changes() -> None:
    documents = [document for number in range(SERVICES) for document in rules(number)]
    started = time.perf_counter()
    before = files(read(documents))
    took_s = time.perf_counter() - started
    print(f"{SERVICES} services with a VirtualService and a DestinationRule each: {took_s:.1f} s (goal: {GOAL_S} s)")
    assert took_s < GROSS_LOSS_S
    documents[0:2] = rules(0, timeout="3s")
    after = files(read(documents))
    assert [path for path in before if before[path] != after[path]] == ["rds/50051.json"]
