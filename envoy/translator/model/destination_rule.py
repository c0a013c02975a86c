"""
Merges the DestinationRules of one host (istio: model/destination_rule.go).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from translator.model.hosts import fqdn, most_specific
from translator.model.resources import Resource
from translator.model.values import Block


@dataclass(frozen=True)
class DestinationRule:
    """
    What several DestinationRules of a host come to: one policy, and every subset.

    *selector* has the labels of the only workloads that follow it, None for all; *export_to* is as it was written.
    """

    policy: Block
    subsets: tuple[Block, ...]
    sources: tuple[Resource, ...] = ()
    namespace: str = ""
    selector: Mapping[str, str] | None = None
    export_to: frozenset[str] = frozenset()


NO_RULE = DestinationRule({}, ())
Rules = dict[str, list[DestinationRule]]


class RuleIndex:
    """
    DestinationRules by namespace and host: a namespace's own, those it shows to others, and the root's private ones.
    """

    def __init__(self, resources: Iterable[Resource], domain: str, root: str) -> None:
        self._root = root
        self._own: dict[str, Rules] = {}
        self._exported: dict[str, Rules] = {}
        self._private_of_root: Rules = {}
        # Rules for chosen workloads go first, then the oldest.
        for resource in sorted(resources, key=lambda item: ("workloadSelector" not in item.spec, item.age)):
            self._add(resource, fqdn(resource.spec["host"].lower(), resource.namespace, domain))

    def _add(self, resource: Resource, host: str) -> None:
        chosen = "workloadSelector" in resource.spec
        export_to = frozenset(["."] if chosen else resource.spec.get("exportTo", ()))
        if not export_to or export_to & {"*", ".", resource.namespace}:
            _merge(self._own.setdefault(resource.namespace, {}), host, resource, export_to)
        if export_to not in ({"."}, {resource.namespace}):
            _merge(self._exported.setdefault(resource.namespace, {}), host, resource, export_to)
        elif resource.namespace == self._root:
            _merge(self._private_of_root, host, resource, export_to)

    def candidates(self, host: str, client: str, owner: str) -> list[DestinationRule]:
        """
        Return the rules for a *host* of namespace *owner* that a *client* sees: its own, the owner's, the root's.
        """
        own = self._private_of_root if client == self._root else self._own.get(client, {})
        found = most_specific(host, own)
        if found is not None:
            return found
        for namespace in (owner, self._root):
            shown = most_specific(host, self._exported.get(namespace, {})) or []
            seen = [rule for rule in shown if not rule.export_to or rule.export_to & {"*", client}]
            if seen:
                return seen
        return []


def chosen(candidates: Iterable[DestinationRule], namespace: str, labels: Mapping[str, str] | None) -> DestinationRule:
    """
    Return the rule that a workload follows: the first that selects it, or one for all; without *labels* one for all.
    """
    found = NO_RULE
    for rule in candidates:
        if rule.selector is None:
            found = rule
        elif labels is not None and rule.namespace == namespace and rule.selector.items() <= labels.items():
            return rule
    return found


def _merge(rules: Rules, host: str, resource: Resource, export_to: frozenset[str]) -> None:
    """
    Add a rule to those of its host that are for the same namespaces and workloads, or beside them.
    """
    entries = rules.setdefault(host, [])
    new = _single(resource, export_to)
    apart = True
    for number, entry in enumerate(entries):
        if export_to == entry.export_to:
            apart = False
        elif entry.export_to and export_to >= entry.export_to:
            apart = True
        else:
            apart = True
            continue
        both = entry.selector is not None and new.selector is not None
        if both and entry.selector != new.selector:
            apart = True
            continue
        if both or (entry.selector is None and new.selector is None):
            apart = False
        entries[number] = _joined(entry, new)
    if apart:
        entries.append(new)


def _single(resource: Resource, export_to: frozenset[str]) -> DestinationRule:
    spec = resource.spec
    selector = spec["workloadSelector"].get("matchLabels", {}) if "workloadSelector" in spec else None
    subsets: dict[str, Any] = {}
    for subset in spec.get("subsets", ()):
        subsets.setdefault(subset["name"], subset)
    return DestinationRule(
        policy=spec.get("trafficPolicy", {}),
        subsets=tuple(subsets.values()),
        sources=(resource,),
        namespace=resource.namespace,
        selector=selector,
        export_to=export_to,
    )


def _joined(first: DestinationRule, second: DestinationRule) -> DestinationRule:
    """
    Return *first* with the subsets of *second* whose names it lacks, and its policy if it has none.
    """
    names = {subset["name"] for subset in first.subsets}
    return replace(
        first,
        policy=first.policy or second.policy,
        subsets=(*first.subsets, *(subset for subset in second.subsets if subset["name"] not in names)),
        sources=(*first.sources, *second.sources),
    )
