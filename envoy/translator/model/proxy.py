"""
The mesh as one workload's Envoy sees it (istio: model/context.go).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial

from translator.model.destination_rule import NO_RULE, DestinationRule, merged
from translator.model.hosts import fqdn, host_matches, specificity
from translator.model.mesh import Mesh
from translator.model.registry import Registry, Workload
from translator.model.resources import Resource
from translator.model.selector import selects
from translator.model.service import Service
from translator.model.sidecar_scope import Scope, sidecar_scope
from translator.model.virtual_service import MESH, bound_gateways
from translator.model.visibility import exported


class Proxy:
    """
    The mesh as one workload's Envoy sees it.
    """

    def __init__(self, mesh: Mesh, workload: Workload) -> None:
        self.mesh, self.workload = mesh, workload
        self.namespace = workload.namespace
        self._rules: dict[str, DestinationRule] = {}

    @property
    def registry(self) -> Registry:
        """
        The registry of the mesh.
        """
        return self.mesh.registry

    @cached_property
    def scope(self) -> Scope:
        """
        The hosts that the workload may call, by its Sidecar resource.
        """
        sidecars = self.mesh.of_kind("Sidecar") if self.workload.kind == "sidecar" else []
        return sidecar_scope(sidecars, self.workload, self.registry.root_namespace)

    @cached_property
    def services(self) -> Mapping[str, Service]:
        """
        The services this workload sees, by host.
        """
        return {
            service.host: service
            for service in self.mesh.services
            if exported(service.export_to, service.namespace, self.namespace)
            and self.scope.sees(service.namespace, service.host)
        }

    def full_name(self, host: str, resource: Resource) -> str:
        """
        Return the fully qualified name of a host in *resource*.
        """
        return fqdn(host.lower(), resource.namespace, self.registry.cluster_domain)

    def virtual_services(self, gateways: Iterable[str] = (MESH,)) -> Iterator[Resource]:
        """
        Yield the VirtualServices bound to one of *gateways* that this workload sees, the oldest first.
        """
        wanted = set(gateways)
        for resource in self.mesh.of_kind("VirtualService"):
            if wanted & bound_gateways(resource) and exported(
                resource.spec.get("exportTo", ()), resource.namespace, self.namespace
            ):
                yield resource

    def destination_rule(self, host: str) -> DestinationRule:
        """
        Return the merged DestinationRules of *host*: the client's namespace takes precedence, then the service's, then
        the root's.
        """
        if host not in self._rules:
            self._rules[host] = self._find_rule(host)
        return self._rules[host]

    def _find_rule(self, host: str) -> DestinationRule:
        service = self.mesh.by_host.get(host)
        namespaces = dict.fromkeys(
            (self.namespace, service.namespace if service else self.namespace, self.registry.root_namespace)
        )
        for namespace in namespaces:
            chosen = self._most_specific(host, partial(self._applies, namespace))
            if chosen:
                return merged(chosen)
        return NO_RULE

    def _applies(self, namespace: str, rule: Resource) -> bool:
        visible = exported(rule.spec.get("exportTo", ()), rule.namespace, self.namespace)
        # A rule with a workload selector applies only to its own namespace.
        return rule.namespace == namespace and visible and self._selected(rule)

    def _selected(self, rule: Resource) -> bool:
        return "workloadSelector" not in rule.spec or (
            rule.namespace == self.namespace and selects(rule.spec, self.workload)
        )

    def _most_specific(self, host: str, applies: Callable[[Resource], bool]) -> list[Resource]:
        by_host = self.mesh.rules_by_host
        patterns = [
            host,
            *sorted((p for p in self.mesh_wildcards if host_matches(p, host)), key=specificity, reverse=True),
        ]
        for pattern in patterns:
            found = [rule for rule in by_host.get(pattern, ()) if applies(rule)]
            chosen = [rule for rule in found if "workloadSelector" in rule.spec] or found
            if chosen:
                return chosen
        return []

    @cached_property
    def mesh_wildcards(self) -> tuple[str, ...]:
        """
        Return the DestinationRule hosts that are wildcards.
        """
        return tuple(host for host in self.mesh.rules_by_host if host.startswith("*"))
