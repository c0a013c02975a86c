"""
Telemetry -> the tracing of a connection manager (istio: core/tracing.go).
"""

from collections.abc import Iterator

from envoy.config.trace.v3 import http_tracer_pb2, opentelemetry_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.request_id.uuid.v3 import uuid_pb2
from envoy.type.tracing.v3 import custom_tag_pb2

from translator.config.listener import GATEWAY, INBOUND
from translator.config.names import outbound_cluster
from translator.config.protoconv import boolean, packed
from translator.model.proxy import Proxy
from translator.model.registry import OpenTelemetryProvider
from translator.model.telemetry import CLIENT, SERVER, Tracing, tracing
from translator.model.values import Block

Tag = custom_tag_pb2.CustomTag
TRACER = "envoy.tracers.opentelemetry"
LABELS = {"istio.canonical_revision": ("revision", "latest"), "istio.canonical_service": ("name", "unknown")}
# Not known to the proxies of one machine.
UNKNOWN = {"istio.mesh_id": "unknown", "istio.cluster_id": "unknown"}


def set_tracing(manager: hcm.HttpConnectionManager, proxy: Proxy, context: str) -> None:
    """
    Set the tracing of the workload's Telemetry; without a provider, or its service, nothing is traced.
    """
    spec = tracing(proxy.mesh, proxy.workload, SERVER if context == INBOUND else CLIENT)
    host = _host(proxy, spec.provider.opentelemetry) if spec.provider else None
    if spec.disabled or spec.provider is None or host is None:
        return
    manager.tracing.provider.CopyFrom(_provider(proxy, spec.provider.opentelemetry, host))
    if context == GATEWAY:
        manager.tracing.spawn_upstream_span.value = True
    length = spec.provider.opentelemetry.max_tag_length
    if length:
        manager.tracing.max_path_tag_length.value = length
    manager.tracing.client_sampling.value = manager.tracing.overall_sampling.value = 100
    manager.tracing.random_sampling.value = spec.sampling_percent
    manager.tracing.custom_tags.extend(sorted(_tags(proxy, spec), key=lambda tag: tag.tag))
    by_id = uuid_pb2.UuidRequestIdConfig(use_request_id_for_trace_sampling=boolean(spec.by_request_id))
    manager.request_id_extension.typed_config.CopyFrom(packed(by_id))


def _host(proxy: Proxy, provider: OpenTelemetryProvider) -> str | None:
    """
    Return the service's full name, if the workload sees it at that port; it may be given as `namespace/name`.
    """
    service = proxy.services.get(provider.service.rpartition("/")[2])
    if service is None or provider.port not in {port.number for port in service.ports}:
        return None
    return service.host


def _provider(proxy: Proxy, provider: OpenTelemetryProvider, host: str) -> http_tracer_pb2.Tracing.Http:
    workload = proxy.workload
    # Like the node's cluster in the bootstrap.
    name = f"{workload.labels.get('app', workload.name)}.{workload.namespace}"
    config = opentelemetry_pb2.OpenTelemetryConfig(service_name=name)
    config.grpc_service.envoy_grpc.cluster_name = outbound_cluster(provider.port, "", host)
    config.grpc_service.envoy_grpc.authority = host
    return http_tracer_pb2.Tracing.Http(name=TRACER, typed_config=packed(config))


def _tags(proxy: Proxy, spec: Tracing) -> Iterator[custom_tag_pb2.CustomTag]:
    if spec.istio_tags:
        labels = proxy.workload.labels
        for tag, (label, default) in LABELS.items():
            yield _literal(tag, labels.get(f"service.istio.io/canonical-{label}", default))
        yield _literal("istio.namespace", proxy.namespace)
        for tag, value in UNKNOWN.items():
            yield _literal(tag, value)
    for tag, block in spec.custom_tags.items():
        yield _custom(tag, block)


def _literal(tag: str, value: str) -> custom_tag_pb2.CustomTag:
    return Tag(tag=tag, literal=Tag.Literal(value=value))


def _custom(tag: str, block: Block) -> custom_tag_pb2.CustomTag:
    if "literal" in block:
        return _literal(tag, block["literal"]["value"])
    if "formatter" in block:
        return Tag(tag=tag, value=block["formatter"]["value"])
    kind = "header" if "header" in block else "environment"
    read = Tag.Header if kind == "header" else Tag.Environment
    value = read(name=block[kind]["name"], default_value=block[kind].get("defaultValue", ""))
    return Tag(tag=tag, **{f"request_{kind}" if kind == "header" else kind: value})
