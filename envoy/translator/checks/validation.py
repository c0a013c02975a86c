"""
Validates resources as Istio's webhook does beyond the schema, and rejects what is not supported; each error has its
path.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from translator.checks import values
from translator.checks.authorization_policy import check_authorization_policy
from translator.checks.destination_rule import check_destination_rule
from translator.checks.envoyfilter import check_envoy_filter
from translator.checks.gateway import check_gateway
from translator.checks.metadata import metadata
from translator.checks.request_authentication import check_request_authentication
from translator.checks.service_entry import check_service_entry, check_workload_entry
from translator.checks.sidecar import check_sidecar
from translator.checks.telemetry import check_telemetry
from translator.checks.unsupported import unsupported
from translator.checks.values import Mistakes
from translator.checks.virtual_service import check_virtual_service
from translator.model.problems import InvalidMesh, Problem
from translator.model.resources import Resource, load_resources


def _peer_authentication(resource: Resource) -> Mistakes:
    yield from values.selector(resource.spec.get("selector", {}).get("matchLabels", {}), "spec.selector")


def _workload_entry(resource: Resource) -> Mistakes:
    yield from check_workload_entry(resource.spec, "spec", None, by_name=True)


CHECKS: Mapping[str, Callable[[Resource], Mistakes]] = MappingProxyType(
    {
        "AuthorizationPolicy": check_authorization_policy,
        "DestinationRule": check_destination_rule,
        "EnvoyFilter": check_envoy_filter,
        "Gateway": check_gateway,
        "PeerAuthentication": _peer_authentication,
        "RequestAuthentication": check_request_authentication,
        "ServiceEntry": check_service_entry,
        "Sidecar": check_sidecar,
        "Telemetry": check_telemetry,
        "VirtualService": check_virtual_service,
        "WorkloadEntry": _workload_entry,
    }
)
# The number of valid resources to remember; the cache is cleared above it.
MAX_REMEMBERED = 20_000


def check(resource: Resource) -> list[Problem]:
    """
    Return all errors of one resource; if something is unsupported only that, since the rest cannot be judged.
    """
    found = list(unsupported(resource)) or [*metadata(resource), *CHECKS[resource.kind](resource)]
    return [resource.problem(path, message) for path, message in found]


class Checker:
    """
    Loads resources and remembers which were valid, so that only changed ones are validated again.
    """

    def __init__(self) -> None:
        self._good: frozenset[str] = frozenset()

    def load(self, *folders: Path) -> tuple[Resource, ...]:
        """
        Return the resources of the folders; raises `InvalidMesh` if any of them is invalid.
        """
        resources = load_resources(*folders)
        prints = [fingerprint(resource) for resource in resources]
        new = [resource for resource, text in zip(resources, prints, strict=True) if text not in self._good]
        problems = [problem for resource in new for problem in check(resource)]
        if problems:
            raise InvalidMesh(problems)
        self._good |= frozenset(prints)
        if len(self._good) > MAX_REMEMBERED:
            self._good = frozenset(prints)
        return resources


def fingerprint(resource: Resource) -> str:
    """
    Return the same text for the same resource.
    """
    return json.dumps([resource.file, resource.title, resource.spec], sort_keys=True, default=str)
