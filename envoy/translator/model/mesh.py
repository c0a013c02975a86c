"""
The registry and the resources, indexed once for all proxies (istio: model/push_context.go).
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

from translator.model.delegates import roots
from translator.model.destination_rule import RuleIndex
from translator.model.registry import Registry, Workload
from translator.model.resources import Resource
from translator.model.selector import selects
from translator.model.service import Service, registry_services
from translator.model.service_entry import entry_services

T = TypeVar("T")


class Mesh:
    """
    The registry and the resources, indexed once for all proxies.
    """

    def __init__(
        self, registry: Registry, resources: Iterable[Resource], not_ready: frozenset[str] = frozenset()
    ) -> None:
        self.registry = registry
        self.not_ready = not_ready
        self._read: dict[str, Any] = {}
        self.by_kind: dict[str, list[Resource]] = {}
        for resource in sorted(resources, key=lambda item: item.age):
            self.by_kind.setdefault(resource.kind, []).append(resource)
        self.services = self._services()
        self.of_registry = {service.host: service for service in self.services if service.kubernetes}

    def of_kind(self, kind: str) -> list[Resource]:
        """
        Return the resources of a kind, the oldest first.
        """
        return self.by_kind.get(kind, [])

    def selected(self, kind: str, workload: Workload) -> list[Resource]:
        """
        Return the resources of a kind that apply to a workload by namespace and selector.
        """
        namespaces = (workload.namespace, self.registry.root_namespace)
        return [r for r in self.of_kind(kind) if r.namespace in namespaces and selects(r.spec, workload)]

    def cached(self, resource: Resource, read: Callable[[], T]) -> T:
        """
        Return the result of *read* for a resource, computed once for all proxies.
        """
        if resource.title not in self._read:
            self._read[resource.title] = read()
        result: T = self._read[resource.title]
        return result

    def _services(self) -> tuple[Service, ...]:
        """
        Return every service, the oldest first; those of one host and namespace share addresses by their ports' names,
        and identities.
        """
        entries = entry_services(self.registry, self.of_kind("ServiceEntry"), self.of_kind("WorkloadEntry"))
        found = sorted([*registry_services(self.registry, self.not_ready), *entries], key=lambda service: service.age)
        together: dict[tuple[str, str], list[Service]] = {}
        for service in found:
            together.setdefault((service.host, service.namespace), []).append(service)
        return tuple(_sharing(service, together[service.host, service.namespace]) for service in found)

    @cached_property
    def virtual_services(self) -> list[Resource]:
        """
        Return the VirtualServices with hosts, the oldest first, with the routes that they leave to others.
        """
        return roots(self.of_kind("VirtualService"), self.registry.cluster_domain)

    @cached_property
    def rules(self) -> RuleIndex:
        """
        Return the DestinationRules by who sees them.
        """
        registry = self.registry
        return RuleIndex(self.of_kind("DestinationRule"), registry.cluster_domain, registry.root_namespace)


def _sharing(service: Service, others: list[Service]) -> Service:
    # Of the names that ServiceEntries themselves give, istiod keeps the last entry's.
    names = {name for other in others for name in other.identities}.union(others[-1].subject_alt_names)
    service = replace(service, identities=tuple(sorted(names)))
    if len(others) == 1:
        return service
    endpoints = [
        replace(endpoint, serves=frozenset(port.name for port in other.ports))
        for other in others
        for endpoint in other.endpoints
    ]
    return replace(service, endpoints=tuple(endpoints))
