"""
The processes that receive and show spans if a stack is traced: Zipkin, and the OTLP receiver in front of it.
"""

from collections.abc import Iterator
from typing import Any

import yaml

from stack.topology.addresses import Endpoint, Host, Port
from stack.topology.checks import GrpcCheck, HttpCheck
from stack.topology.plan import Plan
from stack.topology.processes import Process, Role

# Whose services every sidecar is told of (istio/sidecars.yaml), as on a cluster.
NAMESPACE = "monitoring"
SERVICE = f"traces.{NAMESPACE}.svc.cluster.local"
PROVIDER = "traces"
# Zipkin drops the oldest spans above this number.
MAX_SPANS = 100_000


def processes(plan: Plan) -> Iterator[Process]:
    """Return the viewer and the receiver of spans; nothing if the stack is not traced."""
    if not plan.settings.traces:
        return
    viewer, otlp = viewer_at(plan), otlp_at(plan)
    yield Process(
        name="zipkin-0",
        service="zipkin",
        role=Role.MONITOR,
        command=(
            *(str(plan.programs.java), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx192m"),
            *("-jar", f"{plan.settings.zipkin_libs}/zipkin-server-exec.jar"),
        ),
        environment={
            "SERVER_ADDRESS": viewer.address,
            "QUERY_PORT": str(viewer.port),
            "MEM_MAX_SPANS": str(MAX_SPANS),
            "SELF_TRACING_ENABLED": "false",
            "COLLECTOR_KAFKA_ENABLED": "false",
        },
        listens=(viewer,),
        check=HttpCheck(viewer, "/health"),
    )
    yield Process(
        name="spans-0",
        service="spans",
        role=Role.MONITOR,
        command=(
            *(plan.tool("python"), "-m", "stack.spans", str(otlp)),
            *(f"http://{viewer}/api/v2/spans", str(plan.settings.traces_kept)),
        ),
        listens=(otlp,),
        check=GrpcCheck(otlp),
    )


def viewer_at(plan: Plan) -> Endpoint:
    """Return the address of Zipkin's page and API."""
    return plan.network.at(Host.TRACES, Port.TRACES)


def otlp_at(plan: Plan) -> Endpoint:
    """Return the address to which spans are sent."""
    return plan.network.at(Host.TRACES, Port.OTLP)


def link(plan: Plan) -> str:
    """Return the URL prefix of a trace in the viewer; empty if the stack is not traced."""
    return f"http://{viewer_at(plan)}/zipkin/traces/" if plan.settings.traces else ""


def environment(plan: Plan) -> dict[str, str]:
    """Return OpenTelemetry's variables with which services send their spans."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{otlp_at(plan)}"} if plan.settings.traces else {}


def extension_providers(plan: Plan) -> list[dict[str, Any]]:
    """Return the extension providers of Istio's mesh configuration, to which Envoys send their spans."""
    provider = {"service": SERVICE, "port": Port.OTLP.value, "maxTagLength": 128}
    return [{"name": PROVIDER, "opentelemetry": provider}] if plan.settings.traces else []


def service_entry(plan: Plan) -> str:
    """Return the ServiceEntry of the receiver; in a stack without tracing nothing refers to it."""
    endpoint = otlp_at(plan)
    spec = {
        "hosts": [SERVICE],
        "location": "MESH_EXTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": Port.OTLP.value, "name": "grpc", "protocol": "GRPC"}],
        "endpoints": [{"address": endpoint.address, "ports": {"grpc": endpoint.port}}],
    }
    metadata = {"name": "traces", "namespace": NAMESPACE}
    entry = {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": metadata, "spec": spec}
    return yaml.safe_dump(entry, sort_keys=False)
