"""
Checks of a resource's metadata: annotations that mean something to Istio.
"""

from translator.checks.values import Mistakes
from translator.config.authz.builder import DRY_RUN
from translator.model.resources import Resource

BOOLEANS = frozenset({"1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"})
REJECT = "internal.istio.io/webhook-always-reject"
# Istio's own, which nobody else may set.
INTERNAL = ("internal.istio.io/parent-namespace", "internal.istio.io/parents")


def metadata(resource: Resource) -> Mistakes:
    """
    Everything that is wrong with a resource's annotations.
    """
    for name in (REJECT, *INTERNAL):
        if name in resource.annotations:
            yield f"metadata.annotations.{name}", "may not be set"
    value = resource.annotations.get(DRY_RUN)
    path = f"metadata.annotations.{DRY_RUN}"
    if value is None:
        return
    if resource.kind != "AuthorizationPolicy":
        yield path, "is for AuthorizationPolicies"
    elif resource.spec.get("action", "ALLOW") not in ("ALLOW", "DENY"):
        yield path, "is for ALLOW and DENY"
    elif value not in BOOLEANS:
        yield path, f"{value!r} is neither true nor false"
