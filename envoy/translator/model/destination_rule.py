"""
Merges the DestinationRules of one host (istio: model/destination_rule.go).
"""

from dataclasses import dataclass
from typing import Any

from translator.model.resources import Resource
from translator.model.values import Block


@dataclass(frozen=True)
class DestinationRule:
    """
    The merge of a host's DestinationRules: one policy, and every subset.
    """

    policy: Block
    subsets: tuple[Block, ...]
    sources: tuple[Resource, ...] = ()


NO_RULE = DestinationRule({}, ())


def merged(rules: list[Resource]) -> DestinationRule:
    """
    Merge rules of the same host: subsets are added; the oldest policy, and the oldest subset of a name, wins.
    """
    policy: dict[str, Any] = next((rule.spec["trafficPolicy"] for rule in rules if rule.spec.get("trafficPolicy")), {})
    subsets: dict[str, Block] = {}
    for rule in rules:
        for subset in rule.spec.get("subsets", ()):
            subsets.setdefault(subset["name"], subset)
    return DestinationRule(policy, tuple(subsets.values()), tuple(rules))
