"""
Selects the objects that an EnvoyFilter patch applies to.
"""

from collections.abc import Callable
from typing import Any

from translator.config.envoyfilter.patch import ANY, Patch, PlacedCluster
from translator.config.listener import PlacedListener


def means_listener(patch: Patch, placed: PlacedListener) -> bool:
    """
    Return whether the patch selects this listener, by Istio's name and by the port in the resources.
    """
    match = patch.listener
    return (
        patch.in_context(placed.context)
        and match.get("name", "") in ("", placed.istio_name, placed.listener.name)
        and match.get("portNumber", 0) in (0, placed.port)
    )


def means_chain(patch: Patch, chain: Any) -> bool:
    """
    Return whether the patch selects this filter chain.
    """
    wanted, match = patch.chain, chain.filter_chain_match
    protocols = [protocol for protocol in wanted.get("applicationProtocols", "").split(",") if protocol]
    return (
        wanted.get("name", "") in ("", chain.name)
        and (not wanted.get("sni") or wanted["sni"] in match.server_names)
        and wanted.get("transportProtocol", "") in ("", match.transport_protocol)
        and all(protocol in match.application_protocols for protocol in protocols)
        and wanted.get("destinationPort", 0) in (0, match.destination_port.value)
    )


def named(name: str) -> Callable[[Any], bool]:
    """
    Return a predicate for an object's name; without a name it matches any.
    """
    return lambda item: name in ("", item.name)


def means_routes(patch: Patch, context: str, name: str) -> bool:
    """
    Return whether the patch selects a route configuration of this name.
    """
    wanted = patch.match.get("routeConfiguration", {})
    port, port_name, gateway = _parts(context, name)
    return (
        patch.in_context(context)
        and wanted.get("name", "") in ("", name)
        and wanted.get("portNumber", 0) in (0, port)
        and wanted.get("portName", "") in ("", port_name)
        and wanted.get("gateway", "") in ("", gateway)
    )


def _parts(context: str, name: str) -> tuple[int, str, str]:
    """
    Return port, port name and gateway from a route configuration's name.

    Such names are `http.8080`, `https.443.web.gw.ns`, `50051` and `inbound|50051||`.
    """
    if context == "GATEWAY":
        parts = name.split(".")
        gateway = f"{parts[4]}/{parts[3]}" if len(parts) == 5 else ""
        return int(parts[1]), parts[2] if len(parts) == 5 else "", gateway
    digits = name.split("|")[1] if "|" in name else name
    return int(digits), "", ""


def means_host(patch: Patch, host: Any) -> bool:
    """
    Return whether the patch selects this virtual host.
    """
    wanted = patch.host
    return wanted.get("name", "") in ("", host.name) and wanted.get("domainName", "") in ("", *host.domains)


def means_route(patch: Patch, route: Any) -> bool:
    """
    Return whether the patch selects this route.
    """
    wanted = patch.host.get("route", {})
    action = str(wanted.get("action", ANY)).lower()
    return wanted.get("name", "") in ("", route.name) and action in ("any", route.WhichOneof("action"))


def means_cluster(patch: Patch, placed: PlacedCluster) -> bool:
    """
    Return whether the patch selects this cluster; a service's name also selects the inbound clusters of its workloads.
    """
    wanted, name = patch.match.get("cluster", {}), placed.cluster.name
    if not patch.in_context(placed.context):
        return False
    if wanted.get("name"):
        return bool(wanted["name"] == name)
    _, port, subset, host = (*name.split("|"), "", "", "", "")[:4]
    return (
        wanted.get("subset", "") in ("", subset)
        # An inbound cluster has no host in its name.
        and wanted.get("service", "") in ("", *(placed.hosts or (host,)))
        and wanted.get("portNumber", 0) in (0, int(port or 0))
    )
