"""
Services -> Envoy's clusters (istio: core/cluster.go, cluster_builder.go).
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2

from translator.config.cluster_tls import set_tls, without_credential
from translator.config.cluster_traffic_policy import (
    http_options,
    set_connection_pool,
    set_load_balancer,
    set_outlier_detection,
)
from translator.config.endpoints import load_assignment, place_endpoints
from translator.config.metadata import config_metadata
from translator.config.names import inbound_cluster, outbound_cluster, stat_name
from translator.config.protoconv import packed, socket_address
from translator.config.secrets import Secrets
from translator.model.peer_authentication import namespace_mode
from translator.model.problems import attributed, within
from translator.model.proxy import Proxy
from translator.model.registry import SIDECAR, is_ip
from translator.model.service import Port, Service
from translator.model.service_target import inbound_service, service_targets
from translator.model.traffic_policy import policy_of, tls_mode_of
from translator.model.values import Block

HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def outbound_clusters(
    proxy: Proxy, secrets: Secrets
) -> Iterator[tuple[cluster_pb2.Cluster, endpoint_pb2.ClusterLoadAssignment | None]]:
    """
    Return a cluster with its endpoints for every port and subset of every service that the workload sees.
    """
    for service in proxy.services.values():
        # A pattern has no address of its own.
        if service.host.startswith("*") and not service.endpoints:
            continue
        subsets = [("", None), *((subset["name"], subset) for subset in proxy.destination_rule(service.host).subsets)]
        for port in service.ports:
            for name, subset in subsets:
                with _attributed_to_rule(proxy, service):
                    made = _outbound(proxy, secrets, service, port, name, subset)
                # There is no name to look up.
                if service.resolution.startswith("DNS") and not made[0].load_assignment.endpoints[0].lb_endpoints:
                    continue
                yield made


def _outbound(
    proxy: Proxy, secrets: Secrets, service: Service, port: Port, subset: str, block: Block | None
) -> tuple[cluster_pb2.Cluster, endpoint_pb2.ClusterLoadAssignment | None]:
    rule = proxy.destination_rule(service.host)
    labels = (block or {}).get("labels", {})
    chosen = [e for e in service.endpoints if e.has(port) and labels.items() <= e.labels.items()]
    with within("spec.trafficPolicy"):
        plain = namespace_mode(proxy.mesh, service.namespace) == "DISABLE"
        policy = policy_of(rule, subset, port.number)
        if proxy.workload.kind == SIDECAR and rule.selector is None:
            policy = without_credential(policy)
        cluster = policy_cluster(secrets, service, port, subset, policy, plain=plain)
    if rule.sources:
        cluster.metadata.CopyFrom(config_metadata(rule.sources[0]))
    assignment = load_assignment(proxy, cluster.name, chosen, port, tls_mode_of(rule, subset, port.number))
    return cluster, place_endpoints(cluster, assignment, secrets, service, chosen)


def policy_cluster(
    secrets: Secrets, service: Service, port: Port, subset: str, policy: Block, *, plain: bool = False
) -> cluster_pb2.Cluster:
    """
    Return the cluster of a service's port with a policy applied, without endpoints.

    *plain* is whether the service's namespace takes no mutual TLS.
    """
    name = outbound_cluster(port.number, subset, service.host)
    cluster = cluster_pb2.Cluster(name=name, alt_stat_name=stat_name(name))
    set_connection_pool(cluster, policy)
    set_outlier_detection(cluster, policy.get("outlierDetection"))
    set_load_balancer(cluster, policy.get("loadBalancer", {}))
    options = http_options(policy, http2=port.is_http2)
    with within("tls"):
        set_tls(cluster, secrets, service, port, policy.get("tls"), subset, options, plain=plain)
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(packed(options))
    return cluster


@contextmanager
def _attributed_to_rule(proxy: Proxy, service: Service) -> Iterator[None]:
    """
    Attribute errors to the service's DestinationRule, if there is one.
    """
    sources = proxy.destination_rule(service.host).sources
    with attributed(sources[0]) if sources else nullcontext():
        yield


def inbound_clusters(proxy: Proxy) -> Iterator[tuple[cluster_pb2.Cluster, tuple[str, ...]]]:
    """
    Return the clusters of the applications behind a sidecar, with the limits of the service's clients, and the hosts
    of their services.
    """
    for inbound in proxy.workload.inbound:
        service, port = inbound_service(proxy, inbound)
        name = inbound_cluster(inbound.port)
        cluster = cluster_pb2.Cluster(name=name, alt_stat_name=stat_name(name), type=cluster_pb2.Cluster.STATIC)
        policy = policy_of(proxy.inbound_rule(service.host), "", port.number) if service else {}
        policy = _of_server(policy)
        set_connection_pool(cluster, policy)
        cluster.lb_policy = cluster_pb2.Cluster.ROUND_ROBIN
        options = http_options(policy, http2=port.is_http2)
        cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(packed(options))
        cluster.load_assignment.cluster_name = cluster.name
        address = socket_address(inbound.application.host, inbound.application.port)
        cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.CopyFrom(address)
        if not is_ip(inbound.application.host):
            cluster.type = cluster_pb2.Cluster.STRICT_DNS
        yield cluster, tuple(service.host for service, _ in service_targets(proxy, inbound))


def _of_server(policy: Block) -> Block:
    """
    Return what of a policy for clients holds between a sidecar and its application: limits, and not the protocol.
    """
    kept = {name: policy[name] for name in ("connectionPool", "retryBudget") if name in policy}
    http = kept.get("connectionPool", {}).get("http", {})
    if "h2UpgradePolicy" in http:
        rest = {name: value for name, value in http.items() if name != "h2UpgradePolicy"}
        kept["connectionPool"] = {**kept["connectionPool"], "http": rest}
    return kept
