"""
Checks of VirtualServices: what Istio's webhook rejects, and what Envoy would reject.
"""

from collections.abc import Iterator
from functools import partial

from translator.checks import values
from translator.checks.http_route import details
from translator.checks.sample_mesh import ANYBODY, ANYWHERE, NOWHERE
from translator.checks.values import Mistakes
from translator.config.route.context import RouteContext
from translator.config.route.match import is_claim
from translator.config.route.route import build_route
from translator.model.hosts import host_matches
from translator.model.mesh import Mesh
from translator.model.proxy import Proxy
from translator.model.registry import is_ip
from translator.model.resources import Resource
from translator.model.values import Block
from translator.model.virtual_service import MESH, bound_gateways

PSEUDO_HEADERS = frozenset({":method", ":scheme", ":authority", ":path", ":status"})


def check_virtual_service(resource: Resource) -> Mistakes:
    """
    Yield every error of a VirtualService.
    """
    spec = resource.spec
    yield from _hosts(resource)
    yield from _gateways(spec.get("gateways", ()), "spec.gateways")
    yield from values.export_to(resource)
    if not spec.get("http"):
        yield "spec.http", "must have at least one route"
    context = RouteContext(Proxy(Mesh(NOWHERE, ()), ANYBODY), resource, ANYWHERE)
    for number, block in enumerate(spec.get("http", ())):
        path = f"spec.http[{number}]"
        found = [*_conflicts(resource, block, path), *_matches(resource, block, path), *details(block, path)]
        yield from found
        # Do not report the same error twice.
        if not found:
            for match in block.get("match") or [None]:
                make = partial(build_route, context, _with_end(block), match)
                yield from values.translated(make, path)


def _hosts(resource: Resource) -> Mistakes:
    hosts = resource.spec.get("hosts", ())
    # Without hosts it is there for others to delegate to.
    if not hosts and resource.spec.get("gateways"):
        yield "spec.gateways", "must not be given without hosts"
    for number, host in enumerate(hosts):
        path = f"spec.hosts[{number}]"
        if not is_ip(host):
            yield from values.wildcard_domain(host, path)
        if host == "*" and MESH in bound_gateways(resource):
            yield path, "must not be * for sidecars; name the services, or a gateway"
        if any(host_matches(other, host) or host_matches(host, other) for other in hosts[:number]):
            yield path, f"{host} is already covered by another host"


def _gateways(names: list[str], path: str) -> Mistakes:
    """
    Gateways as `namespace/name`, or by their name alone.
    """
    for number, name in enumerate(names):
        here = f"{path}[{number}]"
        namespace, slash, gateway = name.partition("/")
        if not slash:
            yield from values.domain(name, here)
            # As in Istio, what follows a name alone is not looked at.
            return
        yield from values.label(namespace, here)
        yield from values.label(gateway, here)


def _with_end(block: Block) -> Block:
    """
    Return the route in a form that can be built: one that is left to a delegate has no destination of its own.
    """
    ended = block.get("route") or {"redirect", "directResponse"} & set(block)
    return block if ended else {**block, "route": [{"destination": {"host": "delegate"}}]}


def _conflicts(resource: Resource, block: Block, path: str) -> Mistakes:
    if "delegate" in block and resource.spec.get("hosts"):
        for name in ("route", "redirect"):
            if name in block and block[name] != []:
                yield f"{path}.{name}", "cannot be beside delegate"
        return
    if "delegate" in block:
        yield f"{path}.delegate", "cannot be in a VirtualService without hosts, which is a delegate itself"
    ends = [name for name in ("route", "redirect", "directResponse") if name in block]
    if len([name for name in ends if name != "route" or block["route"]]) != 1:
        yield path, "must have exactly one of route, redirect and directResponse"
    for name in ("fault", "rewrite"):
        if name in block and ends and ends[-1] != "route":
            yield f"{path}.{name}", f"cannot be beside {ends[-1]}"
    if "mirror" in block and block.get("mirrors"):
        yield f"{path}.mirrors", "cannot be combined with mirror"


def _matches(resource: Resource, block: Block, path: str) -> Mistakes:
    for number, match in enumerate(block.get("match", ())):
        here = f"{path}.match[{number}]"
        yield from values.string_match(match.get("uri", {}), f"{here}.uri", may_be_empty=True)
        for name in ("scheme", "method", "authority"):
            yield from values.string_match(match.get(name, {}), f"{here}.{name}")
        yield from _headers(resource, match, here)
        for name, value in match.get("queryParams", {}).items():
            yield from values.string_match(value, f"{here}.queryParams.{name}")
        if match.get("port"):
            yield from values.port(match["port"], f"{here}.port")
        yield from values.labels(match.get("sourceLabels", {}), f"{here}.sourceLabels")
        yield from _gateways(match.get("gateways", []), f"{here}.gateways")
        if match.get("sourceNamespace"):
            yield from values.label(match["sourceNamespace"], f"{here}.sourceNamespace")


def _headers(resource: Resource, match: Block, path: str) -> Iterator[tuple[str, str]]:
    for group in ("headers", "withoutHeaders"):
        for name, value in match.get(group, {}).items():
            here = f"{path}.{group}.{name}"
            if is_claim(name):
                if MESH in bound_gateways(resource):
                    yield here, "claims can be matched at gateways only"
            elif name not in PSEUDO_HEADERS:
                yield from values.header_name(name, here)
            # Istio takes the regular expression `*`, which is none, to mean: is there.
            if group == "headers" or value.get("regex") != "*":
                yield from values.string_match(value, here)
