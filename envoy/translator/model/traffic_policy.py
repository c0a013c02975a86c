"""
The trafficPolicy that applies to a port and a subset (istio: networking/util).
"""

from collections.abc import Iterator

from translator.model.destination_rule import DestinationRule
from translator.model.values import Block

PER_PORT = ("connectionPool", "loadBalancer", "outlierDetection", "tls")


def policy_of(rule: DestinationRule, subset: str, port: int) -> Block:
    """
    Return the policy of a subset's port: the port's own replaces the host's, and the subset's blocks replace both.
    """
    policy, _ = _for_port(rule.policy, port)
    own = (
        next((block.get("trafficPolicy") for block in rule.subsets if block["name"] == subset), None)
        if subset
        else None
    )
    if own is None:
        return policy
    blocks, whole = _for_port(own, port)
    replaced = {name: blocks.get(name) for name in PER_PORT if whole} | dict(blocks)
    return {name: block for name, block in {**policy, **replaced}.items() if block is not None}


def _for_port(policy: Block, port: int) -> tuple[Block, bool]:
    """
    Return the policy of a port; one defined for the port alone inherits nothing.
    """
    for settings in policy.get("portLevelSettings", ()):
        if settings.get("port", {}).get("number") == port:
            return {name: settings[name] for name in PER_PORT if name in settings}, True
    return {name: block for name, block in policy.items() if name != "portLevelSettings"}, False


def consistent_hash_of(rule: DestinationRule, subset: str, port: int) -> Block | None:
    """
    Return the consistent hash of a destination, from the most specific place that has one.
    """
    found = (block.get("trafficPolicy", {}) for block in rule.subsets if subset and block["name"] == subset)
    own: Block = next(found, {})
    for policy in (*_port_settings(own, port), own, *_port_settings(rule.policy, port), rule.policy):
        block: Block | None = policy.get("loadBalancer", {}).get("consistentHash")
        if block is not None:
            return block
    return None


def tls_mode_of(rule: DestinationRule, subset: str, port: int) -> str:
    """
    Return the TLS mode that a rule has anywhere for a destination, from the most specific place; empty without one.

    A policy of a port inherits no TLS from the host's, but which endpoints are called over mutual TLS goes by it
    (istio: xds/endpoints/mtls_checker.go).
    """
    found = (block.get("trafficPolicy", {}) for block in rule.subsets if subset and block["name"] == subset)
    own: Block = next(found, {})
    for policy in (*_port_settings(own, port), own, *_port_settings(rule.policy, port), rule.policy):
        if "tls" in policy:
            return str(policy["tls"].get("mode", "DISABLE"))
    return ""


def _port_settings(policy: Block, port: int) -> Iterator[Block]:
    for settings in policy.get("portLevelSettings", ()):
        if settings.get("port", {}).get("number") == port:
            yield settings
