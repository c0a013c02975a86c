"""
Tracing: Telemetry resources and the mesh's extension providers.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from envoy.config.trace.v3 import opentelemetry_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from tests.unit.translator.rig import REGISTRY, mesh, problems
from translator.model.registry import ExtensionProvider, OpenTelemetryProvider

HOST = "traces.observability.svc.cluster.local"
PROVIDER = ExtensionProvider("traces", OpenTelemetryProvider(HOST, 4317, 64))
TRACED = replace(REGISTRY, extension_providers=(PROVIDER,))
ENTRY = f"""
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: traces, namespace: shop}}
spec:
  hosts: [{HOST}]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{{number: 4317, name: grpc, protocol: GRPC}}]
  endpoints: [{{address: 127.30.9.1}}]
"""
GATEWAY = """
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {selector: {istio: edge}, servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}]}
"""
INBOUND, OUTBOUND, EDGE = (
    ("orders-0", "virtualInbound_50051"),
    ("orders-0", "0.0.0.0_50051"),
    ("edge-0", "0.0.0.0_8080"),
)


def telemetry(tracing: str, *, name: str = "traces", namespace: str = "shop", selector: str = "") -> str:
    chosen = f"selector: {{matchLabels: {{{selector}}}}}" if selector else ""
    return f"""
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  {chosen}
  tracing: [{tracing}]
"""


ALL = "{providers: [{name: traces}], randomSamplingPercentage: 40, enableIstioTags: false}"


def manager(text: str, place: tuple[str, str] = OUTBOUND, *, registry: Any = TRACED) -> hcm.HttpConnectionManager:
    workload, listener = place
    [found] = [
        one for one in mesh(text + ENTRY + GATEWAY, registry=registry)[workload].listeners if one.name == listener
    ]
    result = hcm.HttpConnectionManager()
    [chain] = [each for each in found.filter_chains if each.filters[-1].name.endswith("http_connection_manager")][:1]
    chain.filters[-1].typed_config.Unpack(result)
    return result


def traced(text: str, place: tuple[str, str] = OUTBOUND, *, registry: Any = TRACED) -> bool:
    return manager(text, place, registry=registry).HasField("tracing")


@pytest.mark.parametrize("place", [INBOUND, OUTBOUND, EDGE])
def test_every_direction_sends_its_spans_to_the_provider_under_its_own_name(place: tuple[str, str]) -> None:
    made = manager(telemetry(ALL), place)
    config = opentelemetry_pb2.OpenTelemetryConfig()
    made.tracing.provider.typed_config.Unpack(config)
    assert made.tracing.provider.name == "envoy.tracers.opentelemetry"
    assert config.service_name == f"{place[0][:-2]}.shop"
    assert config.grpc_service.envoy_grpc.cluster_name == f"outbound|4317||{HOST}"
    assert config.grpc_service.envoy_grpc.authority == HOST
    assert (made.tracing.client_sampling.value, made.tracing.random_sampling.value) == (100, 40)
    assert made.tracing.max_path_tag_length.value == 64
    # A gateway's call to a service has its own span.
    assert made.tracing.spawn_upstream_span.value == (place == EDGE)


def test_nothing_is_traced_without_a_telemetry_resource_and_its_provider() -> None:
    assert not traced("")
    assert not traced(telemetry(ALL), registry=REGISTRY)
    assert not traced(telemetry("{providers: [{name: others}]}"))
    elsewhere = replace(PROVIDER, opentelemetry=OpenTelemetryProvider("nowhere.shop.svc.cluster.local", 4317))
    assert not traced(telemetry(ALL), registry=replace(REGISTRY, extension_providers=(elsewhere,)))
    assert not traced(telemetry("{providers: [{name: traces}], disableSpanReporting: true}"))


def test_the_most_specific_telemetry_wins() -> None:
    root = telemetry(ALL, namespace="istio-system")
    own = telemetry("{randomSamplingPercentage: 7}", name="own", selector="app: orders")
    other = telemetry("{disableSpanReporting: true}", name="other", selector="app: inventory")
    assert manager(root + own + other).tracing.random_sampling.value == 7
    assert not traced(root + own + other, ("inventory-0", "0.0.0.0_50051"))
    assert traced(root, ("pages-0", "0.0.0.0_80"))
    assert not traced(telemetry(ALL), ("pages-0", "0.0.0.0_80"))


def test_a_block_for_clients_leaves_servers_as_they_are() -> None:
    text = telemetry(f"{ALL}, {{match: {{mode: CLIENT}}, randomSamplingPercentage: 3}}")
    assert manager(text, OUTBOUND).tracing.random_sampling.value == 3
    assert manager(text, INBOUND).tracing.random_sampling.value == 40


def test_tags_are_literals_headers_environment_and_formats() -> None:
    tags = (
        "{a: {literal: {value: one}}, b: {header: {name: x-b, defaultValue: none}},"
        " c: {environment: {name: HOME}}, d: {formatter: {value: '%PATH(NQ)%'}}}"
    )
    made = manager(telemetry(f"{{providers: [{{name: traces}}], enableIstioTags: false, customTags: {tags}}}"))
    one, two, three, four = made.tracing.custom_tags
    assert (one.literal.value, two.request_header.name, two.request_header.default_value) == ("one", "x-b", "none")
    assert (three.environment.name, four.value) == ("HOME", "%PATH(NQ)%")
    assert made.tracing.random_sampling.value == 1
    names = [tag.tag for tag in manager(telemetry("{providers: [{name: traces}]}")).tracing.custom_tags]
    assert "istio.canonical_service" in names


def test_unsupported_fields_are_rejected() -> None:
    [problem] = problems(telemetry("{disableContextPropagation: true}").replace("---", ""))
    assert problem.startswith("test.yaml: Telemetry shop/traces: spec.tracing[0].disableContextPropagation: ")
    assert problems(telemetry("{providers: [{name: a}, {name: b}]}"))
    assert problems(telemetry("{randomSamplingPercentage: 101}"))


def test_our_own_telemetry_removes_personal_tags() -> None:
    text = (Path(__file__).parents[4] / "istio" / "telemetry.yaml").read_text()
    tags = {tag.tag: tag for tag in manager(text, EDGE).tracing.custom_tags}
    assert tags["peer.address"].literal.value == tags["user_agent"].literal.value == "-"
    assert tags["http.url"].value.endswith("%PATH(NQ)%")
