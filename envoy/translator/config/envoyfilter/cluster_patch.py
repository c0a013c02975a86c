"""
Patches of clusters (istio: core/envoyfilter/cluster_patch.go).
"""

from translator.config.envoyfilter.match import means_cluster
from translator.config.envoyfilter.merge import merge
from translator.config.envoyfilter.patch import ADD, MERGE, REMOVE, Patch, Patched, PlacedCluster


def patched_clusters(patches: list[Patch], generated: Patched) -> list[PlacedCluster]:
    """
    Return the clusters with every patch applied.
    """
    kept = []
    for placed in generated.clusters:
        meant = [patch for patch in patches if patch.operation != ADD and means_cluster(patch, placed)]
        for patch in meant:
            if patch.operation == MERGE:
                merge(placed.cluster, patch.value)
        if not any(patch.operation == REMOVE for patch in meant):
            kept.append(placed)
    contexts = {generated.context, *(placed.context for placed in generated.clusters)}
    added = [p for p in patches if p.operation == ADD and any(p.in_context(context) for context in contexts)]
    return [*kept, *(PlacedCluster(generated.context, patch.value) for patch in added)]
