"""
AuthorizationPolicies -> RBAC filters (istio: security/authz/builder/builder.go).
"""

from collections.abc import Iterator

from envoy.config.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from translator.config.authz.policy import never, policy
from translator.config.protoconv import packed
from translator.model.problems import attributed, within
from translator.model.proxy import Proxy
from translator.model.resources import Resource

FILTER = "envoy.filters.http.rbac"
DRY_RUN = "istio.io/dry-run"
ACTIONS = {"AUDIT": rbac_pb2.RBAC.LOG, "DENY": rbac_pb2.RBAC.DENY, "ALLOW": rbac_pb2.RBAC.ALLOW}
SHADOW_PREFIX = {"ALLOW": "istio_dry_run_allow_", "DENY": "istio_dry_run_deny_", "AUDIT": ""}


def authorization_filters(proxy: Proxy) -> Iterator[hcm.HttpFilter]:
    """
    Return one filter for each action of this workload's policies, in Istio's order.
    """
    selected = proxy.mesh.selected("AuthorizationPolicy", proxy.workload)
    for action in ACTIONS:
        chosen = [resource for resource in selected if resource.spec.get("action", "ALLOW") == action]
        if chosen:
            yield hcm.HttpFilter(name=FILTER, typed_config=packed(_filter(action, chosen)))


def _filter(action: str, resources: list[Resource]) -> http_rbac.RBAC:
    result = http_rbac.RBAC()
    enforced = [resource for resource in resources if not _is_dry_run(resource)]
    tried = [resource for resource in resources if _is_dry_run(resource)]
    if enforced:
        result.rules.CopyFrom(_rules(action, enforced))
    if tried:
        result.shadow_rules.CopyFrom(_rules(action, tried))
        result.shadow_rules_stat_prefix = SHADOW_PREFIX[action]
    return result


def _is_dry_run(resource: Resource) -> bool:
    return str(resource.annotations.get(DRY_RUN, "")).lower() in ("true", "1", "t")


def _rules(action: str, resources: list[Resource]) -> rbac_pb2.RBAC:
    result = rbac_pb2.RBAC(action=ACTIONS[action])
    for resource in resources:
        with attributed(resource):
            for name, generated in policies(resource):
                result.policies[name].CopyFrom(generated)
    return result


def policies(resource: Resource) -> Iterator[tuple[str, rbac_pb2.Policy]]:
    """
    Return the policies of a resource by the names that Istio gives them; one without rules never matches.
    """
    prefix = f"ns[{resource.namespace}]-policy[{resource.name}]-rule"
    rules = resource.spec.get("rules", ())
    for number, rule in enumerate(rules):
        with within(f"spec.rules[{number}]"):
            yield f"{prefix}[{number}]", policy(rule, resource.namespace)
    if not rules:
        yield f"{prefix}[0]", never()
