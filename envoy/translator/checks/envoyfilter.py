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
        # What is removed has no value, and what is merged need not be whole.
        found = mistakes(patch.value, whole=patch.operation != MERGE) if patch.operation != REMOVE else ()
        for place, reason in found:
            yield f"{patch.path}.patch.value", f"Envoy would reject it: {place}: {reason}"
