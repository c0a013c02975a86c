"""
The HTTP connection manager and its filters, in Istio's order (istio: core/listener_builder.go).
"""

from collections.abc import Iterator

from envoy.config.core.v3 import config_source_pb2
from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.http.grpc_stats.v3 import config_pb2 as grpc_stats
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from translator.config.accesslog import failures_log
from translator.config.authz.builder import authorization_filters
from translator.config.listener import GATEWAY, OUTBOUND
from translator.config.names import stat_name
from translator.config.protoconv import boolean, packed
from translator.config.request_authentication import jwt_filter
from translator.config.route import cors, fault
from translator.config.tracing import set_tracing
from translator.model.proxy import Proxy

Manager = hcm.HttpConnectionManager
MANAGER = "envoy.filters.network.http_connection_manager"
ROUTER = "envoy.filters.http.router"


def connection_manager(proxy: Proxy, context: str, stat_prefix: str) -> hcm.HttpConnectionManager:
    """
    Return a connection manager without routes; *context* is the direction of its traffic, *stat_prefix* the prefix of
    its statistics.
    """
    manager = Manager(
        stat_prefix=stat_name(stat_prefix),
        codec_type=Manager.AUTO,
        normalize_path=boolean(True),
        path_with_escaped_slashes_action=Manager.KEEP_UNCHANGED,
        use_remote_address=boolean(context == GATEWAY),
        proxy_100_continue=True,
        http_filters=list(http_filters(proxy, context)),
        access_log=[failures_log(proxy.workload.name)],
        upgrade_configs=[Manager.UpgradeConfig(upgrade_type="websocket")],
    )
    # No idle timeout, as in Istio: an event stream may be silent for long.
    manager.stream_idle_timeout.SetInParent()
    if context != OUTBOUND:
        forward = Manager.SANITIZE_SET if context == GATEWAY else Manager.APPEND_FORWARD
        manager.forward_client_cert_details = forward
        manager.set_current_client_cert_details.CopyFrom(
            Manager.SetCurrentClientCertDetails(subject=boolean(True), dns=True, uri=True, cert=context == GATEWAY)
        )
    if context == GATEWAY:
        manager.server_name = "istio-envoy"
    set_tracing(manager, proxy, context)
    return manager


def http_filters(proxy: Proxy, context: str) -> Iterator[hcm.HttpFilter]:
    """
    Return the filters of a listener; authorization happens at the server's sidecar, not at the client's.
    """
    if context != OUTBOUND:
        tokens = jwt_filter(proxy)
        if tokens:
            yield tokens
        yield from authorization_filters(proxy)
    statistics = grpc_stats.FilterConfig(emit_filter_state=True, stats_for_all_methods=boolean(False))
    yield hcm.HttpFilter(name="envoy.filters.http.grpc_stats", typed_config=packed(statistics))
    yield hcm.HttpFilter(name=fault.FILTER, typed_config=packed(fault_pb2.HTTPFault()))
    yield hcm.HttpFilter(name=cors.FILTER, typed_config=packed(cors_pb2.Cors()))
    yield hcm.HttpFilter(name=ROUTER, typed_config=packed(router_pb2.Router()))


def network_filter(manager: hcm.HttpConnectionManager) -> listener_components_pb2.Filter:
    """
    Return the connection manager as a network filter.
    """
    return listener_components_pb2.Filter(name=MANAGER, typed_config=packed(manager))


def subscribe_routes(manager: hcm.HttpConnectionManager, source: config_source_pb2.ConfigSource, name: str) -> None:
    """
    Subscribe to the routes in a file of their own, so that they can change without the listener.
    """
    manager.rds.route_config_name = name
    manager.rds.config_source.CopyFrom(source)
