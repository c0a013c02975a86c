"""
Checks of Gateways.
"""

from translator.checks import values
from translator.checks.sample_mesh import LAYOUT
from translator.checks.values import Mistakes
from translator.config.gateway import HTTP_PROTOCOLS
from translator.config.secrets import Secrets
from translator.config.tls_context import gateway_tls
from translator.model.resources import Resource
from translator.model.values import Block

PLAIN_ONLY = frozenset({"PASSTHROUGH", "AUTO_PASSTHROUGH"})
OWN_FILES = frozenset({"serverCertificate", "privateKey", "caCertificates"})


def check_gateway(resource: Resource) -> Mistakes:
    """
    Yield every error of a Gateway.
    """
    servers = resource.spec.get("servers", ())
    yield from values.label(resource.name, "metadata.name")
    if not servers:
        yield "spec.servers", "must have at least one server"
    for number, server in enumerate(servers):
        yield from _server(server, f"spec.servers[{number}]")
        name = server["port"].get("name")
        if name in [other["port"].get("name") for other in servers[:number]]:
            yield f"spec.servers[{number}].port.name", f"{name!r} is duplicated"


def _server(server: Block, path: str) -> Mistakes:
    port, tls = server["port"], server.get("tls")
    protocol = port["protocol"].upper()
    yield from values.port(port["number"], f"{path}.port.number")
    if not port.get("name"):
        yield f"{path}.port.name", "must not be empty"
    if not server["hosts"]:
        yield f"{path}.hosts", "must have at least one host"
    for number, host in enumerate(server["hosts"]):
        yield from _host(host, f"{path}.hosts[{number}]")
    if protocol not in HTTP_PROTOCOLS | {"HTTPS"}:
        yield (
            f"{path}.port.protocol",
            f"{port['protocol']} is not supported; supported are {', '.join(sorted(HTTP_PROTOCOLS))} and HTTPS",
        )
    elif protocol == "HTTPS":
        yield from _secure(tls, f"{path}.tls")
    elif tls and (tls.get("mode", "PASSTHROUGH") not in PLAIN_ONLY or OWN_FILES & set(tls)):
        yield f"{path}.tls", "cannot have a mode or certificates for a port without TLS"


def _host(host: str, path: str) -> Mistakes:
    owner, slash, name = host.partition("/")
    if not slash:
        name = host
    elif owner not in ("*", "."):
        yield from values.label(owner, path)
    yield from values.whole_host(name, path, ip=True)


def _secure(tls: Block | None, path: str) -> Mistakes:
    mode = (tls or {}).get("mode", "PASSTHROUGH")
    if tls is None:
        yield path, "is required for HTTPS"
    elif mode in PLAIN_ONLY:
        yield f"{path}.mode", f"{mode} is not supported: TLS is terminated at the gateway"
    else:
        own = sorted((OWN_FILES | {"credentialName"}) & set(tls))
        if mode == "ISTIO_MUTUAL" and own:
            yield f"{path}.{own[0]}", "cannot be set for ISTIO_MUTUAL, which has its own certificates"
        yield from values.translated(lambda: gateway_tls(tls, Secrets(LAYOUT)), path)
