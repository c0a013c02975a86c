"""
EnvoyFilters: changes to what was generated, in Envoy's own words (istio: core/envoyfilter).
"""

from dataclasses import dataclass
from typing import Any
from translator.listening import PlacedListener
from translator.mesh import Proxy


@dataclass(frozen=True)
class Patched:
    """
    The generated configuration that patches apply to; clusters each with their context.
    """

    context: str
    listeners: list[PlacedListener]
    routes: list[Any]
    clusters: list[tuple[str, Any]]


def apply_patches(proxy, patched):
    return patched
