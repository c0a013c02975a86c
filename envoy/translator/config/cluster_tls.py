"""
The TLS of a cluster (istio: core/cluster_tls.go).
"""

from collections.abc import Iterator

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from google.protobuf import struct_pb2

from translator.config.cluster_traffic_policy import HttpOptions
from translator.config.names import server_name
from translator.config.secrets import Secrets
from translator.config.tls_context import mutual_to_sidecar, plain_socket, simple_to_outside, tls_socket
from translator.model.service import Port, Service
from translator.model.values import Block

TLS_MODE, ISTIO = "tlsMode", "istio"


def set_tls(
    cluster: cluster_pb2.Cluster,
    secrets: Secrets,
    service: Service,
    port: Port,
    block: Block | None,
    subset: str,
    options: HttpOptions,
    *,
    plain: bool,
) -> None:
    """
    Set the transport socket: by a rule's `tls` block, or automatic mutual TLS unless the service is *plain*.
    """
    http2 = options.explicit_http_config.HasField("http2_protocol_options")
    mode = (block or {}).get("mode", "DISABLE")
    if block is not None and mode in ("SIMPLE", "MUTUAL"):
        names = block.get("subjectAltNames") or (() if service.kubernetes else service.identities)
        cluster.transport_socket.CopyFrom(tls_socket(simple_to_outside(block, secrets, names, http2=http2)))
        options.upstream_http_protocol_options.auto_sni = not block.get("sni")
        options.upstream_http_protocol_options.auto_san_validation = not (
            block.get("sni") or block.get("subjectAltNames") or block.get("insecureSkipVerify")
        )
        return
    if (block is None and (service.external or plain)) or (block is not None and mode == "DISABLE"):
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


def without_credential(policy: Block) -> Block:
    """
    Return a policy without TLS by a secret, which istiod gives only to the sidecars that a rule selects by label, and
    to gateways: the others call in plain text.
    """
    block = policy.get("tls", {})
    if block.get("credentialName") and block.get("mode") in ("SIMPLE", "MUTUAL"):
        return {**policy, "tls": {"mode": "DISABLE"}}
    return policy


def _automatic(mutual: base_pb2.TransportSocket) -> Iterator[cluster_pb2.Cluster.TransportSocketMatch]:
    """
    Use mutual TLS with endpoints that have a sidecar, and plain text with the others.
    """
    with_sidecar = struct_pb2.Struct()
    with_sidecar[TLS_MODE] = ISTIO
    yield cluster_pb2.Cluster.TransportSocketMatch(name="tlsMode-istio", match=with_sidecar, transport_socket=mutual)
    yield cluster_pb2.Cluster.TransportSocketMatch(
        name="tlsMode-disabled", match=struct_pb2.Struct(), transport_socket=plain_socket()
    )
