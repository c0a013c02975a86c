"""
The endpoints of a cluster (istio: xds/endpoints/endpoint_builder.go).
"""

from collections.abc import Iterable

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from google.protobuf import struct_pb2

from translator.config.cluster_tls import ISTIO, TLS_MODE
from translator.config.protoconv import socket_address
from translator.config.secrets import Secrets
from translator.model.peer_authentication import mutual_tls_mode
from translator.model.problems import BlockError
from translator.model.proxy import Proxy
from translator.model.registry import is_ip
from translator.model.service import Endpoint, Port, Service

SOCKET_MATCH = "envoy.transport_socket_match"
DNS_REFRESH_S = 5


def place_endpoints(
    cluster: cluster_pb2.Cluster,
    assignment: endpoint_pb2.ClusterLoadAssignment,
    secrets: Secrets,
    service: Service,
    chosen: list[Endpoint],
) -> endpoint_pb2.ClusterLoadAssignment | None:
    """
    Put the endpoints in a file of their own if they are IP addresses, else into the cluster, for DNS.
    """
    if service.resolution == "NONE":
        raise BlockError(
            "", "a service without resolution is not supported: there is no original destination without interception"
        )
    if service.resolution == "STATIC" and all(is_ip(endpoint.address) for endpoint in chosen):
        cluster.type = cluster_pb2.Cluster.EDS
        cluster.eds_cluster_config.service_name = cluster.name
        cluster.eds_cluster_config.eds_config.CopyFrom(secrets.layout.source("eds", cluster.name))
        return assignment
    cluster.type = (
        cluster_pb2.Cluster.LOGICAL_DNS if service.resolution == "DNS_ROUND_ROBIN" else cluster_pb2.Cluster.STRICT_DNS
    )
    cluster.dns_lookup_family = cluster_pb2.Cluster.V4_PREFERRED
    cluster.dns_refresh_rate.seconds = DNS_REFRESH_S
    cluster.respect_dns_ttl = True
    cluster.load_assignment.CopyFrom(assignment)
    return None


def load_assignment(
    proxy: Proxy, name: str, chosen: Iterable[Endpoint], port: Port, tls_mode: str
) -> endpoint_pb2.ClusterLoadAssignment:
    """
    Return the addresses of a cluster; each says whether it is called over mutual TLS: by the rule's *tls_mode*, or
    without one if a sidecar is there that takes it.
    """
    result = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    locality = result.endpoints.add()
    for endpoint in sorted(chosen, key=lambda item: (item.address, item.port(port))):
        target = locality.lb_endpoints.add()
        target.endpoint.address.CopyFrom(socket_address(endpoint.address, endpoint.port(port)))
        if endpoint.weight:
            target.load_balancing_weight.value = endpoint.weight
        if tls_mode == "ISTIO_MUTUAL" or (not tls_mode and _takes_mutual_tls(proxy, endpoint, port)):
            target.metadata.CopyFrom(_socket_metadata(ISTIO))
    return result


def _takes_mutual_tls(proxy: Proxy, endpoint: Endpoint, port: Port) -> bool:
    mode = mutual_tls_mode(proxy.mesh, endpoint.namespace, endpoint.labels, endpoint.port(port))
    return endpoint.sidecar and mode != "DISABLE"


def _socket_metadata(mode: str) -> base_pb2.Metadata:
    content = struct_pb2.Struct()
    content[TLS_MODE] = mode
    return base_pb2.Metadata(filter_metadata={SOCKET_MATCH: content})
