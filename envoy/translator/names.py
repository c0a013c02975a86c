"""
The names Istio gives to clusters, routes and hosts, and how hosts match each other.
"""

from collections.abc import Iterator

MESH = "mesh"


def outbound_cluster(port: int, subset: str, host: str) -> str:
    """
    The cluster of a service's port and subset, as a client sees it.
    """
    return f"outbound|{port}|{subset}|{host}"


def inbound_cluster(port: int) -> str:
    """
    The cluster of the application behind a sidecar.
    """
    return f"inbound|{port}||"


def server_name(port: int, subset: str, host: str) -> str:
    """
    The TLS server name by which sidecars ask for a service.
    """
    return f"outbound_.{port}_.{subset}_.{host}"


def fqdn(host: str, namespace: str, domain: str) -> str:
    """
    The full name of a host as a resource of *namespace* means it.
    """
    return host if "." in host or host == "*" else f"{host}.{namespace}.svc.{domain}"


def host_matches(pattern: str, host: str) -> bool:
    """
    Whether *host*, itself maybe with a wildcard, lies within *pattern*.
    """
    if pattern == "*":
        return True
    return host.endswith(pattern[1:]) if pattern.startswith("*") else pattern == host


def specificity(pattern: str) -> tuple[bool, int]:
    """
    Orders patterns: exact ones last and so greatest, then the longer wildcard.
    """
    return not pattern.startswith("*"), len(pattern)


def host_domains(host: str, namespace: str, domain: str) -> Iterator[str]:
    """
    Every name by which a client in *namespace* may call *host*.
    """
    yield host
    suffix = f".svc.{domain}"
    name, _, owner = host.removesuffix(suffix).partition(".")
    if not host.endswith(suffix) or not owner or "." in owner:
        return
    if owner == namespace:
        yield name
    yield f"{name}.{owner}"
    yield f"{name}.{owner}.svc"


def stat_name(name: str) -> str:
    """
    What statistics of *name* are called: the name with an end, since it has dots (istio: DelimitedStatsPrefix).
    """
    return f"{name};"


def file_name(resource: str) -> str:
    """
    A name for the file of a resource.
    """
    return "".join(letter if letter.isalnum() or letter in ".-_" else "_" for letter in resource)
