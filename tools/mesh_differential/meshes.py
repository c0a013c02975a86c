"""
Random meshes: a registry of services and workloads, and several resources that speak of each other's hosts.
"""

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tools.mesh_differential.mutations import insert
from tools.mesh_differential.verdicts import ours
from translator.model.registry import Registry
from translator.model.registry_file import read_registry

ROOT = "istio-system"
NAMESPACES = ("shop", "web")
SERVICES = ("orders", "inventory", "pages")
PORTS = (("grpc", 50051), ("http", 80), ("http-admin", 9000), ("http-web", 8080))
OUTSIDE = ("bank.example", "api.bank.example", "*.example", "legacy.shop.svc.cluster.local")
MAX_RESOURCES = 5
TIMES = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z")
GATEWAY = {
    "name": "edge-0",
    "namespace": "shop",
    "serviceAccount": "edge",
    "address": "127.30.0.1",
    "admin": "127.30.0.1:15000",
    "labels": {"app": "edge", "istio": "edge"},
    "kind": "gateway",
    "ports": {8080: 18080, 8443: 18443},
}
Services: TypeAlias = list[dict[str, Any]]
NETWORKING, SECURITY = "networking.istio.io/v1", "security.istio.io/v1"


@dataclass(frozen=True)
class RandomMesh:
    """
    A mesh in the translator's words: its registry, as the file has it, and its documents.
    """

    registry: dict[str, Any]
    documents: tuple[dict[str, Any], ...]

    @property
    def read(self) -> Registry:
        """
        Return the registry as the translator reads it.
        """
        return read_registry(self.registry, Path("random"))


def random_mesh(rng: random.Random) -> RandomMesh:
    """
    Return a mesh of some services and up to five resources, each of which the translator takes.
    """
    registry = _registry(rng)
    services = registry["services"]
    documents: dict[str, dict[str, Any]] = {}
    while not documents or (len(documents) < MAX_RESOURCES and rng.random() < 0.75):
        document = _document(rng, services)
        for _ in range(rng.choice((0, 0, 1, 2))):
            insert(rng, document)
        if not ours(json.dumps(document)):
            metadata = document["metadata"]
            documents[f"{document['kind']}/{metadata['namespace']}/{metadata['name']}"] = document
    return RandomMesh(registry, tuple(without_ties(documents.values())))


def without_ties(documents: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """
    Yield the documents without a ServiceEntry of the same host, namespace and time as another: which of them counts,
    istiod leaves to chance.
    """
    taken: set[tuple[str, str, str]] = set()
    for document in documents:
        hosts = document["spec"]["hosts"] if document["kind"] == "ServiceEntry" else ()
        metadata = document["metadata"]
        found = {(host.lower(), metadata["namespace"], metadata["creationTimestamp"]) for host in hosts}
        if not taken & found:
            yield document
        taken |= found


def _registry(rng: random.Random) -> dict[str, Any]:
    services = []
    for name in SERVICES:
        ports = [
            {"name": port, "port": number, "targetPort": rng.choice((number, number + 8000))}
            for port, number in rng.sample(PORTS, rng.choice((1, 1, 2)))
        ]
        namespace = rng.choice(NAMESPACES)
        services.append({"name": name, "namespace": namespace, "ports": ports, "selector": {"app": name}})
    workloads = [workload for number, service in enumerate(services, 1) for workload in _workloads(number, service)]
    return {"services": services, "workloads": [*workloads, GATEWAY]}


def _workloads(number: int, service: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for replica in (1, 2):
        address = f"127.30.{number}.{replica}"
        targets = [port["targetPort"] for port in service["ports"]]
        yield {
            "name": f"{service['name']}-{replica}",
            "namespace": service["namespace"],
            "serviceAccount": service["name"],
            "address": address,
            "admin": f"{address}:15000",
            "labels": {"app": service["name"], "version": f"v{replica}"},
            "inbound": [{"port": target, "application": f"{address}:{10000 + n}"} for n, target in enumerate(targets)],
            "outbound": [{"port": port, "listen": f"{address}:{20000 + n}"} for n, (_, port) in enumerate(PORTS)],
        }


def _document(rng: random.Random, services: Services) -> dict[str, Any]:
    kind = rng.choice(("VirtualService",) * 4 + ("DestinationRule",) * 3 + tuple(SPECS))
    spec = _virtual_service(rng, services) if kind == "VirtualService" else SPECS[kind](rng, services)
    namespace = rng.choice((*NAMESPACES, *NAMESPACES, ROOT))
    metadata = {"name": rng.choice("abc"), "namespace": namespace, "creationTimestamp": rng.choice(TIMES)}
    group = SECURITY if kind in ("AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication") else NETWORKING
    return {"apiVersion": group, "kind": kind, "metadata": metadata, "spec": spec}


def _host(rng: random.Random, services: Services) -> str:
    record = rng.choice(services)
    full = f"{record['name']}.{record['namespace']}.svc.cluster.local"
    return rng.choice(
        (full, full, full, record["name"], f"*.{record['namespace']}.svc.cluster.local", rng.choice(OUTSIDE))
    )


def _one_host(rng: random.Random, services: Services) -> str:
    return next(host for host in iter(lambda: _host(rng, services), None) if not host.startswith("*"))


def _selector(rng: random.Random) -> dict[str, str]:
    return rng.choice(({"app": rng.choice(SERVICES)}, {"version": "v1"}, {"app": "edge"}, {"app": "nobody"}))


def _virtual_service(rng: random.Random, services: Services) -> dict[str, Any]:
    spec: dict[str, Any] = {"hosts": rng.sample([_host(rng, services), _host(rng, services)], rng.choice((1, 1, 2)))}
    if rng.random() < 0.3:
        spec["gateways"] = rng.choice((["mesh"], ["shop/a"], ["mesh", "shop/a"], ["a"]))
    if rng.random() < 0.3:
        spec["exportTo"] = rng.choice((["."], ["*"], ["shop"], ["web"]))
    spec["http"] = [_route(rng, services) for _ in range(rng.choice((1, 1, 2)))]
    return spec


def _route(rng: random.Random, services: Services) -> dict[str, Any]:
    route: dict[str, Any] = {"route": [_destination(rng, services)]}
    if rng.random() < 0.2:
        route["route"] = [{**_destination(rng, services), "weight": weight} for weight in (80, 20)]
    if rng.random() < 0.4:
        route["match"] = [_match(rng) for _ in range(rng.choice((1, 2)))]
    return route


def _destination(rng: random.Random, services: Services) -> dict[str, Any]:
    destination: dict[str, Any] = {"host": _one_host(rng, services)}
    if rng.random() < 0.3:
        destination["subset"] = rng.choice(("v1", "v2"))
    if rng.random() < 0.3:
        destination["port"] = {"number": rng.choice(PORTS)[1]}
    return {"destination": destination}


def _match(rng: random.Random) -> dict[str, Any]:
    return rng.choice(
        (
            {"uri": {"prefix": "/a"}},
            {"uri": {"exact": "/b"}, "method": {"exact": "GET"}},
            {"headers": {"x-a": {"exact": "1"}}},
            {"sourceLabels": {"app": rng.choice(SERVICES)}},
            {"sourceNamespace": rng.choice(NAMESPACES)},
            {"port": rng.choice(PORTS)[1]},
            {"gateways": ["mesh"]},
            {"uri": {"prefix": "/"}},
        )
    )


def _destination_rule(rng: random.Random, services: Services) -> dict[str, Any]:
    spec: dict[str, Any] = {"host": _host(rng, services)}
    if rng.random() < 0.8:
        spec["trafficPolicy"] = _policy(rng)
    if rng.random() < 0.6:
        spec["subsets"] = [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")]
        if rng.random() < 0.4:
            spec["subsets"][0]["trafficPolicy"] = _policy(rng)
    if rng.random() < 0.2:
        spec["exportTo"] = rng.choice((["."], ["*"], ["shop"], ["web"]))
    if rng.random() < 0.2:
        spec["workloadSelector"] = {"matchLabels": _selector(rng)}
    return spec


def _policy(rng: random.Random) -> dict[str, Any]:
    blocks: dict[str, Any] = {
        "connectionPool": rng.choice(
            (
                {"tcp": {"maxConnections": 5, "connectTimeout": "1s"}},
                {"http": {"http1MaxPendingRequests": 3, "maxRetries": 2}},
                {"http": {"h2UpgradePolicy": "UPGRADE"}, "tcp": {"idleTimeout": "5s"}},
            )
        ),
        "outlierDetection": {"consecutive5xxErrors": rng.choice((0, 3)), "maxEjectionPercent": 100},
        "loadBalancer": rng.choice(
            ({"simple": "RANDOM"}, {"consistentHash": {"httpHeaderName": "x-a"}}, {"simple": "ROUND_ROBIN"})
        ),
        "tls": {"mode": rng.choice(("DISABLE", "SIMPLE", "ISTIO_MUTUAL"))},
        "retryBudget": {"percent": 10},
    }
    chosen = {name: blocks[name] for name in rng.sample(sorted(blocks), rng.choice((1, 2)))}
    if rng.random() < 0.2:
        own = {name: block for name, block in blocks.items() if name in ("connectionPool", "loadBalancer")}
        chosen["portLevelSettings"] = [{"port": {"number": rng.choice(PORTS)[1]}, **own}]
    return chosen


def _service_entry(rng: random.Random, _services: Services) -> dict[str, Any]:
    host = rng.choice(OUTSIDE)
    name, number = rng.choice(PORTS)
    protocol = "GRPC" if name == "grpc" else "HTTP"
    spec: dict[str, Any] = {
        "hosts": [host],
        "location": rng.choice(("MESH_EXTERNAL", "MESH_INTERNAL")),
        "resolution": rng.choice(("STATIC", "DNS")),
        "ports": [{"number": number, "name": name, "protocol": protocol}],
    }
    if spec["resolution"] == "STATIC" or host.startswith("*") or rng.random() < 0.5:
        spec["endpoints"] = [{"address": "127.30.9.1"}, {"address": "127.30.9.2", "labels": {"version": "v1"}}]
    if rng.random() < 0.2:
        spec["exportTo"] = rng.choice((["."], ["*"], ["shop"]))
    return spec


def _sidecar(rng: random.Random, services: Services) -> dict[str, Any]:
    hosts = ["./*", "*/*", "shop/*", "web/*", f"*/{_full(rng, services)}", "~/*"]
    spec: dict[str, Any] = {"egress": [{"hosts": rng.sample(hosts, rng.choice((1, 2)))}]}
    if rng.random() < 0.4:
        spec["workloadSelector"] = {"labels": _selector(rng)}
    return spec


def _full(rng: random.Random, services: Services) -> str:
    record = rng.choice(services)
    return f"{record['name']}.{record['namespace']}.svc.cluster.local"


def _authorization(rng: random.Random, _services: Services) -> dict[str, Any]:
    sources = ({"principals": ["cluster.local/ns/shop/sa/orders"]}, {"namespaces": ["shop"]}, {"notPrincipals": ["*"]})
    operations = (
        {"methods": ["GET"], "paths": ["/a*"]},
        {"ports": ["80"]},
        {"hosts": ["pages.web"]},
        {"paths": ["/{*}/b"]},
    )
    rule = {"from": [{"source": rng.choice(sources)}], "to": [{"operation": rng.choice(operations)}]}
    spec: dict[str, Any] = {"action": rng.choice(("ALLOW", "DENY", "AUDIT")), "rules": [rng.choice((rule, {}))]}
    return _selected(rng, spec)


def _selected(rng: random.Random, spec: dict[str, Any]) -> dict[str, Any]:
    if rng.random() < 0.5:
        spec["selector"] = {"matchLabels": _selector(rng)}
    return spec


def _peers(rng: random.Random, _services: Services) -> dict[str, Any]:
    spec = _selected(rng, {"mtls": {"mode": rng.choice(("STRICT", "PERMISSIVE", "DISABLE", "UNSET"))}})
    if "selector" in spec and rng.random() < 0.4:
        spec["portLevelMtls"] = {str(rng.choice(PORTS)[1]): {"mode": rng.choice(("STRICT", "DISABLE"))}}
    return spec


def _gateway(rng: random.Random, _services: Services) -> dict[str, Any]:
    port = {"number": 8080, "name": "http", "protocol": "HTTP"}
    server: dict[str, Any] = {"port": port, "hosts": [rng.choice(("*", "*.example", "web/*"))]}
    if rng.random() < 0.3:
        server["tls"] = {"httpsRedirect": True}
    return {"selector": {"istio": "edge"}, "servers": [server]}


SPECS = {
    "DestinationRule": _destination_rule,
    "ServiceEntry": _service_entry,
    "Sidecar": _sidecar,
    "AuthorizationPolicy": _authorization,
    "PeerAuthentication": _peers,
    "Gateway": _gateway,
}
