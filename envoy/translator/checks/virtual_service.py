"""
Checks of VirtualServices: what Istio's webhook rejects, and what Envoy would reject.
"""

from collections.abc import Iterator
from functools import partial

from translator.checks import values
from translator.checks.sample_mesh import ANYBODY, ANYWHERE, NOWHERE
from translator.checks.values import Mistakes
from translator.config.route.context import RouteContext
from translator.config.route.match import CLAIMS
from translator.config.route.route import build_route
from translator.model.hosts import host_matches
from translator.model.mesh import Mesh
from translator.model.proxy import Proxy
from translator.model.resources import Resource
from translator.model.values import Block
from translator.model.virtual_service import MESH, bound_gateways

MAX_BODY_BYTES = 1_048_576
LOWEST_STATUS, HIGHEST_STATUS = 200, 599
CORS_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"})


def check_virtual_service(resource: Resource) -> Mistakes:
    """
    Yield every error of a VirtualService.
    """
    spec = resource.spec
    yield from _hosts(resource)
    yield from values.export_to(spec)
    if not spec.get("http"):
        yield "spec.http", "must have at least one route"
    context = RouteContext(Proxy(Mesh(NOWHERE, ()), ANYBODY), resource, ANYWHERE)
    for number, block in enumerate(spec.get("http", ())):
        path = f"spec.http[{number}]"
        found = [*_conflicts(block, path), *_matches(resource, block, path), *_details(block, path)]
        yield from found
        # Do not report the same error twice.
        if not found:
            for match in block.get("match") or [None]:
                make = partial(build_route, context, block, match)
                yield from values.translated(make, path)


def _hosts(resource: Resource) -> Mistakes:
    hosts = resource.spec.get("hosts", ())
    if not hosts:
        yield "spec.hosts", "must have at least one host"
    for number, host in enumerate(hosts):
        path = f"spec.hosts[{number}]"
        yield from values.host(host, path)
        if host == "*" and MESH in bound_gateways(resource):
            yield path, "must not be * for sidecars; name the services, or a gateway"
        if any(host_matches(other, host) or host_matches(host, other) for other in hosts[:number]):
            yield path, f"{host} is already covered by another host"


def _conflicts(block: Block, path: str) -> Mistakes:
    ends = [name for name in ("route", "redirect", "directResponse") if block.get(name)]
    if len(ends) != 1:
        yield path, "must have exactly one of route, redirect and directResponse"
    for name in ("fault", "rewrite"):
        if name in block and ends and ends[0] != "route":
            yield f"{path}.{name}", f"cannot be combined with {ends[0]}"
    if "mirror" in block and block.get("mirrors"):
        yield f"{path}.mirrors", "cannot be combined with mirror"


def _matches(resource: Resource, block: Block, path: str) -> Mistakes:
    for number, match in enumerate(block.get("match", ())):
        here = f"{path}.match[{number}]"
        yield from values.string_match(match.get("uri", {}), f"{here}.uri", may_be_empty=True)
        for name in ("scheme", "method", "authority"):
            yield from values.string_match(match.get(name, {}), f"{here}.{name}")
        for group in ("headers", "withoutHeaders", "queryParams"):
            for name, value in match.get(group, {}).items():
                yield from values.string_match(value, f"{here}.{group}.{name}")
                if name.startswith(CLAIMS) and group != "queryParams" and MESH in bound_gateways(resource):
                    yield f"{here}.{group}.{name}", "claims can be matched at gateways only"
        if match.get("port"):
            yield from values.port(match["port"], f"{here}.port")


def _details(block: Block, path: str) -> Mistakes:
    yield from _retries(block.get("retries", {}), f"{path}.retries")
    yield from _destinations(block, path)
    yield from _rewrite(block.get("rewrite"), f"{path}.rewrite")
    yield from _redirect(block, f"{path}.redirect")
    yield from _cors(block.get("corsPolicy", {}), f"{path}.corsPolicy")
    for name in ("abort", "delay"):
        value = block.get("fault", {}).get(name, {}).get("percentage", {}).get("value", 0)
        yield from values.percent(value, f"{path}.fault.{name}.percentage.value")
    response = block.get("directResponse")
    if response and not LOWEST_STATUS <= response["status"] <= HIGHEST_STATUS:
        yield f"{path}.directResponse.status", f"must be from {LOWEST_STATUS} to {HIGHEST_STATUS}"
    if response and len(str(response.get("body", {}))) > MAX_BODY_BYTES:
        yield f"{path}.directResponse.body", "must be less than a megabyte"


def _retries(block: Block, path: str) -> Mistakes:
    yield from values.not_negative(block, ["attempts"], path)
    if not block.get("attempts"):
        for name in sorted({"perTryTimeout", "retryOn", "retryRemoteLocalities"} & set(block)):
            yield f"{path}.{name}", "has no effect without attempts"


def _destinations(block: Block, path: str) -> Mistakes:
    routes = block.get("route", ())
    targets = [(f"{path}.route[{number}]", route) for number, route in enumerate(routes)]
    for here, route in targets:
        yield from _destination(route["destination"], f"{here}.destination")
        yield from values.not_negative(route, ["weight"], here)
    if len(routes) > 1 and not sum(route.get("weight", 0) for route in routes):
        yield f"{path}.route", "no destination has a weight"
    if "mirror" in block:
        yield from _destination(block["mirror"], f"{path}.mirror")
    for name in ("mirrorPercent", "mirror_percent"):
        yield from values.percent(block.get(name, 0), f"{path}.{name}")
    yield from values.percent(block.get("mirrorPercentage", {}).get("value", 0), f"{path}.mirrorPercentage.value")
    for number, mirror in enumerate(block.get("mirrors", ())):
        here = f"{path}.mirrors[{number}]"
        yield from _destination(mirror["destination"], f"{here}.destination")
        yield from values.percent(mirror.get("percentage", {}).get("value", 0), f"{here}.percentage.value")


def _destination(block: Block, path: str) -> Mistakes:
    if block["host"] == "*":
        yield f"{path}.host", "must be one host"
    yield from values.host(block["host"], f"{path}.host")
    if block.get("subset"):
        yield from values.label(block["subset"], f"{path}.subset")
    if "port" in block:
        yield from values.port(block["port"].get("number", 0), f"{path}.port.number")


def _rewrite(block: Block | None, path: str) -> Mistakes:
    if block is None:
        return
    if block.get("uri") and "uriRegexRewrite" in block:
        yield path, "only one of uri, uriRegexRewrite may be set"
    if not (block.get("uri") or "uriRegexRewrite" in block or block.get("authority")):
        yield path, "one of uri, uriRegexRewrite, authority must be set"
    pattern = block.get("uriRegexRewrite", {"match": ".", "rewrite": "."})
    if not pattern.get("match") or not pattern.get("rewrite"):
        yield f"{path}.uriRegexRewrite", "must have match and rewrite"


def _redirect(block: Block, path: str) -> Mistakes:
    redirect = block.get("redirect")
    if not redirect:
        return
    if redirect.get("uri") and redirect.get("prefixRewrite"):
        yield path, "only one of uri, prefixRewrite may be set"
    if not {"uri", "prefixRewrite", "authority", "port", "derivePort", "scheme"} & set(redirect):
        yield path, "must set at least one of uri, authority, scheme and port"
    if redirect.get("scheme") not in (None, "", "http", "https"):
        yield f"{path}.scheme", "must be http or https"
    if redirect.get("port"):
        yield from values.port(redirect["port"], f"{path}.port")
    if redirect.get("prefixRewrite") and not all(
        "prefix" in match.get("uri", {"prefix": 1}) for match in block.get("match", ())
    ):
        yield f"{path}.prefixRewrite", "requires prefix matches"


def _cors(block: Block, path: str) -> Iterator[tuple[str, str]]:
    for number, origin in enumerate(block.get("allowOrigins", ())):
        if not origin:
            yield f"{path}.allowOrigins[{number}]", "must have a matcher"
        yield from values.string_match(origin, f"{path}.allowOrigins[{number}]")
    for number, method in enumerate(block.get("allowMethods", ())):
        if method not in CORS_METHODS:
            yield f"{path}.allowMethods[{number}]", f"{method!r} is not an HTTP method"
