"""
Checks of EnvoyFilters.
"""

from translator.checks import values
from translator.checks.constraints import mistakes
from translator.checks.values import Mistakes
from translator.config.envoyfilter.patch import MERGE, REMOVE, Patch, read_patches
from translator.config.http_connection_manager import MANAGER
from translator.model.problems import BlockError
from translator.model.resources import Resource

HTTP_FILTER, OLD_MANAGER = "HTTP_FILTER", "envoy.http_connection_manager"
# What a patch may be matched by.
MATCHES = {
    **dict.fromkeys(("LISTENER", "FILTER_CHAIN", "NETWORK_FILTER", HTTP_FILTER), "listener"),
    **dict.fromkeys(("ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE"), "routeConfiguration"),
    "CLUSTER": "cluster",
}


def check_envoy_filter(resource: Resource) -> Mistakes:
    """
    Yield every error of an EnvoyFilter.
    """
    yield from values.selector(resource.spec.get("workloadSelector", {}).get("labels", {}), "spec.workloadSelector")
    try:
        patches = list(read_patches(resource))
    except BlockError as error:
        yield error.path, error.message
        return
    for patch in patches:
        for place, reason in _match(patch):
            yield f"{patch.path}.match.{place}", reason
        # What is removed has no value, and what is merged need not be whole.
        found = mistakes(patch.value, whole=patch.operation != MERGE) if patch.operation != REMOVE else ()
        for place, reason in found:
            yield f"{patch.path}.patch.value", f"Envoy would reject it: {place}: {reason}"


def _match(patch: Patch) -> Mistakes:
    """
    Yield what is wrong with the match of a patch: Istio wants it to be of the same kind, and names in it.
    """
    wanted = MATCHES.get(patch.apply_to)
    yield from (
        (other, f"cannot match for {patch.apply_to}")
        for other in sorted(set(MATCHES.values()) & set(patch.match))
        if wanted and other != wanted
    )
    block = patch.chain.get("filter")
    if wanted != "listener" or block is None:
        return
    path = "listener.filterChain.filter"
    if not patch.filter_name:
        yield f"{path}.name", "is required"
    elif "subFilter" in block:
        if patch.apply_to != HTTP_FILTER:
            yield f"{path}.subFilter", f"is for {HTTP_FILTER} only"
        elif patch.filter_name not in (MANAGER, OLD_MANAGER):
            yield f"{path}.name", f"must be {MANAGER} with a subFilter"
        elif not patch.http_filter_name:
            yield f"{path}.subFilter.name", "is required"
