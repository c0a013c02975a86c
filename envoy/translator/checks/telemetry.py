"""
Checks of Telemetry resources.
"""

from translator.checks import values
from translator.checks.values import Mistakes
from translator.model.resources import Resource


def check_telemetry(resource: Resource) -> Mistakes:
    """
    Yield every error of a Telemetry: tags need a name, and a block has one provider.
    """
    yield from values.selector(resource.spec.get("selector", {}).get("matchLabels", {}), "spec.selector")
    for number, block in enumerate(resource.spec.get("tracing", ())):
        path = f"spec.tracing[{number}]"
        if "" in block.get("customTags", {}):
            yield f"{path}.customTags", "a tag's name must not be empty"
        if len(block.get("providers", ())) > 1:
            yield f"{path}.providers", "more than one is not supported"
