"""
Fields that Istio knows and this translator does not, each refused with its reason.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from translator.model.resources import Resource

NO_INTERCEPTION = "there is no interception of traffic that is not HTTP"
NO_LOCALITY = "one machine has no localities"
NO_WAYPOINT = "there are no waypoints"
_POLICY = {
    "tunnel": NO_INTERCEPTION,
    "proxyProtocol": "upstream PROXY protocol is not translated",
    "loadBalancer.localityLbSetting": NO_LOCALITY,
    "loadBalancer.zoneAwareLbSetting": NO_LOCALITY,
    "outlierDetection.consecutiveErrors": "it is deprecated; use consecutive5xxErrors or consecutiveGatewayErrors",
    "retryBudget.budgetInterval": "Envoy 1.40 does not know it",
    "tls.caCrl": "revocation lists are not translated",
    "portLevelSettings[].loadBalancer.localityLbSetting": NO_LOCALITY,
    "portLevelSettings[].loadBalancer.zoneAwareLbSetting": NO_LOCALITY,
    "portLevelSettings[].outlierDetection.consecutiveErrors": "it is deprecated; use consecutive5xxErrors",
    "portLevelSettings[].tls.caCrl": "revocation lists are not translated",
}
_TARGETS = {"targetRef": NO_WAYPOINT, "targetRefs": NO_WAYPOINT}
UNSUPPORTED: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "VirtualService": {
            "tcp": NO_INTERCEPTION,
            "tls": NO_INTERCEPTION,
            "http[].delegate": "write the routes in the VirtualService itself",
            "http[].fault.abort.http2Error": "Istio does not support it either",
            "http[].fault.delay.exponentialDelay": "Istio does not support it either",
        },
        "DestinationRule": {f"trafficPolicy.{path}": reason for path, reason in _POLICY.items()}
        | {f"subsets[].trafficPolicy.{path}": reason for path, reason in _POLICY.items()},
        "Gateway": {
            "servers[].bind": "the registry says which address a gateway has",
            "servers[].defaultEndpoint": "Istio does not support it either",
            "servers[].port.targetPort": "it has no effect in Istio",
            "servers[].tls.caCrl": "revocation lists are not translated",
            "servers[].tls.tlsCertificates": "use credentialName",
            "servers[].tls.credentialNames": "use credentialName",
            "servers[].tls.caCertCredentialName": "use credentialName, whose secret has the authority too",
            "servers[].tls.verifyCertificateSpki": "pinned certificates are not translated",
            "servers[].tls.verifyCertificateHash": "pinned certificates are not translated",
        },
        "ServiceEntry": {
            "addresses": NO_INTERCEPTION,
            "endpoints[].network": NO_LOCALITY,
            "endpoints[].locality": NO_LOCALITY,
        },
        "WorkloadEntry": {"network": NO_LOCALITY, "locality": NO_LOCALITY},
        "Sidecar": {
            "ingress": "the registry says where a workload takes calls",
            "egress[].port": "the registry says where a workload's outbound listeners are",
            "egress[].bind": "the registry says where a workload's outbound listeners are",
            "egress[].captureMode": NO_INTERCEPTION,
            "inboundConnectionPool": "set the connectionPool of the service's DestinationRule",
            "outboundTrafficPolicy.egressProxy": NO_INTERCEPTION,
        },
        "Telemetry": {
            "accessLogging": "every Envoy logs what fails",
            "metrics": "there are Envoy's own statistics, not Istio's",
            "tracing[].disableContextPropagation": "Envoy 1.40 does not know it",
            **_TARGETS,
        },
        "AuthorizationPolicy": {"provider": "external authorization is not translated", **_TARGETS},
        "RequestAuthentication": dict(_TARGETS),
        "EnvoyFilter": {
            "targetRefs": NO_WAYPOINT,
            "configPatches[].match.waypoint": NO_WAYPOINT,
            "configPatches[].match.listener.portName": "match the listener by its port's number",
        },
        "PeerAuthentication": {},
    }
)


def unsupported(resource: Resource) -> Iterator[tuple[str, str]]:
    """
    Each field of a resource that is not supported: its path, and why.
    """
    for pattern, reason in UNSUPPORTED[resource.kind].items():
        for path in _found(resource.spec, pattern.split("."), "spec"):
            yield path, f"is not supported: {reason}"


def _found(node: Any, parts: list[str], path: str) -> Iterator[str]:
    name, rest = parts[0].removesuffix("[]"), parts[1:]
    if not isinstance(node, Mapping) or name not in node:
        return
    listed = parts[0].endswith("[]")
    for here, item in _items(node[name], f"{path}.{name}") if listed else [(f"{path}.{name}", node[name])]:
        if rest:
            yield from _found(item, rest, here)
        else:
            yield here


def _items(items: Any, path: str) -> Iterator[tuple[str, Any]]:
    for number, item in enumerate(items):
        yield f"{path}[{number}]", item
