"""
The registry and the resources, indexed once for all proxies (istio: model/push_context.go).
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, TypeVar

from translator.model.hosts import fqdn
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
        self.by_host = {service.host: service for service in self.services}

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
        found: dict[str, Service] = {}
        entries = entry_services(self.registry, self.of_kind("ServiceEntry"), self.of_kind("WorkloadEntry"))
        for service in (*registry_services(self.registry, self.not_ready), *entries):
            found.setdefault(service.host, service)
        return tuple(found[host] for host in sorted(found))

    @cached_property
    def rules_by_host(self) -> Mapping[str, list[Resource]]:
        """
        DestinationRules by the full name of their host.
        """
        found: dict[str, list[Resource]] = {}
        for rule in self.of_kind("DestinationRule"):
            host = fqdn(rule.spec["host"], rule.namespace, self.registry.cluster_domain)
            found.setdefault(host, []).append(rule)
        return found
