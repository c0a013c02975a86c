"""
Checks of DestinationRules.
"""

from collections.abc import Iterator
from functools import cache, partial
from math import isqrt
from typing import Any

from translator.checks import values
from translator.checks.sample_mesh import LAYOUT
from translator.checks.values import Mistakes
from translator.config.cluster import policy_cluster
from translator.config.secrets import Secrets
from translator.model.registry import Registry, ServicePort, ServiceRecord
from translator.model.resources import Resource
from translator.model.service import Service, registry_services
from translator.model.values import Block

BLOCKS = ("connectionPool", "loadBalancer", "outlierDetection", "tls", "portLevelSettings", "retryBudget")
MAGLEV_MAX = 5_000_011


def check_destination_rule(resource: Resource) -> Mistakes:
    """
    Yield every error of a DestinationRule.
    """
    spec = resource.spec
    yield from values.export_to(spec)
    found = [*values.host(spec["host"], "spec.host"), *_policy(spec.get("trafficPolicy"), "spec.trafficPolicy")]
    names = [subset["name"] for subset in spec.get("subsets", ())]
    for number, subset in enumerate(spec.get("subsets", ())):
        path = f"spec.subsets[{number}]"
        found += values.label(subset["name"], f"{path}.name")
        if subset["name"] in names[:number]:
            found.append((f"{path}.name", f"{subset['name']!r} is duplicated"))
        found += _policy(subset.get("trafficPolicy"), f"{path}.trafficPolicy")
    yield from found
    for policy, path in _policies(spec) if not found else ():
        yield from values.translated(partial(_cluster, policy), path)


def _policies(spec: Block) -> Iterator[tuple[Block, str]]:
    """
    Yield every independent policy of a rule, with its path.
    """
    blocks = [(spec, "spec"), *((subset, f"spec.subsets[{n}]") for n, subset in enumerate(spec.get("subsets", ())))]
    for block, path in blocks:
        policy = block.get("trafficPolicy", {})
        yield {name: value for name, value in policy.items() if name != "portLevelSettings"}, f"{path}.trafficPolicy"
        for number, settings in enumerate(policy.get("portLevelSettings", ())):
            yield settings, f"{path}.trafficPolicy.portLevelSettings[{number}]"


def _cluster(policy: Block) -> Any:
    """
    Return the cluster that a policy produces.
    """
    service = _service()
    return policy_cluster(Secrets(LAYOUT), service, service.ports[0], "", policy)


@cache
def _service() -> Service:
    """
    Return a service with one port, on which to try a policy.
    """
    record = ServiceRecord("check", "check", (ServicePort("grpc", 1, 1),))
    [service] = registry_services(Registry(services=(record,)))
    return service


def _policy(policy: Block | None, path: str) -> Mistakes:
    if policy is None:
        return
    if not set(BLOCKS) & set(policy):
        yield path, f"must have one of {', '.join(BLOCKS)}"
    yield from _blocks(policy, path)
    seen: set[int] = set()
    for number, settings in enumerate(policy.get("portLevelSettings", ())):
        here = f"{path}.portLevelSettings[{number}]"
        port = settings.get("port", {}).get("number", 0)
        yield from values.port(port, f"{here}.port.number")
        if port in seen:
            yield f"{here}.port.number", f"port {port} is duplicated"
        seen.add(port)
        if not set(settings) & set(BLOCKS):
            yield here, f"must have one of {', '.join(BLOCKS[:4])}"
        yield from _blocks(settings, here)


def _blocks(policy: Block, path: str) -> Mistakes:
    pool = policy.get("connectionPool")
    if pool is not None:
        yield from _pool(pool, f"{path}.connectionPool")
    outlier = policy.get("outlierDetection", {})
    for name in ("maxEjectionPercent", "minHealthPercent"):
        yield from values.percent(outlier.get(name, 0), f"{path}.outlierDetection.{name}")
    if outlier.get("consecutiveLocalOriginFailures") and not outlier.get("splitExternalLocalOriginErrors"):
        yield f"{path}.outlierDetection.consecutiveLocalOriginFailures", "needs splitExternalLocalOriginErrors"
    yield from _hash(policy.get("loadBalancer", {}).get("consistentHash", {}), f"{path}.loadBalancer.consistentHash")
    yield from _tls(policy.get("tls", {}), f"{path}.tls")


def _pool(pool: Block, path: str) -> Mistakes:
    http, tcp = pool.get("http", {}), pool.get("tcp", {})
    if not pool:
        yield path, "must have tcp or http"
    limits = (
        "http1MaxPendingRequests",
        "http2MaxRequests",
        "maxRequestsPerConnection",
        "maxRetries",
        "maxConcurrentStreams",
    )
    yield from values.not_negative(http, limits, f"{path}.http")
    yield from values.not_negative(tcp, ["maxConnections"], f"{path}.tcp")
    if http.get("h2UpgradePolicy") == "UPGRADE" and http.get("useClientProtocol"):
        yield f"{path}.http.useClientProtocol", "cannot be combined with h2UpgradePolicy UPGRADE"
    keepalive = http.get("http2KeepAlive")
    for name in ("interval", "timeout") if keepalive is not None else ():
        if name not in keepalive:
            yield f"{path}.http.http2KeepAlive.{name}", "is required"


def _hash(block: Block, path: str) -> Mistakes:
    size = block.get("maglev", {}).get("tableSize", 2)
    if "maglev" in block and not (1 < size < MAGLEV_MAX and all(size % n for n in range(2, isqrt(size) + 1))):
        yield f"{path}.maglev.tableSize", f"must be a prime number below {MAGLEV_MAX}"
    if block.get("minimumRingSize") and {"ringHash", "maglev"} & set(block):
        yield f"{path}.minimumRingSize", "cannot be combined with ringHash or maglev"
    names = [attribute["name"] for attribute in block.get("httpCookie", {}).get("attributes", ())]
    if len(set(names)) < len(names):
        yield f"{path}.httpCookie.attributes", "has a duplicate name"


def _tls(block: Block, path: str) -> Mistakes:
    mode = block.get("mode", "DISABLE")
    own = sorted({"clientCertificate", "privateKey", "caCertificates", "credentialName"} & set(block))
    if mode == "ISTIO_MUTUAL" and own:
        yield f"{path}.{own[0]}", "cannot be set for ISTIO_MUTUAL, which has its own certificates"
    if block.get("credentialName") and set(own) - {"credentialName"}:
        yield f"{path}.credentialName", "cannot be combined with files of certificates"
