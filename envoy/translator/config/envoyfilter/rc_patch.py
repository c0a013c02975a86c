"""
Patches of route configurations (istio: core/envoyfilter/rc_patch.go).
"""

import copy
from typing import Any

from translator.config.envoyfilter.edit import edit, replace_all
from translator.config.envoyfilter.match import means_host, means_route, means_routes
from translator.config.envoyfilter.merge import merge
from translator.config.envoyfilter.patch import ADD, MERGE, REMOVE, Patch


def patch_routes(groups: dict[str, list[Patch]], context: str, configuration: Any) -> None:
    """
    Apply the patches of a route configuration, its virtual hosts and its routes.
    """

    def meant(kind: str) -> list[Patch]:
        return [patch for patch in groups[kind] if means_routes(patch, context, configuration.name)]

    for patch in meant("ROUTE_CONFIGURATION"):
        merge(configuration, patch.value)
    kept = []
    for host in configuration.virtual_hosts:
        changed = _host(meant("VIRTUAL_HOST"), host)
        if changed is not None:
            routes = [patch for patch in meant("HTTP_ROUTE") if means_host(patch, changed)]
            test = lambda patch: lambda route: means_route(patch, route)  # noqa: E731  # one test for each patch
            edit(changed.routes, routes, test, lambda patch: "route" in patch.host, all_of=True)
            kept.append(changed)
    added = [patch.value for patch in meant("VIRTUAL_HOST") if patch.operation == ADD]
    replace_all(configuration.virtual_hosts, [*kept, *added])


def _host(patches: list[Patch], host: Any) -> Any | None:
    result = copy.deepcopy(host)
    for patch in patches:
        if patch.operation == ADD or not means_host(patch, result):
            continue
        if patch.operation == REMOVE:
            return None
        if patch.operation == MERGE:
            merge(result, patch.value)
        else:
            result = copy.deepcopy(patch.value)
    return result
