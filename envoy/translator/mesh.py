"""
Everything known of a mesh, and which of it one proxy sees.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

from translator.names import MESH, fqdn, host_matches, specificity
from translator.registry import Registry, Workload
from translator.resources import Resource
from translator.scope import Scope, sidecar_scope
from translator.services import Service, entry_services, registry_services
from translator.values import Block

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
        The resources of a kind, the oldest first.
        """
        return self.by_kind.get(kind, [])

    def selected(self, kind: str, workload: Workload) -> list[Resource]:
        """
        The resources of a kind that apply to a workload by namespace and selector.
        """
        namespaces = (workload.namespace, self.registry.root_namespace)
        return [r for r in self.of_kind(kind) if r.namespace in namespaces and selects(r.spec, workload)]

    def cached(self, resource: Resource, read: Callable[[], T]) -> T:
        """
        What *read* makes of a resource, made once for all proxies.
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


def selects(spec: Block, workload: Workload) -> bool:
    """
    Whether a policy's selector, if any, takes in a workload.
    """
    return labels_of_selector(spec).items() <= workload.labels.items()


def labels_of_selector(spec: Block) -> Mapping[str, str]:
    """
    The labels a policy asks for: `selector.matchLabels` or `workloadSelector.labels`.
    """
    labels: Mapping[str, str] = spec.get("selector", {}).get("matchLabels", {}) or spec.get("workloadSelector", {}).get(
        "labels", {}
    )
    return labels


def exported(export_to: Iterable[str], owner: str, client: str) -> bool:
    """
    Whether what namespace *owner* exports is seen in namespace *client*.
    """
    words = tuple(export_to) or ("*",)
    return any(word in ("*", client) or (word == "." and owner == client) for word in words)


@dataclass(frozen=True)
class DestinationRule:
    """
    What several DestinationRules of a host come to: one policy, and every subset.
    """

    policy: Block
    subsets: tuple[Block, ...]
    sources: tuple[Resource, ...] = ()


NO_RULE = DestinationRule({}, ())


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
        What the workload may call, by its Sidecar resource.
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
        A host as *resource* means it.
        """
        return fqdn(host.lower(), resource.namespace, self.registry.cluster_domain)

    def virtual_services(self, gateways: Iterable[str] = (MESH,)) -> Iterator[Resource]:
        """
        The VirtualServices bound to one of *gateways* that this workload sees, the oldest first.
        """
        wanted = set(gateways)
        for resource in self.mesh.of_kind("VirtualService"):
            if wanted & bound_gateways(resource) and exported(
                resource.spec.get("exportTo", ()), resource.namespace, self.namespace
            ):
                yield resource

    def destination_rule(self, host: str) -> DestinationRule:
        """
        What the DestinationRules say of *host*: the client's namespace first, then the service's, then the root's.
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
                return _merged(chosen)
        return NO_RULE

    def _applies(self, namespace: str, rule: Resource) -> bool:
        visible = exported(rule.spec.get("exportTo", ()), rule.namespace, self.namespace)
        # A rule for chosen workloads speaks to those of its own namespace only.
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
        The hosts of DestinationRules that are patterns.
        """
        return tuple(host for host in self.mesh.rules_by_host if host.startswith("*"))


def bound_gateways(resource: Resource) -> set[str]:
    """
    The gateways of a VirtualService by full name; none given means the sidecars.
    """
    return {full_gateway(name, resource.namespace) for name in resource.spec.get("gateways", ()) or (MESH,)}


def full_gateway(name: str, namespace: str) -> str:
    """
    A gateway's name with its namespace, as a resource of *namespace* means it.
    """
    return name if name == MESH or "/" in name else f"{namespace}/{name}"


def _merged(rules: list[Resource]) -> DestinationRule:
    """
    Rules of the same host add their subsets; the oldest policy and the oldest subset of a name count.
    """
    policy: dict[str, Any] = next((rule.spec["trafficPolicy"] for rule in rules if rule.spec.get("trafficPolicy")), {})
    subsets: dict[str, Block] = {}
    for rule in rules:
        for subset in rule.spec.get("subsets", ()):
            subsets.setdefault(subset["name"], subset)
    return DestinationRule(policy, tuple(subsets.values()), tuple(rules))
