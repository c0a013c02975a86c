"""
Checks of EnvoyFilters.
"""

from translator.checks.constraints import mistakes
from translator.checks.values import Mistakes
from translator.config.envoyfilter.patch import MERGE, REMOVE, read_patches
from translator.model.problems import BlockError
from translator.model.resources import Resource


def check_envoy_filter(resource: Resource) -> Mistakes:
    """
    Yield every error of an EnvoyFilter.
    """
    try:
        patches = list(read_patches(resource))
    except BlockError as error:
        yield error.path, error.message
        return
    for patch in patches:
        # A value to merge may be incomplete, and a removal has no value.
        for place, reason in mistakes(patch.value) if patch.operation not in (MERGE, REMOVE) else ():
            yield f"{patch.path}.patch.value", f"Envoy would reject it: {place}: {reason}"
