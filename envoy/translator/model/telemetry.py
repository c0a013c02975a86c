"""
Telemetry: which calls of a workload are traced, and where spans go (istio: model/telemetry.go).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from translator.model.mesh import Mesh
from translator.model.registry import ExtensionProvider, Workload
from translator.model.resources import Resource
from translator.model.selector import labels_of_selector
from translator.model.values import Block

# Istio's sampling rate where none is set (PILOT_TRACE_SAMPLING).
DEFAULT_SAMPLING_PERCENT = 1.0
CLIENT, SERVER = "CLIENT", "SERVER"


@dataclass(frozen=True)
class Tracing:
    """
    The tracing of calls in one direction; without a provider there is none.
    """

    provider: ExtensionProvider | None = None
    disabled: bool = False
    sampling_percent: float = DEFAULT_SAMPLING_PERCENT
    custom_tags: Mapping[str, Block] = field(default_factory=dict)
    istio_tags: bool = True
    by_request_id: bool = True


def tracing(mesh: Mesh, workload: Workload, mode: str) -> Tracing:
    """
    Return the tracing of a workload's calls as CLIENT or SERVER: the more specific and later setting overrides.
    """
    result = Tracing()
    for block in _blocks(mesh, workload):
        if block.get("match", {}).get("mode", mode) in (mode, "CLIENT_AND_SERVER"):
            result = replace(result, **_settings(mesh, block))
    return result


def _blocks(mesh: Mesh, workload: Workload) -> Iterator[Block]:
    """
    Return the blocks of the root namespace, of the namespace, and of those that select the workload.
    """
    resources = mesh.of_kind("Telemetry")
    for namespace in dict.fromkeys((mesh.registry.root_namespace, workload.namespace)):
        whole = (one for one in resources if one.namespace == namespace and not labels_of_selector(one.spec))
        for resource in (found for found in (next(whole, None),) if found):
            yield from resource.spec.get("tracing", ())
    for resource in resources:
        if resource.namespace == workload.namespace and _chooses(resource, workload):
            yield from resource.spec.get("tracing", ())


def _chooses(resource: Resource, workload: Workload) -> bool:
    labels = labels_of_selector(resource.spec)
    return bool(labels) and labels.items() <= workload.labels.items()


def _settings(mesh: Mesh, block: Block) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name in [provider["name"] for provider in block.get("providers", ())][:1]:
        known = (one for one in mesh.registry.extension_providers if one.name.lower() == name.lower())
        settings["provider"] = next(known, None)
    for key, name in (
        ("disableSpanReporting", "disabled"),
        ("customTags", "custom_tags"),
        ("randomSamplingPercentage", "sampling_percent"),
        ("enableIstioTags", "istio_tags"),
        ("useRequestIdForTraceSampling", "by_request_id"),
    ):
        if block.get(key) is not None:
            settings[name] = block[key]
    return settings
