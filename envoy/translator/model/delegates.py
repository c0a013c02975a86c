"""
Routes that a VirtualService leaves to another without hosts, its delegate (istio: model/virtualservice_controller.go).
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from translator.model.hosts import fqdn
from translator.model.resources import Resource
from translator.model.values import Block
from translator.model.virtual_service import full_gateway
from translator.model.visibility import exported

# What a delegate's route has from the root's, unless it says so itself.
INHERITED = (
    "rewrite",
    "directResponse",
    "timeout",
    "retries",
    "fault",
    "mirror",
    "mirrorPercentage",
    "corsPolicy",
    "mirrors",
    "headers",
)
# Two names of one field.
MIRROR_PERCENT = frozenset({"mirrorPercent", "mirror_percent"})
STRINGS = ("uri", "scheme", "method", "authority")
BY_NAME = ("headers", "withoutHeaders", "queryParams")


@dataclass(frozen=True)
class Merged(Resource):
    """
    A VirtualService with its delegates' routes in place of the references to them, and where each route is written.
    """

    origins: tuple[tuple[Resource, int], ...] = ()


@dataclass(frozen=True)
class Ignored:
    """
    A delegate, or one of its routes, that a root asks for and cannot have.
    """

    delegate: Resource
    root: Resource
    reason: str


def roots(resources: Iterable[Resource], domain: str) -> list[Resource]:
    """
    Return the VirtualServices with hosts, in their order, with the routes of their delegates.

    A delegate that is not there, or is not shown to the root's namespace, leaves out that one entry.
    """
    found = list(resources)
    delegates = _delegates(found)
    return [_merged(each, delegates, domain) if _refers(each) else each for each in found if each.spec.get("hosts")]


def ignored(resources: Iterable[Resource], domain: str) -> Iterator[Ignored]:
    """
    Yield the delegates that are there and that a root cannot have, wholly or in part; istiod only logs it.
    """
    found = list(resources)
    delegates = _delegates(found)
    for root in found:
        for number, block in enumerate(_http(root)) if root.spec.get("hosts") else ():
            delegate = delegates.get(_key(root, block)) if "delegate" in block else None
            if delegate is None:
                continue
            if not _shown(delegate, root):
                yield Ignored(delegate, root, f"it is not exported to namespace {root.namespace}")
                continue
            outer = _resolved(block, root, domain)
            for place, inner in enumerate(_http(delegate)):
                if _route(outer, _resolved(inner, delegate, domain)) is None:
                    yield Ignored(
                        delegate,
                        root,
                        f"spec.http[{place}].match asks for calls beyond spec.http[{number}].match of the root",
                    )


def origin(resource: Resource, number: int) -> tuple[Resource, int]:
    """
    Return the VirtualService in which a route is written, and the route's number there.
    """
    return resource.origins[number] if isinstance(resource, Merged) else (resource, number)


def referred(resources: Iterable[Resource]) -> set[tuple[str, str]]:
    """
    Return the namespaces and names that roots refer to.
    """
    return {
        _key(each, block)
        for each in resources
        for block in (_http(each) if each.spec.get("hosts") else ())
        if "delegate" in block
    }


def _delegates(resources: Iterable[Resource]) -> Mapping[tuple[str, str], Resource]:
    return {(each.namespace, each.name): each for each in resources if not each.spec.get("hosts")}


def _http(resource: Resource) -> list[Block]:
    return list(resource.spec.get("http", ()))


def _refers(resource: Resource) -> bool:
    return any("delegate" in block for block in _http(resource))


def _key(root: Resource, block: Block) -> tuple[str, str]:
    delegate = block["delegate"]
    return delegate.get("namespace") or root.namespace, delegate.get("name", "")


def _shown(delegate: Resource, root: Resource) -> bool:
    return exported(delegate.spec.get("exportTo", ()), delegate.namespace, root.namespace)


def _merged(root: Resource, delegates: Mapping[tuple[str, str], Resource], domain: str) -> Resource:
    http: list[Block] = []
    origins: list[tuple[Resource, int]] = []
    for number, block in enumerate(_http(root)):
        outer = _resolved(block, root, domain)
        if "delegate" not in block:
            http.append(outer)
            origins.append((root, number))
            continue
        delegate = delegates.get(_key(root, block))
        if delegate is None or not _shown(delegate, root):
            continue
        for place, inner in enumerate(_http(delegate)):
            route = _route(outer, _resolved(inner, delegate, domain))
            if route is not None:
                http.append(route)
                origins.append((delegate, place))
    fields = {each.name: getattr(root, each.name) for each in dataclasses.fields(Resource)}
    return Merged(**{**fields, "spec": {**root.spec, "http": http}}, origins=tuple(origins))


def _resolved(block: Block, owner: Resource, domain: str) -> dict[str, Any]:
    """
    Return a route with full names of hosts and gateways, which mean the same in every namespace.
    """
    result = dict(block)
    if "route" in block:
        result["route"] = [_to_full_host(each, owner, domain) for each in block["route"]]
    if "mirrors" in block:
        result["mirrors"] = [_to_full_host(each, owner, domain) for each in block["mirrors"]]
    if "mirror" in block:
        result["mirror"] = _to_full_host({"destination": block["mirror"]}, owner, domain)["destination"]
    if "match" in block:
        result["match"] = [_to_full_gateways(each, owner) for each in block["match"]]
    return result


def _to_full_host(route: Block, owner: Resource, domain: str) -> dict[str, Any]:
    destination = route["destination"]
    return {**route, "destination": {**destination, "host": fqdn(destination["host"], owner.namespace, domain)}}


def _to_full_gateways(match: Block, owner: Resource) -> Block:
    if "gateways" not in match:
        return match
    return {**match, "gateways": [full_gateway(name, owner.namespace) for name in match["gateways"]]}


def _route(outer: Block, inner: Block) -> Block | None:
    """
    Return a delegate's route merged with the root's; None if it matches no call that the root's does.
    """
    matches = _matches(outer.get("match") or [], inner.get("match") or [])
    if matches is None:
        return None
    result = {**inner, "match": matches, "name": _joined(outer, inner)}
    for name in INHERITED:
        if name in outer and not (inner.get(name) if name == "mirrors" else name in inner):
            result[name] = outer[name]
    if not MIRROR_PERCENT & set(inner):
        result |= {name: outer[name] for name in MIRROR_PERCENT & set(outer)}
    return result


def _joined(outer: Block, inner: Block) -> str:
    return "-".join(filter(None, [outer.get("name", ""), inner.get("name", "")]))


def _matches(outer: list[Block], inner: list[Block]) -> list[Block] | None:
    """
    Return each of the delegate's matches within each of the root's that allows it; none if one is allowed by no match.
    """
    if not outer or not inner:
        return inner or outer
    if any(all(_conflict(root, leaf) for root in outer) for leaf in inner):
        return None
    return [_match(root, leaf) for leaf, root in product(inner, outer) if not _conflict(root, leaf)]


def _match(root: Block, leaf: Block) -> Block:
    result = {**leaf, "name": _joined(root, leaf)}
    for name in STRINGS:
        if name in root:
            result.setdefault(name, root[name])
    for name in (*BY_NAME, "sourceLabels"):
        both = {**root.get(name, {}), **leaf.get(name, {})}
        if both:
            result[name] = both
    for name in ("port", "sourceNamespace", "gateways", "statPrefix"):
        if root.get(name) and not leaf.get(name):
            result[name] = root[name]
    return result


def _conflict(root: Block, leaf: Block) -> bool:
    """
    Return whether a delegate's match is not within one of the root's.
    """
    pairs = [(root.get(name), leaf.get(name)) for name in STRINGS]
    for group in BY_NAME:
        pairs += [(root.get(group, {}).get(name), value) for name, value in leaf.get(group, {}).items()]
    labels, namespace = root.get("sourceLabels", {}), root.get("sourceNamespace", "")
    return (
        any(_beyond(one, other) for one, other in pairs)
        or bool(root.get("ignoreUriCase")) != bool(leaf.get("ignoreUriCase"))
        or _differ(root.get("port", 0), leaf.get("port", 0))
        # As in Istio, a delegate has to repeat the root's namespace.
        or (bool(namespace) and leaf.get("sourceNamespace", "") != namespace)
        or any(labels.get(name, value) != value for name, value in leaf.get("sourceLabels", {}).items())
        or _other_gateways(root.get("gateways", []), leaf.get("gateways", []))
    )


def _differ(one: int, other: int) -> bool:
    return bool(one and other) and one != other


def _other_gateways(root: list[str], leaf: list[str]) -> bool:
    return bool(root and leaf) and (len(root) < len(leaf) or not set(leaf) <= set(root))


def _beyond(root: Block | None, leaf: Block | None) -> bool:
    """
    Return whether a text that *leaf* matches may not be one that *root* matches, as far as Istio can tell.
    """
    if root is None or leaf is None:
        return False
    exact, prefix = root.get("exact"), root.get("prefix")
    if root.get("regex") or leaf.get("regex"):
        # Regular expressions are not compared; with nothing on the other side they are no subset, either.
        return True
    if exact:
        return bool(leaf.get("exact") != exact)
    narrower = leaf.get("exact") or leaf.get("prefix")
    return not (prefix and narrower and narrower.startswith(prefix))
