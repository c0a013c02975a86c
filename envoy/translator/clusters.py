"""
Services -> Envoy's clusters and their endpoints (istio: core/cluster_builder.go, cluster_tls.go).
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from google.protobuf import struct_pb2

from translator.addresses import socket_address
from translator.mesh import Proxy
from translator.names import inbound_cluster, outbound_cluster, server_name, stat_name
from translator.peer import mutual_tls_mode
from translator.pools import HttpOptions, http_options, set_connection_pool, set_load_balancer, set_outlier_detection
from translator.problems import BlockError, attributed, within
from translator.registry import Inbound, is_ip
from translator.routes import config_metadata
from translator.secrets import Secrets
from translator.services import Endpoint, Port, Service
from translator.tls import mutual_to_sidecar, plain_socket, simple_to_outside, tls_socket
from translator.traffic import policy_of
from translator.values import Block, packed

HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
TLS_MODE, ISTIO = "tlsMode", "istio"
SOCKET_MATCH = "envoy.transport_socket_match"
DNS_REFRESH_S = 5
Types = cluster_pb2.Cluster


def outbound_clusters(
    proxy: Proxy, secrets: Secrets
) -> Iterator[tuple[cluster_pb2.Cluster, endpoint_pb2.ClusterLoadAssignment | None]]:
    """
    A cluster for every port and subset of every service the workload sees, with its endpoints.
    """
    for service in proxy.services.values():
        if service.host.startswith("*"):
            continue
        subsets = [("", None), *((subset["name"], subset) for subset in proxy.destination_rule(service.host).subsets)]
        for port in service.ports:
            for name, subset in subsets:
                with _blaming(proxy, service):
                    made = _outbound(proxy, secrets, service, port, name, subset)
                yield made


def _outbound(
    proxy: Proxy, secrets: Secrets, service: Service, port: Port, subset: str, block: Block | None
) -> tuple[cluster_pb2.Cluster, endpoint_pb2.ClusterLoadAssignment | None]:
    rule = proxy.destination_rule(service.host)
    labels = (block or {}).get("labels", {})
    chosen = [endpoint for endpoint in service.endpoints if labels.items() <= endpoint.labels.items()]
    with within("spec.trafficPolicy"):
        cluster = policy_cluster(proxy, secrets, service, port, subset, policy_of(rule, subset, port.number))
    if rule.sources:
        cluster.metadata.CopyFrom(config_metadata(rule.sources[0]))
    return cluster, _place(cluster, _assignment(proxy, cluster.name, chosen, port), secrets, service, chosen)


def policy_cluster(
    proxy: Proxy, secrets: Secrets, service: Service, port: Port, subset: str, policy: Block
) -> cluster_pb2.Cluster:
    """
    The cluster of a service's port with what a policy says of it, and no endpoints yet.
    """
    name = outbound_cluster(port.number, subset, service.host)
    cluster = cluster_pb2.Cluster(name=name, alt_stat_name=stat_name(name))
    set_connection_pool(cluster, policy)
    set_outlier_detection(cluster, policy.get("outlierDetection"))
    set_load_balancer(cluster, policy.get("loadBalancer", {}))
    options = http_options(policy, http2=port.is_http2)
    with within("tls"):
        _set_tls(cluster, proxy, secrets, service, port, policy.get("tls"), subset, options)
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(packed(options))
    return cluster


@contextmanager
def _blaming(proxy: Proxy, service: Service) -> Iterator[None]:
    """
    Blame the service's DestinationRule, if there is one, for what cannot be translated.
    """
    sources = proxy.destination_rule(service.host).sources
    with attributed(sources[0]) if sources else nullcontext():
        yield


def _place(
    cluster: cluster_pb2.Cluster,
    assignment: endpoint_pb2.ClusterLoadAssignment,
    secrets: Secrets,
    service: Service,
    chosen: list[Endpoint],
) -> endpoint_pb2.ClusterLoadAssignment | None:
    """
    Put the endpoints in a file of their own if they are addresses, else into the cluster, to be looked up.
    """
    if service.resolution == "NONE":
        raise BlockError(
            "", "a service without resolution is not supported: there is no original destination without interception"
        )
    if service.resolution == "STATIC" and all(is_ip(endpoint.address) for endpoint in chosen):
        cluster.type = Types.EDS
        cluster.eds_cluster_config.service_name = cluster.name
        cluster.eds_cluster_config.eds_config.CopyFrom(secrets.layout.source("eds", cluster.name))
        return assignment
    cluster.type = Types.LOGICAL_DNS if service.resolution == "DNS_ROUND_ROBIN" else Types.STRICT_DNS
    cluster.dns_lookup_family = Types.V4_PREFERRED
    cluster.dns_refresh_rate.seconds = DNS_REFRESH_S
    cluster.respect_dns_ttl = True
    cluster.load_assignment.CopyFrom(assignment)
    return None


def _assignment(proxy: Proxy, name: str, chosen: Iterable[Endpoint], port: Port) -> endpoint_pb2.ClusterLoadAssignment:
    result = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    locality = result.endpoints.add()
    for endpoint in sorted(chosen, key=lambda item: (item.address, item.port(port))):
        target = locality.lb_endpoints.add()
        target.endpoint.address.CopyFrom(socket_address(endpoint.address, endpoint.port(port)))
        if endpoint.weight:
            target.load_balancing_weight.value = endpoint.weight
        if (
            endpoint.sidecar
            and mutual_tls_mode(proxy.mesh, endpoint.namespace, endpoint.labels, endpoint.port(port)) != "DISABLE"
        ):
            target.metadata.CopyFrom(_socket_metadata(ISTIO))
    return result


def _socket_metadata(mode: str) -> base_pb2.Metadata:
    content = struct_pb2.Struct()
    content[TLS_MODE] = mode
    return base_pb2.Metadata(filter_metadata={SOCKET_MATCH: content})


def _set_tls(
    cluster: cluster_pb2.Cluster,
    proxy: Proxy,
    secrets: Secrets,
    service: Service,
    port: Port,
    block: Block | None,
    subset: str,
    options: HttpOptions,
) -> None:
    http2 = options.explicit_http_config.HasField("http2_protocol_options")
    mode = (block or {}).get("mode", "DISABLE")
    if block is not None and mode in ("SIMPLE", "MUTUAL"):
        cluster.transport_socket.CopyFrom(tls_socket(simple_to_outside(block, secrets, http2=http2)))
        options.upstream_http_protocol_options.auto_sni = not block.get("sni")
        options.upstream_http_protocol_options.auto_san_validation = not (
            block.get("sni") or block.get("subjectAltNames") or block.get("insecureSkipVerify")
        )
        return
    if (block is None and service.external) or (block is not None and mode == "DISABLE"):
        return
    context = mutual_to_sidecar(
        secrets,
        name=(block or {}).get("sni") or server_name(port.number, subset, service.host),
        identities=(block or {}).get("subjectAltNames") or service.identities,
        http2=http2,
    )
    if block is not None:
        cluster.transport_socket.CopyFrom(tls_socket(context))
    else:
        cluster.transport_socket_matches.extend(_automatic(tls_socket(context)))


def _automatic(mutual: base_pb2.TransportSocket) -> Iterator[cluster_pb2.Cluster.TransportSocketMatch]:
    """
    Mutual TLS with endpoints that have a sidecar, plain text with the others.
    """
    with_sidecar = struct_pb2.Struct()
    with_sidecar[TLS_MODE] = ISTIO
    yield Types.TransportSocketMatch(name="tlsMode-istio", match=with_sidecar, transport_socket=mutual)
    yield Types.TransportSocketMatch(
        name="tlsMode-disabled", match=struct_pb2.Struct(), transport_socket=plain_socket()
    )


def inbound_clusters(proxy: Proxy) -> Iterator[cluster_pb2.Cluster]:
    """
    The clusters of the applications behind a sidecar, limited as the service's clients are.
    """
    for inbound in proxy.workload.inbound:
        service, port = inbound_service(proxy, inbound)
        name = inbound_cluster(inbound.port)
        cluster = cluster_pb2.Cluster(name=name, alt_stat_name=stat_name(name), type=Types.STATIC)
        policy = policy_of(proxy.destination_rule(service.host), "", port.number) if service else {}
        policy = {"connectionPool": policy["connectionPool"]} if "connectionPool" in policy else {}
        set_connection_pool(cluster, policy)
        cluster.lb_policy = Types.ROUND_ROBIN
        options = http_options(policy, http2=port.is_http2)
        cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(packed(options))
        cluster.load_assignment.cluster_name = cluster.name
        address = socket_address(inbound.application.host, inbound.application.port)
        cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.CopyFrom(address)
        if not is_ip(inbound.application.host):
            cluster.type = Types.STRICT_DNS
        yield cluster


def inbound_service(proxy: Proxy, inbound: Inbound) -> tuple[Service | None, Port]:
    """
    The service that leads to a port of this workload, and its port there; plain HTTP/2 if none does.
    """
    registry = proxy.registry
    for record in registry.services:
        labels: Mapping[str, str] = record.selector
        if record.namespace != proxy.namespace or not labels or not labels.items() <= proxy.workload.labels.items():
            continue
        service = proxy.mesh.by_host[f"{record.name}.{record.namespace}.svc.{registry.cluster_domain}"]
        for port in service.ports:
            if port.target == inbound.port:
                return service, port
    return None, Port("grpc", inbound.port, "grpc", inbound.port)
