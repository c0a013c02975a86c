"""
What the DestinationRules of one host come to (istio: model/destination_rule.go).
"""

from dataclasses import dataclass
from typing import Any

from translator.model.resources import Resource
from translator.model.values import Block


@dataclass(frozen=True)
class DestinationRule:
    """
    What several DestinationRules of a host come to: one policy, and every subset.
    """

    policy: Block
    subsets: tuple[Block, ...]
    sources: tuple[Resource, ...] = ()


NO_RULE = DestinationRule({}, ())


def merged(rules: list[Resource]) -> DestinationRule:
    """
    Rules of the same host add their subsets; the oldest policy and the oldest subset of a name count.
    """
    policy: dict[str, Any] = next((rule.spec["trafficPolicy"] for rule in rules if rule.spec.get("trafficPolicy")), {})
    subsets: dict[str, Block] = {}
    for rule in rules:
        for subset in rule.spec.get("subsets", ()):
            subsets.setdefault(subset["name"], subset)
    return DestinationRule(policy, tuple(subsets.values()), tuple(rules))
