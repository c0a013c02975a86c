"""
Every analyzer, and what a change brings.
"""

from collections.abc import Iterable

from translator.checks.analysis import policies, virtual_services
from translator.checks.analysis.finding import Finding
from translator.model.mesh import Mesh

ANALYZERS = (
    virtual_services.destinations,
    virtual_services.gateways,
    virtual_services.conflicts,
    policies.destination_rules,
    policies.gateways,
    policies.sidecars,
    policies.authorization_policies,
)


def analyze(mesh: Mesh) -> tuple[Finding, ...]:
    """
    Everything that `istioctl analyze` would warn of, sorted.
    """
    return tuple(sorted({finding for analyzer in ANALYZERS for finding in analyzer(mesh)}))


def brought(before: Mesh, after: Mesh, titles: Iterable[str]) -> tuple[Finding, ...]:
    """
    Return what is found *after* a change: about the resources that it changed, by title, or not found before it.
    """
    changed, known = set(titles), set(analyze(before))
    return tuple(finding for finding in analyze(after) if finding.resource in changed or finding not in known)
