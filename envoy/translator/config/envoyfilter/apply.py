"""
Applies EnvoyFilters to the generated configuration (istio: core/envoyfilter).
"""

from dataclasses import replace

from translator.config.envoyfilter.cluster_patch import patched_clusters
from translator.config.envoyfilter.listener_patch import patch_listener, patched_listeners
from translator.config.envoyfilter.patch import OPERATIONS, Patched, patches_for
from translator.config.envoyfilter.rc_patch import patch_routes
from translator.model.proxy import Proxy


def apply_patches(proxy: Proxy, generated: Patched) -> Patched:
    """
    Return the configuration with every patch applied, object by object from the outside in, as Istio does it.
    """
    patches = patches_for(proxy)
    if not patches:
        return generated
    groups = {name: [patch for patch in patches if patch.apply_to == name] for name in OPERATIONS}
    listeners = [patch_listener(groups, placed) for placed in patched_listeners(groups["LISTENER"], generated)]
    for configuration in generated.routes:
        patch_routes(groups, generated.context, configuration)
    clusters = patched_clusters(groups["CLUSTER"], generated)
    return replace(generated, listeners=listeners, clusters=clusters)
