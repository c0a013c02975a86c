"""
What Istio's webhook checks of a Telemetry beyond the schema.
"""

from translator.checks.values import Mistakes
from translator.model.resources import Resource


def check_telemetry(resource: Resource) -> Mistakes:
    """
    A tag has a name, and a block one provider.
    """
    for number, block in enumerate(resource.spec.get("tracing", ())):
        path = f"spec.tracing[{number}]"
        if "" in block.get("customTags", {}):
            yield f"{path}.customTags", "a tag's name may not be empty"
        if len(block.get("providers", ())) > 1:
            yield f"{path}.providers", "only one provider is supported"
