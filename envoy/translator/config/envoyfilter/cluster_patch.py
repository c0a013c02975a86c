"""
Patches of clusters (istio: core/envoyfilter/cluster_patch.go).
"""

from typing import Any

from translator.config.envoyfilter.match import means_cluster
from translator.config.envoyfilter.merge import merge
from translator.config.envoyfilter.patch import ADD, MERGE, REMOVE, Patch, Patched


def patched_clusters(patches: list[Patch], generated: Patched) -> list[tuple[str, Any]]:
    """
    The clusters with every patch applied, each with its context.
    """
    kept = []
    for context, cluster in generated.clusters:
        meant = [patch for patch in patches if patch.operation != ADD and means_cluster(patch, context, cluster)]
        for patch in meant:
            if patch.operation == MERGE:
                merge(cluster, patch.value)
        if not any(patch.operation == REMOVE for patch in meant):
            kept.append((context, cluster))
    contexts = {generated.context, *(context for context, _ in generated.clusters)}
    added = [p for p in patches if p.operation == ADD and any(p.in_context(context) for context in contexts)]
    return [*kept, *((generated.context, patch.value) for patch in added)]
