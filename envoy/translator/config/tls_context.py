"""
TLS between sidecars, at gateways and to the outside (istio: core/cluster_tls.go, security/authn/utils).
"""

from collections.abc import Iterable

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2

from translator.config.protoconv import boolean, packed
from translator.config.secrets import (
    IDENTITY,
    ROOT,
    Secrets,
    authority_name,
    credential_authority_name,
    credential_name,
    pair_name,
)
from translator.model.problems import BlockError
from translator.model.values import Block

CIPHERS = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
)
MESH_HTTP2_ALPN, MESH_ALPN, HTTP2_ALPN, SERVER_ALPN = ("istio", "h2"), ("istio",), ("h2",), ("h2", "http/1.1")
MESH_SERVER_ALPN = ("istio-peer-exchange", "istio")
VERSIONS = {name: number for number, name in enumerate(("TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"))}

KINDS_OF_NAMES = (
    common_pb2.SubjectAltNameMatcher.DNS,
    common_pb2.SubjectAltNameMatcher.URI,
    common_pb2.SubjectAltNameMatcher.EMAIL,
    common_pb2.SubjectAltNameMatcher.IP_ADDRESS,
)


def tls_socket(context: tls_pb2.UpstreamTlsContext | tls_pb2.DownstreamTlsContext) -> base_pb2.TransportSocket:
    """
    Return a transport socket that speaks TLS.
    """
    return base_pb2.TransportSocket(name="envoy.transport_sockets.tls", typed_config=packed(context))


def plain_socket() -> base_pb2.TransportSocket:
    """
    Return a transport socket that speaks plain text.
    """
    return base_pb2.TransportSocket(
        name="envoy.transport_sockets.raw_buffer", typed_config=packed(raw_buffer_pb2.RawBuffer())
    )


def mutual_to_sidecar(
    secrets: Secrets, *, name: str, identities: Iterable[str], http2: bool
) -> tls_pb2.UpstreamTlsContext:
    """
    Return ISTIO_MUTUAL: this workload's certificate, and a peer that is one of *identities*.
    """
    context = tls_pb2.UpstreamTlsContext(sni=name, common_tls_context=_common(MESH_HTTP2_ALPN if http2 else MESH_ALPN))
    context.common_tls_context.tls_certificate_sds_secret_configs.append(secrets.use(IDENTITY))
    _set_validation(secrets, context.common_tls_context, ROOT, identities)
    return context


def simple_to_outside(
    block: Block, secrets: Secrets, names: Iterable[str], *, http2: bool
) -> tls_pb2.UpstreamTlsContext:
    """
    Return SIMPLE or MUTUAL: TLS by the rule's files, verified against the system's authorities if it names none, with
    a peer that has one of *names*.
    """
    context = tls_pb2.UpstreamTlsContext(
        sni=block.get("sni", ""), common_tls_context=_common(HTTP2_ALPN if http2 else ())
    )
    common = context.common_tls_context
    credential = block.get("credentialName")
    if block["mode"] == "MUTUAL":
        common.tls_certificate_sds_secret_configs.append(secrets.use(_client_certificate(block)))
    if block.get("insecureSkipVerify"):
        common.validation_context.SetInParent()
    else:
        authority = (
            credential_authority_name(credential) if credential else authority_name(block.get("caCertificates", ""))
        )
        _set_validation(secrets, common, authority, names)
    return context


def authority_context(secrets: Secrets, host: str) -> tls_pb2.UpstreamTlsContext:
    """
    Return TLS to a host outside the mesh, verified against the system's authorities.
    """
    context = tls_pb2.UpstreamTlsContext(sni=host, common_tls_context=_common(()))
    _set_validation(secrets, context.common_tls_context, authority_name(""), (host,))
    return context


def _client_certificate(block: Block) -> str:
    if block.get("credentialName"):
        return credential_name(block["credentialName"])
    if not block.get("clientCertificate") or not block.get("privateKey"):
        raise BlockError("", "MUTUAL needs clientCertificate and privateKey, or credentialName")
    return pair_name(block["clientCertificate"], block["privateKey"])


def mutual_from_sidecars(secrets: Secrets, trust_domain: str) -> tls_pb2.DownstreamTlsContext:
    """
    Return the TLS that requires a certificate of the mesh from callers.
    """
    context = tls_pb2.DownstreamTlsContext(
        common_tls_context=_common(SERVER_ALPN), require_client_certificate=boolean(True)
    )
    common = context.common_tls_context
    common.tls_params.cipher_suites.extend(CIPHERS)
    common.tls_certificate_sds_secret_configs.append(secrets.use(IDENTITY))
    _set_validation(secrets, common, ROOT, ())
    common.combined_validation_context.default_validation_context.match_typed_subject_alt_names.append(
        _uri(string_pb2.StringMatcher(prefix=f"spiffe://{trust_domain}/"))
    )
    return context


def gateway_tls(block: Block, secrets: Secrets) -> tls_pb2.DownstreamTlsContext:
    """
    Return the TLS of a Gateway's server.
    """
    context = tls_pb2.DownstreamTlsContext(common_tls_context=_common(SERVER_ALPN))
    common = context.common_tls_context
    common.tls_params.cipher_suites.extend(block.get("cipherSuites", ()))
    for name, field in (
        ("minProtocolVersion", "tls_minimum_protocol_version"),
        ("maxProtocolVersion", "tls_maximum_protocol_version"),
    ):
        if block.get(name, "TLS_AUTO") != "TLS_AUTO":
            setattr(common.tls_params, field, VERSIONS[block[name]])
    mode = block.get("mode", "PASSTHROUGH")
    if mode == "ISTIO_MUTUAL":
        common.tls_certificate_sds_secret_configs.append(secrets.use(IDENTITY))
        _set_validation(secrets, common, ROOT, block.get("subjectAltNames", ()))
    else:
        common.tls_certificate_sds_secret_configs.append(secrets.use(_server_certificate(block)))
        if mode in ("MUTUAL", "OPTIONAL_MUTUAL"):
            _set_validation(secrets, common, _client_authority(block), block.get("subjectAltNames", ()))
    context.require_client_certificate.CopyFrom(boolean(mode in ("MUTUAL", "ISTIO_MUTUAL")))
    return context


def _server_certificate(block: Block) -> str:
    if block.get("credentialName"):
        return credential_name(block["credentialName"])
    if not block.get("serverCertificate") or not block.get("privateKey"):
        raise BlockError("", "needs credentialName, or serverCertificate and privateKey")
    return pair_name(block["serverCertificate"], block["privateKey"])


def _client_authority(block: Block) -> str:
    if block.get("credentialName"):
        return credential_authority_name(block["credentialName"])
    if not block.get("caCertificates"):
        raise BlockError("caCertificates", f"{block['mode']} needs it")
    return authority_name(block["caCertificates"])


def _common(alpn: Iterable[str]) -> tls_pb2.CommonTlsContext:
    parameters = common_pb2.TlsParameters(
        tls_minimum_protocol_version=common_pb2.TlsParameters.TLSv1_2,
        tls_maximum_protocol_version=common_pb2.TlsParameters.TLSv1_3,
    )
    return tls_pb2.CommonTlsContext(tls_params=parameters, alpn_protocols=alpn)


def _set_validation(secrets: Secrets, common: tls_pb2.CommonTlsContext, authority: str, names: Iterable[str]) -> None:
    combined = common.combined_validation_context
    combined.default_validation_context.SetInParent()
    for name in names:
        combined.default_validation_context.match_typed_subject_alt_names.extend(_names(name))
    combined.validation_context_sds_secret_config.CopyFrom(secrets.use(authority))


def _names(name: str) -> list[common_pb2.SubjectAltNameMatcher]:
    """
    Return the matchers of a subject alternative name: of a URI, or of a name of any kind, as Istio compares it.
    """
    matcher = string_pb2.StringMatcher(exact=name)
    if "://" in name:
        return [_uri(matcher)]
    return [common_pb2.SubjectAltNameMatcher(san_type=kind, matcher=matcher) for kind in KINDS_OF_NAMES]


def _uri(matcher: string_pb2.StringMatcher) -> common_pb2.SubjectAltNameMatcher:
    return common_pb2.SubjectAltNameMatcher(san_type=common_pb2.SubjectAltNameMatcher.URI, matcher=matcher)
