"""
Findings about VirtualServices (istio: pkg/config/analysis/analyzers/virtualservice).
"""

from collections.abc import Iterator

from translator.checks.analysis.finding import Finding, error, not_found, warning
from translator.model.hosts import fqdn, host_matches, overlap
from translator.model.mesh import Mesh
from translator.model.resources import Resource
from translator.model.service import Service
from translator.model.values import Block
from translator.model.virtual_service import MESH, bound_gateways, full_gateway
from translator.model.visibility import exported
from translator.model.visible_services import mirrored, routed


def destinations(mesh: Mesh) -> Iterator[Finding]:
    """
    Yield routes to a host, a port or a subset that does not exist.
    """
    subsets = {
        (_full(mesh, rule, rule.spec["host"]), subset["name"])
        for rule in mesh.of_kind("DestinationRule")
        for subset in rule.spec.get("subsets", ())
    }
    for resource in mesh.of_kind("VirtualService"):
        for prefix, block in _destinations(resource):
            yield from _destination(mesh, resource, prefix, block)
            subset = block.get("subset")
            if subset and (_full(mesh, resource, block["host"]), subset) not in subsets:
                what = f"{prefix.strip() or 'host'}+subset in destinationrule"
                yield not_found(resource, what, f"{block['host']}+{subset}")


def _destination(mesh: Mesh, resource: Resource, prefix: str, block: Block) -> Iterator[Finding]:
    service = service_of(mesh, resource, block["host"])
    if service is None:
        yield not_found(resource, f"{prefix}host", block["host"])
        return
    numbers = [port.number for port in service.ports]
    port = block.get("port", {}).get("number")
    if port is None and len(numbers) > 1:
        yield error(
            "IST0112",
            resource,
            f'This VirtualService routes to a service "{block["host"]}" that exposes multiple ports {numbers}. '
            "Specifying a port in the destination is required to disambiguate.",
        )
    if port is not None and port not in numbers:
        yield not_found(resource, "host:port", f"{block['host']}:{port}")


def _destinations(resource: Resource) -> Iterator[tuple[str, Block]]:
    for block in resource.spec.get("http", ()):
        yield from (("", destination) for destination in routed(block))
        yield from (("mirror ", destination) for destination in mirrored(block))


def gateways(mesh: Mesh) -> Iterator[Finding]:
    """
    Yield Gateways that do not exist, and hosts that the Gateway does not serve.
    """
    known = {f"{gateway.namespace}/{gateway.name}": gateway for gateway in mesh.of_kind("Gateway")}
    for resource in mesh.of_kind("VirtualService"):
        for name in resource.spec.get("gateways", ()):
            full = full_gateway(name, resource.namespace)
            if name == MESH:
                continue
            if full not in known:
                yield not_found(resource, "gateway", name)
            if full not in known or not _takes(known[full], resource):
                yield warning(
                    "IST0132",
                    resource,
                    f"one or more host {resource.spec.get('hosts', [])} defined in VirtualService "
                    f"{resource.namespace}/{resource.name} not found in Gateway {full}.",
                )


def _takes(gateway: Resource, resource: Resource) -> bool:
    for server in gateway.spec.get("servers", ()):
        for pattern in server["hosts"]:
            owner, _, host = pattern.rpartition("/")
            namespace = gateway.namespace if owner == "." else owner
            here = namespace in ("", "*", resource.namespace)
            if here and any(overlap(host, wanted) for wanted in resource.spec.get("hosts", ())):
                return True
    return False


def conflicts(mesh: Mesh) -> Iterator[Finding]:
    """
    Several VirtualServices for one host, of which sidecars follow one.
    """
    by_host: dict[str, list[Resource]] = {}
    for resource in mesh.of_kind("VirtualService"):
        if MESH in bound_gateways(resource):
            for host in resource.spec.get("hosts", ()):
                by_host.setdefault(_full(mesh, resource, host), []).append(resource)
    for host, resources in by_host.items():
        public = [resource for resource in resources if "*" in (resource.spec.get("exportTo", ()) or ("*",))]
        for resource in public if len(public) > 1 else ():
            names = ",".join(sorted(f"{other.namespace}/{other.name}" for other in public))
            yield error(
                "IST0109",
                resource,
                f"The VirtualServices {names} associated with mesh gateway define the same host */{host} which can lead"
                " to undefined behavior. This can be fixed by merging the conflicting VirtualServices into a single"
                " resource.",
            )


def service_of(mesh: Mesh, resource: Resource, host: str) -> Service | None:
    """
    Return the service that a host in a resource means, if its namespace sees one.
    """
    full = _full(mesh, resource, host)
    seen = [s for s in mesh.services if exported(s.export_to, s.namespace, resource.namespace)]
    exact = next((service for service in seen if service.host == full), None)
    around = (s for s in seen if overlap(s.host, full) and (s.host.startswith("*") or full.startswith("*")))
    return exact or next((service for service in around if host_matches(service.host, full) or "*" in full), None)


def _full(mesh: Mesh, resource: Resource, host: str) -> str:
    return fqdn(host.lower(), resource.namespace, mesh.registry.cluster_domain)
