"""
Checks of Sidecars.
"""

from collections.abc import Iterator

from translator.checks import values
from translator.model.resources import Resource


def check_sidecar(resource: Resource) -> Iterator[tuple[str, str]]:
    """
    Yield every error of a Sidecar.
    """
    mode = resource.spec.get("outboundTrafficPolicy", {}).get("mode", "REGISTRY_ONLY")
    if mode != "REGISTRY_ONLY":
        yield (
            "spec.outboundTrafficPolicy.mode",
            f"{mode} is not supported: there is no original destination without interception",
        )
    for number, listener in enumerate(resource.spec.get("egress", ())):
        if not listener.get("hosts"):
            yield f"spec.egress[{number}].hosts", "must have at least one host"
        for place, host in enumerate(listener.get("hosts", ())):
            path = f"spec.egress[{number}].hosts[{place}]"
            owner, slash, pattern = host.partition("/")
            if not slash or not owner:
                yield path, "must be namespace/host"
            elif owner not in ("*", ".", "~"):
                yield from values.label(owner, path)
            yield from values.host(pattern, path)
