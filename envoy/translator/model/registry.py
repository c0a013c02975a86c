"""
The registry: a YAML file that replaces Kubernetes' knowledge of services and workloads.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, Strict
from pydantic.alias_generators import to_camel

SIDECAR: Final = "sidecar"
GATEWAY: Final = "gateway"
MAX_PORT = 65535
SECRET_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")

PortNumber = Annotated[int, Strict(), Field(ge=1, le=MAX_PORT)]


class _Block:
    """
    A mapping of the file: its fields in camelCase, and no others.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", alias_generator=to_camel)


@dataclass(frozen=True, order=True)
class SocketAddress:
    """
    The address something listens at: an IP address or a name, and a port.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def _host_and_port(text: Any) -> Any:
    """
    Parse a `host:port`.
    """
    host, _, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    if not host or not port.isdecimal() or not 0 < int(port) <= MAX_PORT:
        raise ValueError(f"must be host:port, not {text!r}")
    return SocketAddress(host.strip("[]"), int(port))


HostPort = Annotated[SocketAddress, BeforeValidator(_host_and_port)]


def _same_port(port: dict[str, Any]) -> Any:
    """
    Default the target port to the port.
    """
    return port["number"]


def _secret_name(name: str) -> str:
    if not SECRET_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a secret's name")
    return name


def _hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    if not hosts or not all(hosts):
        raise ValueError("must be a list of names or IP addresses")
    return hosts


@dataclass(frozen=True)
class ServicePort(_Block):
    """
    A Service's port; its name starts with the protocol, as in Istio (`grpc`, `http-web`, `tcp`).
    """

    name: str
    number: Annotated[PortNumber, Field(alias="port")]
    target: Annotated[PortNumber, Field(alias="targetPort", default_factory=_same_port)]


@dataclass(frozen=True)
class ServiceRecord(_Block):
    """
    A Kubernetes Service.
    """

    name: str
    namespace: str
    ports: tuple[ServicePort, ...] = ()
    selector: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Inbound(_Block):
    """
    A port on which the sidecar accepts calls, and the application behind it.

    Its health is checked over gRPC, or over HTTP at the path `health` if there is one.
    """

    port: PortNumber
    application: HostPort
    health: str = ""


@dataclass(frozen=True)
class Outbound(_Block):
    """
    The address at which the workload's own application reaches every service with this port.
    """

    port: PortNumber
    listen: HostPort


@dataclass(frozen=True)
class Workload(_Block):
    """
    A pod: one Envoy, as a sidecar of an application or as a gateway.
    """

    name: str
    namespace: str
    service_account: str
    address: str
    admin: HostPort
    labels: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["sidecar", "gateway"] = SIDECAR
    inbound: tuple[Inbound, ...] = ()
    outbound: tuple[Outbound, ...] = ()
    ports: Mapping[PortNumber, PortNumber] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """
        Return the name as istioctl writes it.
        """
        return f"{self.name}.{self.namespace}"

    @property
    def has_ip(self) -> bool:
        """
        Return whether `address` is an IP address rather than a DNS name.
        """
        return is_ip(self.address)


@dataclass(frozen=True)
class Credential(_Block):
    """
    A Gateway's certificate issued by the local authority: its `credentialName`, and its hosts.
    """

    name: Annotated[str, AfterValidator(_secret_name)]
    hosts: Annotated[tuple[str, ...], AfterValidator(_hosts)]


@dataclass(frozen=True)
class OpenTelemetryProvider(_Block):
    """
    The destination of spans: a service of the mesh that accepts OTLP over gRPC, and the maximum length of a span's
    path.
    """

    service: str
    port: PortNumber
    max_tag_length: Annotated[int, Strict(), Field(ge=0)] = 0


@dataclass(frozen=True)
class ExtensionProvider(_Block):
    """
    A provider that a Telemetry may name, as in `extensionProviders` of Istio's mesh configuration.
    """

    name: str
    opentelemetry: OpenTelemetryProvider


@dataclass(frozen=True)
class Joined(_Block):
    """
    What a file beside the registry adds to it: services of one's own, and their workloads.
    """

    services: tuple[ServiceRecord, ...] = ()
    workloads: tuple[Workload, ...] = ()


@dataclass(frozen=True)
class Registry(_Block):
    """
    Everything that is known of one stack apart from Istio's files.
    """

    trust_domain: str = "cluster.local"
    cluster_domain: str = "cluster.local"
    root_namespace: str = "istio-system"
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    services: tuple[ServiceRecord, ...] = ()
    workloads: tuple[Workload, ...] = ()
    credentials: tuple[Credential, ...] = ()
    extension_providers: tuple[ExtensionProvider, ...] = ()

    def identity(self, workload: Workload) -> str:
        """
        Return the SPIFFE identity of a workload, from its service account.
        """
        return f"spiffe://{self.trust_domain}/ns/{workload.namespace}/sa/{workload.service_account}"


def is_ip(address: str) -> bool:
    """
    Return whether *address* is an IP address.
    """
    try:
        ip_address(address)
    except ValueError:
        return False
    return True
