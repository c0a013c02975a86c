"""
Findings about DestinationRules, Gateways, Sidecars and AuthorizationPolicies (istio: pkg/config/analysis/analyzers).
"""

from collections.abc import Iterator, Mapping

from translator.checks.analysis.finding import Finding, error, not_found, shown, warning
from translator.checks.analysis.virtual_services import service_of
from translator.model.mesh import Mesh
from translator.model.resources import Resource

PLACE = "DestinationRule {name} in namespace {namespace} has TLS mode set to {mode} but no caCertificates are set to"


def destination_rules(mesh: Mesh) -> Iterator[Finding]:
    """
    Yield DestinationRules whose host is no service, whose subsets select no workload, or that verify no certificate.
    """
    labels = [workload.labels for workload in mesh.registry.workloads]
    labels += [entry.spec.get("labels", {}) for entry in mesh.of_kind("WorkloadEntry")]
    for rule in mesh.of_kind("DestinationRule"):
        host, service = rule.spec["host"], service_of(mesh, rule, rule.spec["host"])
        if service is None:
            message = f"The host {host} defined in the DestinationRule does not match any services in the mesh."
            yield warning("IST0174", rule, message)
        known = [*labels, *(endpoint.labels for endpoint in service.endpoints)] if service else []
        for subset in rule.spec.get("subsets", ()) if service else ():
            if not any(subset.get("labels", {}).items() <= each.items() for each in known):
                yield error(
                    "IST0173",
                    rule,
                    f"The Subset {subset['name']} defined in the DestinationRule does not select any pods. Which may "
                    "lead to 503 UH (NoHealthyUpstream).",
                )
        yield from _unchecked(rule)


def _unchecked(rule: Resource) -> Iterator[Finding]:
    policy = rule.spec.get("trafficPolicy", {})
    places = [("IST0128", policy, "")]
    places += [
        ("IST0129", block, f" at port number:{block.get('port', {}).get('number', 0)}")
        for block in policy.get("portLevelSettings", ())
    ]
    for code, block, port in places:
        tls = block.get("tls", {})
        by_secret = tls.get("credentialName") and "workloadSelector" in rule.spec
        if tls.get("mode") in ("SIMPLE", "MUTUAL") and not tls.get("caCertificates") and not by_secret:
            name = f"{rule.namespace}/{rule.name}"
            where = PLACE.format(name=name, namespace=rule.namespace, mode=tls["mode"])
            yield warning(code, rule, f"{where} validate server identity for host: {rule.spec['host']}{port}")


def gateways(mesh: Mesh) -> Iterator[Finding]:
    """
    Yield Gateways that select no workload, or whose credential does not exist.
    """
    credentials = {credential.name for credential in mesh.registry.credentials}
    for gateway in mesh.of_kind("Gateway"):
        selector = gateway.spec.get("selector", {})
        if not _selects_any(mesh, selector, ""):
            yield not_found(gateway, "selector", shown(selector))
            continue
        for server in gateway.spec.get("servers", ()):
            name = server.get("tls", {}).get("credentialName")
            if name and name not in credentials:
                yield not_found(gateway, "credentialName", name)


def sidecars(mesh: Mesh) -> Iterator[Finding]:
    """
    Yield Sidecars that select no workload, and several of one namespace without a selector.
    """
    whole: dict[str, list[Resource]] = {}
    for sidecar in mesh.of_kind("Sidecar"):
        labels = sidecar.spec.get("workloadSelector", {}).get("labels", {})
        if not labels:
            whole.setdefault(sidecar.namespace, []).append(sidecar)
        elif not _selects_any(mesh, labels, sidecar.namespace):
            yield not_found(sidecar, "selector", shown(labels))
    for namespace, resources in whole.items():
        names = " ".join(sorted(sidecar.name for sidecar in resources))
        for sidecar in resources if len(resources) > 1 else ():
            message = f'The Sidecars [{names}] in namespace "{namespace}" have no workload selector, which can lead to'
            yield error("IST0111", sidecar, f"{message} undefined behavior.")


def authorization_policies(mesh: Mesh) -> Iterator[Finding]:
    """
    Yield AuthorizationPolicies that select no workload, or name a namespace that does not exist.
    """
    registry = mesh.registry
    namespaces = {*registry.namespaces, *(w.namespace for w in registry.workloads), registry.root_namespace}
    namespaces |= {service.namespace for service in registry.services}
    for policy in mesh.of_kind("AuthorizationPolicy"):
        labels = policy.spec.get("selector", {}).get("matchLabels", {})
        everywhere = policy.namespace == registry.root_namespace
        if not (everywhere and not labels) and not _selects_any(mesh, labels, "" if everywhere else policy.namespace):
            message = f"No matching workloads for this resource with the following labels: {shown(labels)}"
            yield warning("IST0127", policy, message)
        for rule in policy.spec.get("rules", ()):
            for source in (item.get("source", {}) for item in rule.get("from", ())):
                for pattern in [*source.get("namespaces", ()), *source.get("notNamespaces", ())]:
                    if not any(_matches(pattern, namespace) for namespace in namespaces):
                        yield not_found(policy, "namespace", pattern)


def _selects_any(mesh: Mesh, labels: Mapping[str, str], namespace: str) -> bool:
    return any(
        labels.items() <= workload.labels.items() and namespace in ("", workload.namespace)
        for workload in mesh.registry.workloads
    )


def _matches(pattern: str, namespace: str) -> bool:
    if pattern.startswith("*"):
        return namespace.endswith(pattern[1:])
    return namespace.startswith(pattern[:-1]) if pattern.endswith("*") else namespace.lower() == pattern.lower()
