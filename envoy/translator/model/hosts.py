"""
The names of hosts, and how they match each other (istio: pkg/config/host).
"""

from collections.abc import Iterator, Mapping
from typing import TypeVar

T = TypeVar("T")


def fqdn(host: str, namespace: str, domain: str) -> str:
    """
    Return the fully qualified name of a host in a resource of *namespace*.
    """
    return host if "." in host or host == "*" else f"{host}.{namespace}.svc.{domain}"


def host_matches(pattern: str, host: str) -> bool:
    """
    Return whether *host*, which may have a wildcard, is covered by *pattern*.
    """
    if pattern == "*":
        return True
    return host.endswith(pattern[1:]) if pattern.startswith("*") else pattern == host


def specificity(pattern: str) -> tuple[bool, int]:
    """
    Return a sort key for patterns: exact ones last and so greatest, then the longer wildcard.
    """
    return not pattern.startswith("*"), len(pattern)


def overlap(one: str, other: str) -> bool:
    """
    Return whether one of two patterns lies within the other.
    """
    return host_matches(one, other) or host_matches(other, one)


def most_specific(host: str, patterns: Mapping[str, T]) -> T | None:
    """
    Return what belongs to the pattern nearest to *host*: itself, or the longest wildcard around it.
    """
    if host in patterns:
        return patterns[host]
    around = [pattern for pattern in patterns if pattern.startswith("*") and host_matches(pattern, host)]
    # Of the same length it cannot be but one.
    return patterns[max(around, key=len)] if around else None


def host_domains(host: str, namespace: str, domain: str) -> Iterator[str]:
    """
    Yield every name by which a client in *namespace* may call *host*.
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
