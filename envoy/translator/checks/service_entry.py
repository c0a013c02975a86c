"""
Checks of ServiceEntries and WorkloadEntries.
"""

from translator.checks import values
from translator.checks.sample_mesh import NOWHERE
from translator.checks.values import Mistakes
from translator.model.registry import is_ip
from translator.model.resources import Resource
from translator.model.service import HTTP_PROTOCOLS, PROTOCOLS
from translator.model.service_entry import entry_services
from translator.model.values import Block

WITH_HOSTS = HTTP_PROTOCOLS | {"http_proxy", "https", "tls"}
OTHER_PROTOCOLS = frozenset({"udp", "http_proxy", "mongo", "redis", "mysql"})


def check_service_entry(resource: Resource) -> Mistakes:
    """
    Yield every error of a ServiceEntry.
    """
    spec = resource.spec
    resolution = spec.get("resolution", "NONE")
    yield from values.export_to(resource, nobody=True)
    yield from values.selector(spec.get("workloadSelector", {}).get("labels", {}), "spec.workloadSelector")
    if resolution not in ("STATIC", "DNS", "DNS_ROUND_ROBIN"):
        yield "spec.resolution", f"{resolution} is not supported: there is no original destination without interception"
    yield from _hosts(spec)
    yield from _entry_ports(spec)
    names = {port["name"] for port in spec.get("ports", ())}
    for number, endpoint in enumerate(spec.get("endpoints", ())):
        yield from check_workload_entry(endpoint, f"spec.endpoints[{number}]", names, by_name=resolution != "STATIC")
    found = list(entry_services(NOWHERE, [resource], ()))
    if resolution == "STATIC" and not all(
        is_ip(endpoint.address) for service in found for endpoint in service.endpoints
    ):
        yield "spec.endpoints", "must be IP addresses for STATIC resolution"


def _hosts(spec: Block) -> Mistakes:
    if not spec["hosts"]:
        yield "spec.hosts", "must have at least one host"
    for number, host in enumerate(spec["hosts"]):
        path = f"spec.hosts[{number}]"
        if host == "*":
            yield path, "must be one host"
        elif spec.get("resolution") == "STATIC" or spec.get("endpoints"):
            yield from values.wildcard_domain(host, path)
        else:
            yield from values.domain(host, path)
    protocols = {port.get("protocol", "").lower() for port in spec.get("ports", ())}
    if len(spec["hosts"]) > 1 and protocols - WITH_HOSTS:
        yield "spec.hosts", "must be one host: calls on a port that is neither HTTP nor TLS name none"


def _entry_ports(spec: Block) -> Mistakes:
    ports = spec.get("ports", ())
    for number, port in enumerate(ports):
        path = f"spec.ports[{number}]"
        yield from values.label(port["name"], f"{path}.name")
        yield from values.port(port["number"], f"{path}.number")
        if port.get("targetPort"):
            yield from values.port(port["targetPort"], f"{path}.targetPort")
        protocol = port.get("protocol", "").lower()
        if protocol in OTHER_PROTOCOLS:
            yield f"{path}.protocol", f"{port['protocol']} is not supported: its filters are not translated"
        elif protocol and protocol not in PROTOCOLS:
            yield f"{path}.protocol", f"must be one of {', '.join(sorted(PROTOCOLS)).upper()}"
        for name in ("name", "number"):
            if port[name] in [other[name] for other in ports[:number]]:
                yield f"{path}.{name}", f"{port[name]!r} is there twice"


def check_workload_entry(block: Block, path: str, ports: set[str] | None, *, by_name: bool) -> Mistakes:
    """
    Yield every error of one address of a service.
    """
    address = block.get("address", "")
    if address.startswith("unix://"):
        yield f"{path}.address", "is not supported: UNIX domain sockets are not translated"
    elif not address:
        yield f"{path}.address", "is required"
    elif not is_ip(address):
        yield from values.domain(address, f"{path}.address")
        if not by_name:
            yield f"{path}.address", "must be an IP address"
    yield from values.labels(block.get("labels", {}), f"{path}.labels")
    for name, number in block.get("ports", {}).items():
        yield from values.label(name, f"{path}.ports.{name}")
        yield from values.port(number, f"{path}.ports.{name}")
        if ports is not None and name not in ports:
            yield f"{path}.ports.{name}", "is no port of this service"
