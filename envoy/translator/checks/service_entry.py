"""
Checks of ServiceEntries and WorkloadEntries.
"""

from translator.checks import values
from translator.checks.sample_mesh import NOWHERE
from translator.checks.values import Mistakes
from translator.model.registry import is_ip
from translator.model.resources import Resource
from translator.model.service import PROTOCOLS
from translator.model.service_entry import entry_services
from translator.model.values import Block


def check_service_entry(resource: Resource) -> Mistakes:
    """
    Yield every error of a ServiceEntry.
    """
    spec = resource.spec
    resolution = spec.get("resolution", "NONE")
    yield from values.export_to(spec)
    if resolution not in ("STATIC", "DNS", "DNS_ROUND_ROBIN"):
        yield "spec.resolution", f"{resolution} is not supported: there is no original destination without interception"
    for number, host in enumerate(spec["hosts"]):
        yield from values.host(host, f"spec.hosts[{number}]")
        if host.startswith("*") and not spec.get("endpoints") and "workloadSelector" not in spec:
            yield f"spec.hosts[{number}]", "a wildcard has no DNS name; set endpoints"
    yield from _entry_ports(spec)
    names = {port["name"] for port in spec.get("ports", ())}
    for number, endpoint in enumerate(spec.get("endpoints", ())):
        yield from check_workload_entry(endpoint, f"spec.endpoints[{number}]", names, by_name=resolution != "STATIC")
    found = list(entry_services(NOWHERE, [resource], ()))
    if resolution == "STATIC" and not all(
        is_ip(endpoint.address) for service in found for endpoint in service.endpoints
    ):
        yield "spec.endpoints", "must be IP addresses for STATIC resolution"


def _entry_ports(spec: Block) -> Mistakes:
    if not spec.get("ports"):
        yield "spec.ports", "must have at least one port"
    for number, port in enumerate(spec.get("ports", ())):
        path = f"spec.ports[{number}]"
        yield from values.label(port["name"], f"{path}.name")
        yield from values.port(port["number"], f"{path}.number")
        protocol = port.get("protocol", "").lower()
        if protocol and protocol not in PROTOCOLS:
            yield f"{path}.protocol", f"must be one of {', '.join(sorted(PROTOCOLS)).upper()}"
        if port["name"] in [other["name"] for other in spec["ports"][:number]]:
            yield f"{path}.name", f"{port['name']!r} is duplicated"


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
        yield from values.host(address, f"{path}.address")
        if not by_name or address.startswith("*"):
            yield f"{path}.address", "must be an IP address"
    for name, number in block.get("ports", {}).items():
        yield from values.port(number, f"{path}.ports.{name}")
        if ports is not None and name not in ports:
            yield f"{path}.ports.{name}", "is no port of this service"
