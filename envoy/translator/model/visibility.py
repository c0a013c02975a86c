"""
`exportTo`: which namespaces see a resource (istio: pkg/config/visibility).
"""

from collections.abc import Iterable


def exported(export_to: Iterable[str], owner: str, client: str) -> bool:
    """
    Return whether an export of namespace *owner* is visible in namespace *client*.
    """
    words = tuple(export_to) or ("*",)
    return any(word in ("*", client) or (word == "." and owner == client) for word in words)
