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
    yield from values.selector(resource.spec.get("workloadSelector", {}).get("labels", {}), "spec.workloadSelector")
    if not resource.spec.get("egress") and "outboundTrafficPolicy" not in resource.spec:
        yield "spec", "must have egress or outboundTrafficPolicy"
    egress = resource.spec.get("egress", ())
    for number, listener in enumerate(egress):
        if number < len(egress) - 1:
            yield f"spec.egress[{number}]", "a listener without a port must be the last one"
        if not listener.get("hosts"):
            yield f"spec.egress[{number}].hosts", "must have at least one host"
        for place, host in enumerate(listener.get("hosts", ())):
            yield from _host(host, f"spec.egress[{number}].hosts[{place}]")


def _host(host: str, path: str) -> Iterator[tuple[str, str]]:
    owner, slash, pattern = host.partition("/")
    if not slash or not owner:
        yield path, "must be namespace/host"
        return
    # A namespace after a ~ is left out.
    if owner.removeprefix("~") not in ("", "*", "."):
        yield from values.label(owner.removeprefix("~"), path)
    yield from values.whole_host(pattern, path)
