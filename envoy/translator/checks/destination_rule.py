"""
Checks of DestinationRules.
"""

from collections.abc import Iterator
from functools import cache, partial
from math import isqrt
from typing import Any

from translator.checks import values
from translator.checks.sample_mesh import LAYOUT
from translator.checks.values import MILLISECOND_NS, Mistakes
from translator.config.cluster import policy_cluster
from translator.config.secrets import Secrets
from translator.model.problems import BlockError
from translator.model.registry import Registry, ServicePort, ServiceRecord
from translator.model.resources import Resource
from translator.model.service import Service, registry_services
from translator.model.values import Block, nanoseconds

BLOCKS = ("connectionPool", "loadBalancer", "outlierDetection", "tls", "portLevelSettings", "retryBudget")
CONFIG_MAP = "configmap://"
MAGLEV_MAX = 5_000_011
CERTIFICATES = ("clientCertificate", "privateKey", "caCertificates", "credentialName", "caCrl")


def check_destination_rule(resource: Resource) -> Mistakes:
    """
    Yield every error of a DestinationRule.
    """
    spec = resource.spec
    yield from values.export_to(resource, selected="workloadSelector" in spec)
    yield from values.selector(spec.get("workloadSelector", {}).get("matchLabels", {}), "spec.workloadSelector")
    found = [
        *values.wildcard_domain(spec["host"], "spec.host"),
        *_policy(spec.get("trafficPolicy"), "spec.trafficPolicy"),
    ]
    names = [subset["name"] for subset in spec.get("subsets", ())]
    for number, subset in enumerate(spec.get("subsets", ())):
        path = f"spec.subsets[{number}]"
        found += values.label(subset["name"], f"{path}.name")
        found += values.labels(subset.get("labels", {}), f"{path}.labels")
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
    if not {name for name in BLOCKS if name in policy and policy[name] != []}:
        yield path, f"must have one of {', '.join(BLOCKS)}"
    yield from _blocks(policy, path)
    for number, settings in enumerate(policy.get("portLevelSettings", ())):
        here = f"{path}.portLevelSettings[{number}]"
        if "port" not in settings:
            yield f"{here}.port", "must be given"
        if not set(settings) & set(BLOCKS[:4]):
            yield here, f"must have one of {', '.join(BLOCKS[:4])}"
        yield from _blocks(settings, here)


def _blocks(policy: Block, path: str) -> Mistakes:
    pool = policy.get("connectionPool")
    if pool is not None:
        yield from _pool(pool, f"{path}.connectionPool")
    outlier = policy.get("outlierDetection", {})
    for name in ("interval", "baseEjectionTime"):
        yield from values.duration(outlier, name, f"{path}.outlierDetection")
    for name in ("maxEjectionPercent", "minHealthPercent"):
        yield from values.percent(outlier.get(name, 0), f"{path}.outlierDetection.{name}")
    if outlier.get("consecutiveLocalOriginFailures") and not outlier.get("splitExternalLocalOriginErrors"):
        yield f"{path}.outlierDetection.consecutiveLocalOriginFailures", "needs splitExternalLocalOriginErrors"
    yield from _hash(policy.get("loadBalancer", {}).get("consistentHash", {}), f"{path}.loadBalancer.consistentHash")
    yield from _warmup(policy.get("loadBalancer", {}).get("warmup"), f"{path}.loadBalancer.warmup")
    yield from _tls(policy.get("tls", {}), f"{path}.tls")


def _pool(pool: Block, path: str) -> Mistakes:
    http, tcp = pool.get("http", {}), pool.get("tcp", {})
    if not {"http", "tcp"} & set(pool):
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
            yield f"{path}.http.http2KeepAlive.{name}", "must be given"
        yield from values.duration(keepalive, name, f"{path}.http.http2KeepAlive")
    yield from values.duration(http, "idleTimeout", f"{path}.http")
    for name in ("connectTimeout", "maxConnectionDuration"):
        yield from values.duration(tcp, name, f"{path}.tcp")
    yield from _idle(tcp, f"{path}.tcp")
    for name in ("time", "interval"):
        yield from values.duration(tcp.get("tcpKeepalive", {}), name, f"{path}.tcp.tcpKeepalive")


def _idle(tcp: Block, path: str) -> Mistakes:
    """
    Check an idle timeout; one of less than a millisecond means none.
    """
    mistakes = list(values.duration(tcp, "idleTimeout", path))
    if mistakes and not _is_no_time(tcp["idleTimeout"]):
        yield from mistakes


def _is_no_time(text: str) -> bool:
    try:
        return abs(nanoseconds(text)) < MILLISECOND_NS
    except BlockError:
        return False


def _warmup(block: Block | None, path: str) -> Mistakes:
    if block is None:
        return
    if "duration" not in block:
        yield f"{path}.duration", "must be given"
    yield from values.duration(block, "duration", path)
    if block.get("minimumPercent", 0) > 100:
        yield f"{path}.minimumPercent", "must be at most 100"
    if block.get("aggression", 1) <= 0:
        yield f"{path}.aggression", "must be greater than 0"


def _hash(block: Block, path: str) -> Mistakes:
    size = block.get("maglev", {}).get("tableSize", 0)
    if size == 1:
        # Envoy 1.40 divides by the size less one, and Istio counts one among the primes.
        yield f"{path}.maglev.tableSize", "Envoy would reject it: a table of one place ends its process"
    elif "maglev" in block and not (1 < size < MAGLEV_MAX and all(size % n for n in range(2, isqrt(size) + 1))):
        yield f"{path}.maglev.tableSize", f"must be a prime number below {MAGLEV_MAX}"
    if block.get("minimumRingSize") and {"ringHash", "maglev"} & set(block):
        yield f"{path}.minimumRingSize", "cannot be beside ringHash or maglev"
    cookie = block.get("httpCookie", {"name": "-"})
    if "ttl" in cookie:
        yield from values.time_span(cookie["ttl"], f"{path}.httpCookie.ttl")
    names = [attribute["name"] for attribute in cookie.get("attributes", ())]
    if not cookie["name"] or "" in names:
        yield f"{path}.httpCookie", "must have a name, and its attributes too"
    if len(set(names)) < len(names):
        yield f"{path}.httpCookie.attributes", "has a duplicate name"


def _tls(block: Block, path: str) -> Mistakes:
    mode = block.get("mode", "DISABLE")
    own = sorted(name for name in CERTIFICATES if block.get(name))
    if block.get("credentialName", "").startswith(CONFIG_MAP):
        yield f"{path}.credentialName", "authorities in a ConfigMap are not supported: use a secret or caCertificates"
    skipped = ("caCertificates", "credentialName") if mode == "SIMPLE" else ("caCertificates",)
    checked = "subjectAltNames" in block or any(block.get(name) for name in skipped)
    if block.get("insecureSkipVerify") and mode in ("SIMPLE", "MUTUAL") and checked:
        yield f"{path}.insecureSkipVerify", f"cannot be beside {', '.join(skipped)} and subjectAltNames"
    if mode in ("SIMPLE", "MUTUAL") and block.get("credentialName"):
        if set(own) - {"credentialName"}:
            yield f"{path}.credentialName", "cannot be beside files of certificates"
    elif mode == "MUTUAL":
        for name in ("clientCertificate", "privateKey"):
            if not block.get(name):
                yield f"{path}.{name}", "must be given for MUTUAL"
