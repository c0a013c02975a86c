"""
The fields of Istio that this translator does not support, each rejected with a reason.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from translator.model.resources import Resource

NO_INTERCEPTION = "only HTTP traffic is supported"
NO_LOCALITY = "there are no localities on one machine"
NO_WAYPOINT = "there are no waypoints"
_POLICY = {
    "tunnel": NO_INTERCEPTION,
    "proxyProtocol": "upstream PROXY protocol is not translated",
    "loadBalancer.localityLbSetting": NO_LOCALITY,
    "loadBalancer.zoneAwareLbSetting": NO_LOCALITY,
    "outlierDetection.outlierDetectionHttpErrorCodes": "Istio does not translate it",
    "outlierDetection.consecutiveErrors": "it is deprecated; use consecutive5xxErrors or consecutiveGatewayErrors",
    "retryBudget.budgetInterval": "Envoy 1.40 does not know it",
    "tls.caCrl": "revocation lists are not translated",
    "portLevelSettings[].loadBalancer.localityLbSetting": NO_LOCALITY,
    "portLevelSettings[].loadBalancer.zoneAwareLbSetting": NO_LOCALITY,
    "portLevelSettings[].outlierDetection.outlierDetectionHttpErrorCodes": "Istio does not translate it",
    "portLevelSettings[].outlierDetection.consecutiveErrors": "it is deprecated; use consecutive5xxErrors",
    "portLevelSettings[].tls.caCrl": "revocation lists are not translated",
}
_TARGETS = {"targetRef": NO_WAYPOINT, "targetRefs": NO_WAYPOINT}
UNSUPPORTED: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "VirtualService": {
            "tcp": NO_INTERCEPTION,
            "tls": NO_INTERCEPTION,
            "http[].fault.abort.http2Error": "Istio does not support it either",
            "http[].fault.delay.exponentialDelay": "Istio does not support it either",
        },
        "DestinationRule": {f"trafficPolicy.{path}": reason for path, reason in _POLICY.items()}
        | {f"subsets[].trafficPolicy.{path}": reason for path, reason in _POLICY.items()},
        "Gateway": {
            "servers[].bind": "the registry sets the address of a gateway",
            "servers[].defaultEndpoint": "Istio does not support it either",
            "servers[].port.targetPort": "it has no effect in Istio",
            "servers[].tls.caCrl": "revocation lists are not translated",
            "servers[].tls.tlsCertificates": "use credentialName",
            "servers[].tls.credentialNames": "use credentialName",
            "servers[].tls.caCertCredentialName": "use credentialName, whose secret contains the CA certificate too",
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
            "ingress": "the registry sets a workload's inbound listeners",
            "egress[].port": "the registry sets a workload's outbound listeners",
            "egress[].bind": "the registry sets a workload's outbound listeners",
            "egress[].captureMode": NO_INTERCEPTION,
            "inboundConnectionPool": "set the connectionPool of the service's DestinationRule",
            "outboundTrafficPolicy.egressProxy": NO_INTERCEPTION,
        },
        "Telemetry": {
            "accessLogging": "every Envoy logs failed calls",
            "metrics": "only Envoy's own statistics are available",
            "tracing[].disableContextPropagation": "Envoy 1.40 does not know it",
            **_TARGETS,
        },
        "AuthorizationPolicy": {"provider": "external authorization is not translated", **_TARGETS},
        "RequestAuthentication": dict(_TARGETS),
        "EnvoyFilter": {
            "targetRefs": NO_WAYPOINT,
            "configPatches[].match.waypoint": NO_WAYPOINT,
            "configPatches[].match.listener.portName": "match the listener by port number",
        },
        "PeerAuthentication": {},
    }
)


def unsupported(resource: Resource) -> Iterator[tuple[str, str]]:
    """
    Yield each unsupported field of a resource: its path, and the reason.
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
