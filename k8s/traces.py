"""
Tracing by one setting: TRACES_TO is the Service of an OpenTelemetry Collector, as SERVICE.NAMESPACE.

It becomes the services' OTLP endpoint, what the network and the sidecars let through, and is compared with the
extension provider `traces` of Istio's mesh configuration, to which the Envoys send their spans (istio/telemetry.yaml).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from k8s.kubectl import NAMESPACE, ClusterError, get, kubectl, wait
from k8s.names import DOMAIN, WRITTEN
from k8s.pods import ending, run_in

# OTLP over gRPC, in pods and in the Service; sidecars leave this port alone (base/orders.yaml).
PORT = 4317
PROVIDER = "traces"
ROOT_NAMESPACE = "istio-system"
_SERVICE = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)\.([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)")
# Envoy sends spans every 5 s.
SPANS_S = 30
NAMESPACE_LABEL = "kubernetes.io~1metadata.name"
CLUSTERS = ("pilot-agent", "request", "GET", "clusters")
Counters = Mapping[str, tuple[int, int]]
"""Of each pod, the requests that succeeded and those that failed."""


@dataclass(frozen=True)
class Receiver:
    """The Service that receives spans."""

    service: str
    namespace: str

    @property
    def host(self) -> str:
        """Return its full name."""
        return f"{self.service}.{self.namespace}.svc.{DOMAIN}"

    @property
    def provider(self) -> str:
        """Return what Istio's mesh configuration has to have."""
        return (
            f"extensionProviders:\n- name: {PROVIDER}\n  opentelemetry:\n"
            f"    service: {self.host}\n    port: {PORT}\n    maxTagLength: 128\n"
        )


def receiver(text: str | None = None, *, namespace: str = NAMESPACE) -> Receiver | None:
    """Return the receiver that TRACES_TO names, or None if it is unset; raises `ClusterError` if it cannot be one."""
    text = os.environ.get("TRACES_TO", "") if text is None else text
    if not text:
        return None
    found = _SERVICE.fullmatch(text)
    if not found:
        raise ClusterError(f"TRACES_TO={text!r} is not SERVICE.NAMESPACE of an OpenTelemetry Collector's Service")
    if found[3] in (WRITTEN, namespace):
        raise ClusterError(
            f"TRACES_TO={text!r}: the shop's own namespace lets nothing in; use another for the collector"
        )
    return Receiver(found[1], found[3])


def patches(to: Receiver | None) -> list[dict[str, Any]]:
    """Return kustomize's patches that send spans to *to*; none without a receiver."""
    if to is None:
        return []
    label = f"/spec/egress/1/to/0/namespaceSelector/matchLabels/{NAMESPACE_LABEL}"
    return [
        _patch("Deployment", "orders|inventory", _endpoint(to)),
        _patch(
            "NetworkPolicy",
            "mesh",
            {"op": "test", "path": "/spec/egress/1/ports/0/port", "value": PORT},
            {"op": "replace", "path": label, "value": to.namespace},
        ),
        _patch(
            "Sidecar",
            "orders|inventory|pages",
            {"op": "test", "path": "/spec/egress/0/hosts/1", "value": "monitoring/*"},
            {"op": "replace", "path": "/spec/egress/0/hosts/1", "value": f"{to.namespace}/*"},
        ),
    ]


def _endpoint(to: Receiver) -> dict[str, Any]:
    # By name, wherever in the list it is.
    variable = {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": f"http://{to.host}:{PORT}"}
    pod = {"spec": {"containers": [{"name": "app", "env": [variable]}]}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "any"}, "spec": {"template": pod}}


def _patch(kind: str, name: str, *operations: Mapping[str, Any]) -> dict[str, Any]:
    patch = operations if "op" in operations[0] else operations[0]
    return {"target": {"kind": kind, "name": name}, "patch": json.dumps(patch)}


def need(to: Receiver | None, *, say: Callable[[str], None]) -> None:
    """
    Raise `ClusterError` unless the receiver's Service is there, speaks gRPC, and is the mesh's provider `traces`.

    A mesh configuration that may not be read is not an error: `wait_for_spans` sees what the Envoys made of it.
    """
    if to is None:
        return
    ports = _ports(to)
    if not any(_grpc(port) for port in ports if port["port"] == PORT):
        raise ClusterError(
            f"TRACES_TO: the Service {to.host} has no port {PORT} that is declared as gRPC (appProtocol: grpc, or a"
            " name that begins with grpc-); Envoys would speak HTTP/1.1 to it"
        )
    try:
        listed = json.loads(kubectl("get", "configmaps", "-n", ROOT_NAMESPACE, "-o", "json"))["items"]
    except ClusterError:
        say(f"traces: the mesh configuration in {ROOT_NAMESPACE} may not be read; needed there:\n{to.provider}")
        return
    meshes = [each["data"]["mesh"] for each in listed if "mesh" in each.get("data", {})]
    if meshes and not any(_provides(mesh, to) for mesh in meshes):
        raise ClusterError(
            f"TRACES_TO: Istio's mesh configuration (ConfigMap `istio` in {ROOT_NAMESPACE}, meshConfig of its Helm"
            f" chart) has no provider `{PROVIDER}` for {to.host}; the cluster's administrator adds\n{to.provider}"
        )


def _ports(to: Receiver) -> list[dict[str, Any]]:
    found = kubectl("get", "service", to.service, "-n", to.namespace, "-o", "json", "--ignore-not-found")
    if not found.strip():
        raise ClusterError(f"TRACES_TO: there is no Service {to.service} in the namespace {to.namespace}")
    ports: list[dict[str, Any]] = json.loads(found)["spec"]["ports"]
    return ports


def _grpc(port: Mapping[str, Any]) -> bool:
    spoken = port.get("appProtocol") or port.get("name", "").partition("-")[0]
    return spoken in ("grpc", "http2", "kubernetes.io/h2c")


def _provides(mesh: str, to: Receiver) -> bool:
    """Return whether a mesh configuration names provider and receiver: its YAML is searched, not read."""
    named = rf"""name:\s*["']?{PROVIDER}["']?\s*$"""
    sent = rf"""service:\s*["']?([a-z0-9-]+/)?{re.escape(to.host)}["']?\s*$"""
    return all(re.search(pattern, mesh, re.MULTILINE) for pattern in (named, sent))


def wait_for_spans(to: Receiver, before: Counters, *, say: Callable[[str], None]) -> None:
    """
    Wait until the receiver has taken more spans of an Envoy of the edge than *before*, as `sent` returned it.

    Whose call they are of, no counter tells. Raises `ClusterError` with what is missing.
    """
    wait("traces", lambda: missing(before, sent(to), to), seconds=SPANS_S, say=say)


def sent(to: Receiver) -> Counters:
    """Return the requests to the receiver that succeeded and failed, of each Envoy of the edge that answers now."""
    found = {}
    for pod in get("pods", "-l", "app=edge", "--field-selector=status.phase=Running"):
        if not ending(pod):
            name = pod["metadata"]["name"]
            # It may end meanwhile.
            with contextlib.suppress(ClusterError):
                counted = counters(run_in(name, *CLUSTERS, container="istio-proxy"), to)
                if counted is not None:
                    found[name] = counted
    return found


def counters(clusters: str, to: Receiver) -> tuple[int, int] | None:
    """Return the requests to the receiver that succeeded and failed; None if an Envoy's clusters have no pod of it."""
    host = rf"^{re.escape(f'outbound|{PORT}||{to.host}')}::[^:]+:\d+::"
    if not re.search(host, clusters, re.MULTILINE):
        return None
    succeeded, failed = (
        sum(map(int, re.findall(rf"{host}{counter}::(\d+)$", clusters, re.MULTILINE)))
        for counter in ("rq_success", "rq_error")
    )
    return succeeded, failed


def missing(before: Counters, now: Counters, to: Receiver) -> str | None:
    """Return what is missing until spans arrive, or None, from the counters of two moments."""
    if not now:
        return f"no Envoy of the edge answers and knows a pod of {to.host}"
    nothing = (0, 0)
    # Fewer than before: that Envoy began anew, or that pod of the receiver is gone.
    since = [
        tuple(max(0, after - earlier) for after, earlier in zip(counted, before.get(pod, nothing), strict=True))
        for pod, counted in now.items()
    ]
    if any(succeeded for succeeded, _ in since):
        return None
    failed = sum(failed for _, failed in since)
    return f"the edge has sent no span to {to.host} since the order" + (f", {failed} attempts failed" if failed else "")
