"""
The bootstrap of an Envoy: its identity, its admin port, the location of its configuration, and its limits.
"""

from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.overload.v3 import overload_pb2
from envoy.extensions.resource_monitors.downstream_connections.v3 import downstream_connections_pb2
from envoy.extensions.resource_monitors.fixed_heap.v3 import fixed_heap_pb2
from google.protobuf import struct_pb2

from translator.config.protoconv import packed, socket_address
from translator.config.secrets import API, Layout
from translator.model.proxy import Proxy

MAX_HEAP_BYTES = 256 * 1024 * 1024
MAX_CONNECTIONS = 10_000
STOP_ACCEPTING, SHRINK = 0.98, 0.8
# Between these two heap sizes, the streams that hold the most memory are reset, the largest first; those below 64 KiB
# are kept.
RESET_FROM, RESET_AT, RESET_LEAST_POWER_OF_TWO = 0.85, 0.95, 16
# Limits for hostile clients. Each connection has one request processed per turn of the event loop, so that one with
# hundreds of them does not delay others; a connection of which most streams are reset within a second is closed after
# this many.
GATEWAY_RUNTIME = {"http.max_requests_per_io_cycle": 1, "overload.premature_reset_total_stream_count": 100}
# The rate at which memory freed after a burst is returned to the operating system.
RELEASED_BYTES, RELEASE_EVERY_S = 16 * 1024 * 1024, 1
# Which part of a statistic's name becomes which label (istio: tools/packaging/common/envoy_bootstrap.json).
STAT_TAGS = (
    ("cluster_name", r"^cluster(\.(.+);)"),
    ("http_conn_manager_prefix", r"^http(\.([\w.]+);)"),
    ("response_code", r"_rq(_(\d{3}))$"),
    ("response_code_class", r"_rq(_(\dxx))$"),
)


def bootstrap(proxy: Proxy, layout: Layout) -> bootstrap_pb2.Bootstrap:
    """
    Return the bootstrap of a workload's Envoy, named as Istio names its proxies.
    """
    workload = proxy.workload
    role = "router" if workload.kind == "gateway" else "sidecar"
    domain = f"{workload.namespace}.svc.{proxy.registry.cluster_domain}"
    result = bootstrap_pb2.Bootstrap()
    result.node.id = f"{role}~{workload.address}~{workload.name}.{workload.namespace}~{domain}"
    result.node.cluster = f"{workload.labels.get('app', workload.name)}.{workload.namespace}"
    result.node.metadata.CopyFrom(_metadata(proxy))
    result.admin.address.CopyFrom(socket_address(workload.admin.host, workload.admin.port))
    for source, name in ((result.dynamic_resources.lds_config, "lds"), (result.dynamic_resources.cds_config, "cds")):
        source.path_config_source.path = str(layout.folder / f"{name}.json")
        source.resource_api_version = API
    result.cluster_manager.outlier_detection.event_log_path = "/dev/stdout"
    result.stats_config.use_all_default_tags.value = False
    for name, regex in STAT_TAGS:
        result.stats_config.stats_tags.add(tag_name=name, regex=regex)
    if role == "router":
        result.layered_runtime.layers.add(name="gateway").static_layer.update(GATEWAY_RUNTIME)
    result.layered_runtime.layers.add(name="admin").admin_layer.SetInParent()
    result.memory_allocator_manager.bytes_to_release = RELEASED_BYTES
    result.memory_allocator_manager.memory_release_interval.FromSeconds(RELEASE_EVERY_S)
    result.overload_manager.CopyFrom(overload_manager())
    return result


def _metadata(proxy: Proxy) -> struct_pb2.Struct:
    result = struct_pb2.Struct()
    result.update(
        {
            "NAMESPACE": proxy.namespace,
            "SERVICE_ACCOUNT": proxy.workload.service_account,
            "LABELS": dict(proxy.workload.labels),
        }
    )
    return result


def overload_manager() -> overload_pb2.OverloadManager:
    """
    Shed load before memory runs out, and accept no more connections than can be served.
    """
    manager = overload_pb2.OverloadManager()
    manager.refresh_interval.FromMilliseconds(250)
    heap = packed(fixed_heap_pb2.FixedHeapConfig(max_heap_size_bytes=MAX_HEAP_BYTES))
    manager.resource_monitors.add(name="envoy.resource_monitors.fixed_heap", typed_config=heap)
    connections = downstream_connections_pb2.DownstreamConnectionsConfig(
        max_active_downstream_connections=MAX_CONNECTIONS
    )
    name = "envoy.resource_monitors.global_downstream_max_connections"
    manager.resource_monitors.add(name=name, typed_config=packed(connections))
    for action, threshold in (("shrink_heap", SHRINK), ("stop_accepting_requests", STOP_ACCEPTING)):
        trigger = manager.actions.add(name=f"envoy.overload_actions.{action}").triggers.add(
            name="envoy.resource_monitors.fixed_heap"
        )
        trigger.threshold.value = threshold
    reset = manager.actions.add(name="envoy.overload_actions.reset_high_memory_stream").triggers.add(
        name="envoy.resource_monitors.fixed_heap"
    )
    reset.scaled.scaling_threshold, reset.scaled.saturation_threshold = RESET_FROM, RESET_AT
    manager.buffer_factory_config.minimum_account_to_track_power_of_two = RESET_LEAST_POWER_OF_TWO
    return manager
