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
    Everything that is wrong with an EnvoyFilter.
    """
    try:
        patches = list(read_patches(resource))
    except BlockError as error:
        yield error.path, error.message
        return
    for patch in patches:
        # What is merged need not be whole, and what is removed has no value.
        for place, reason in mistakes(patch.value) if patch.operation not in (MERGE, REMOVE) else ():
            yield f"{patch.path}.patch.value", f"Envoy would refuse it: {place}: {reason}"
