"""
The mesh as one workload's Envoy sees it (istio: model/context.go).
"""

from collections.abc import Iterable, Mapping
from functools import cached_property

from translator.model.destination_rule import DestinationRule, chosen
from translator.model.hosts import fqdn
from translator.model.mesh import Mesh
from translator.model.registry import Registry, Workload
from translator.model.resources import Resource
from translator.model.service import Service
from translator.model.sidecar_scope import Scope, sidecar_scope
from translator.model.virtual_service import MESH, bound_gateways
from translator.model.visibility import exported
from translator.model.visible_services import destinations, merged, of_one_namespace, visible_services


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
        Return the registry of the mesh.
        """
        return self.mesh.registry

    @cached_property
    def scope(self) -> Scope:
        """
        Return the hosts that the workload may call, by its Sidecar resource.
        """
        sidecars = self.mesh.of_kind("Sidecar") if self.workload.kind == "sidecar" else []
        return sidecar_scope(sidecars, self.workload, self.registry.root_namespace)

    @cached_property
    def imported_services(self) -> tuple[Service, ...]:
        """
        Return the services this workload may name itself, of a host maybe several with different ports.
        """
        seen = visible_services(self.mesh.services, self.namespace)
        if self.workload.kind != "sidecar":
            return tuple(seen)
        inside = (service for service in seen if self.scope.sees(service.namespace, service.host))
        return tuple(of_one_namespace(inside, self.namespace))

    @cached_property
    def services(self) -> Mapping[str, Service]:
        """
        Return the services calls of this workload may reach, by host: those it may name, and those its routes lead to.
        """
        found = list(self.imported_services)
        if self.workload.kind == "sidecar":
            domain = self.registry.cluster_domain
            found += destinations(self.virtual_services(), self.namespace, domain, self.mesh.services)
        return dict(sorted(merged(found).items()))

    def full_name(self, host: str, resource: Resource) -> str:
        """
        Return the fully qualified name of a host in *resource*.
        """
        return fqdn(host.lower(), resource.namespace, self.registry.cluster_domain)

    def virtual_services(self, gateways: Iterable[str] = (MESH,)) -> list[Resource]:
        """
        Return the VirtualServices bound to one of *gateways* that this workload sees.

        Private ones go first, then those shown to its namespace, then those for all; of each the oldest first.
        """
        wanted = set(gateways)
        seen = [
            resource
            for resource in self.mesh.virtual_services
            if wanted & bound_gateways(resource)
            and exported(resource.spec.get("exportTo", ()), resource.namespace, self.namespace)
            and self.scope.sees_routes(resource.namespace, self.hosts_of(resource))
        ]
        return sorted(seen, key=self._publicity)

    def hosts_of(self, resource: Resource) -> list[str]:
        """
        Return the hosts of a VirtualService by their full names.
        """
        return [self.full_name(host, resource) for host in resource.spec.get("hosts", ())]

    def _publicity(self, resource: Resource) -> int:
        shown = resource.spec.get("exportTo", ()) or ("*",)
        return 2 if "*" in shown else int(resource.namespace != self.namespace)

    def destination_rule(self, host: str) -> DestinationRule:
        """
        Return what the DestinationRules say of a *host* that this workload calls.
        """
        if host not in self._rules:
            self._rules[host] = chosen(self._candidates(host), self.namespace, self.workload.labels)
        return self._rules[host]

    def inbound_rule(self, host: str) -> DestinationRule:
        """
        Return what they say of a *host* that this workload serves, where no rule for chosen workloads counts.
        """
        return chosen(self._candidates(host), self.namespace, None)

    def _candidates(self, host: str) -> list[DestinationRule]:
        service = self.services.get(host)
        return self.mesh.rules.candidates(host, self.namespace, service.namespace) if service else []
