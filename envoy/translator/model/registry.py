"""
The registry: a YAML file that stands for what Kubernetes knows of services and workloads.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path

from translator.model.fields import FieldError, Reader
from translator.model.problems import InvalidMesh, Problem
from translator.model.yamlfile import load_documents

SIDECAR, GATEWAY = "sidecar", "gateway"


@dataclass(frozen=True, order=True)
class SocketAddress:
    """
    Where something listens: an IP address or a name, and a port.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class ServicePort:
    """
    A Service's port; its name starts with the protocol, as Istio reads it (`grpc`, `http-web`, `tcp`).
    """

    name: str
    number: int
    target: int


@dataclass(frozen=True)
class ServiceRecord:
    """
    A Kubernetes Service.
    """

    name: str
    namespace: str
    ports: tuple[ServicePort, ...]
    selector: Mapping[str, str]


@dataclass(frozen=True)
class Inbound:
    """
    A port on which the sidecar takes calls, and the application behind it.

    Its health is asked over gRPC, or over HTTP at the path `health` if there is one.
    """

    port: int
    application: SocketAddress
    health: str = ""


@dataclass(frozen=True)
class Outbound:
    """
    Where the workload's own application reaches every service that has this port.
    """

    port: int
    listen: SocketAddress


@dataclass(frozen=True)
class Workload:
    """
    A pod: one Envoy, as a sidecar of an application or as a gateway.
    """

    name: str
    namespace: str
    service_account: str
    labels: Mapping[str, str]
    kind: str
    address: str
    admin: SocketAddress
    inbound: tuple[Inbound, ...] = ()
    outbound: tuple[Outbound, ...] = ()
    ports: Mapping[int, int] = field(default_factory=dict)

    @property
    def has_ip(self) -> bool:
        """
        Whether `address` is an IP address, not a name to look up.
        """
        return is_ip(self.address)


@dataclass(frozen=True)
class Credential:
    """
    A Gateway's certificate that the local authority issues: its `credentialName`, and the hosts it is for.
    """

    name: str
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Registry:
    """
    Everything known of one stack, without Istio's files.
    """

    trust_domain: str
    cluster_domain: str
    root_namespace: str
    namespaces: Mapping[str, Mapping[str, str]]
    services: tuple[ServiceRecord, ...]
    workloads: tuple[Workload, ...]
    credentials: tuple[Credential, ...] = ()

    def with_services(self, services: tuple[ServiceRecord, ...]) -> "Registry":
        """
        The same stack with these services.
        """
        return replace(self, services=services)

    def identity(self, workload: Workload) -> str:
        """
        The SPIFFE identity of a workload: its service account's.
        """
        return f"spiffe://{self.trust_domain}/ns/{workload.namespace}/sa/{workload.service_account}"


def is_ip(address: str) -> bool:
    """
    Whether *address* is an IP address.
    """
    try:
        ip_address(address)
    except ValueError:
        return False
    return True


def load_registry(path: Path) -> Registry:
    """
    Read the registry; `InvalidMesh` names the field that is wrong.
    """
    documents = load_documents(path, str(path))
    try:
        if len(documents) != 1:
            raise FieldError("", "the registry must be one YAML document")
        registry = Reader(documents[0], "").whole(_registry)
        _check(registry)
    except FieldError as error:
        raise InvalidMesh([Problem(str(path), "registry", error.path, error.message)]) from None
    return registry


def _registry(reader: Reader) -> Registry:
    return Registry(
        trust_domain=reader.get("trustDomain", str, "cluster.local"),
        cluster_domain=reader.get("clusterDomain", str, "cluster.local"),
        root_namespace=reader.get("rootNamespace", str, "istio-system"),
        namespaces=_namespaces(reader),
        services=tuple(
            sorted(reader.each("services", _service), key=lambda service: (service.namespace, service.name))
        ),
        workloads=tuple(sorted(reader.each("workloads", _workload), key=lambda workload: workload.name)),
        credentials=reader.each("credentials", _credential),
    )


def _namespaces(reader: Reader) -> dict[str, dict[str, str]]:
    names = reader.get("namespaces", dict, {})
    return {name: Reader(names, f"{reader.path}.namespaces").words(name) for name in sorted(names)}


def _service(reader: Reader) -> ServiceRecord:
    return ServiceRecord(
        name=reader.get("name", str),
        namespace=reader.get("namespace", str),
        ports=reader.each("ports", _service_port),
        selector=reader.words("selector"),
    )


def _service_port(reader: Reader) -> ServicePort:
    number = reader.port("port")
    return ServicePort(reader.get("name", str), number, reader.port("targetPort", number))


def _workload(reader: Reader) -> Workload:
    kind = reader.get("kind", str, SIDECAR)
    if kind not in (SIDECAR, GATEWAY):
        raise FieldError(f"{reader.path}.kind", f"must be {SIDECAR} or {GATEWAY}, not {kind!r}")
    return Workload(
        name=reader.get("name", str),
        namespace=reader.get("namespace", str),
        service_account=reader.get("serviceAccount", str),
        labels=reader.words("labels"),
        kind=kind,
        address=reader.get("address", str),
        admin=SocketAddress(*reader.socket("admin")),
        inbound=reader.each("inbound", _inbound),
        outbound=reader.each(
            "outbound", lambda item: Outbound(item.port("port"), SocketAddress(*item.socket("listen")))
        ),
        ports=_ports(reader),
    )


def _inbound(reader: Reader) -> Inbound:
    application = SocketAddress(*reader.socket("application"))
    return Inbound(reader.port("port"), application, reader.get("health", str, ""))


def _credential(reader: Reader) -> Credential:
    name, hosts = reader.get("name", str), reader.get("hosts", list)
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", name):
        raise FieldError(f"{reader.path}.name", f"{name!r} is not a secret's name")
    if not hosts or not all(isinstance(host, str) and host for host in hosts):
        raise FieldError(f"{reader.path}.hosts", "must be a list of names or IP addresses")
    return Credential(name, tuple(hosts))


def _ports(reader: Reader) -> dict[int, int]:
    ports = reader.get("ports", dict, {})
    for key, value in ports.items():
        if type(key) is not int or type(value) is not int:
            raise FieldError(f"{reader.path}.ports.{key}", "must be a port that names a port")
    return dict(sorted(ports.items()))


def _check(registry: Registry) -> None:
    for group, names in (
        ("services", [f"{service.namespace}/{service.name}" for service in registry.services]),
        ("workloads", [workload.name for workload in registry.workloads]),
    ):
        twice = sorted(name for name in set(names) if names.count(name) > 1)
        if twice:
            raise FieldError(group, f"{twice[0]!r} is there twice")
