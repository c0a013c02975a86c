"""
Checks of what an HTTP route does with a call that it matches.
"""

from translator.checks import values
from translator.checks.headers import check_authority, check_headers
from translator.checks.values import Mistakes
from translator.model.values import Block, nanoseconds

MAX_BODY_BYTES = 1_048_576
LOWEST_STATUS, HIGHEST_STATUS = 200, 600
LOWEST_REDIRECT, HIGHEST_REDIRECT = 300, 399
LEAST_PERCENT = 0.0001
SECOND_NS = 1_000_000_000
CORS_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"})


def details(block: Block, path: str) -> Mistakes:
    """
    Everything that is wrong with a route, but for what it matches.
    """
    yield from values.duration(block, "timeout", path)
    yield from check_headers(block, path)
    yield from check_authority(block, path)
    yield from _retries(block.get("retries", {}), f"{path}.retries")
    yield from _destinations(block, path)
    yield from _mirrors(block, path)
    yield from _rewrite(block.get("rewrite"), f"{path}.rewrite")
    yield from _redirect(block, f"{path}.redirect")
    yield from _cors(block.get("corsPolicy", {}), f"{path}.corsPolicy")
    yield from _fault(block.get("fault", {}), f"{path}.fault")
    yield from _direct_response(block.get("directResponse"), f"{path}.directResponse")


def _fault(block: Block, path: str) -> Mistakes:
    for name in ("abort", "delay"):
        share = block.get(name, {}).get("percentage", {}).get("value", 0)
        yield from values.percent(share, f"{path}.{name}.percentage.value")
        if 0 < share < LEAST_PERCENT:
            yield f"{path}.{name}.percentage.value", f"must be at least {LEAST_PERCENT}"
    yield from values.duration(block.get("delay", {}), "fixedDelay", f"{path}.delay")


def _direct_response(block: Block | None, path: str) -> Mistakes:
    if block is None:
        return
    if not LOWEST_STATUS <= block.get("status", 0) <= HIGHEST_STATUS:
        yield f"{path}.status", f"must be from {LOWEST_STATUS} to {HIGHEST_STATUS}"
    if len(str(block.get("body", {}))) > MAX_BODY_BYTES:
        yield f"{path}.body", "must be less than a megabyte"


def _retries(block: Block, path: str) -> Mistakes:
    yield from values.not_negative(block, ["attempts"], path)
    if not block.get("attempts"):
        for name in sorted({"perTryTimeout", "retryOn", "retryRemoteLocalities"} & set(block)):
            if block[name] != "":
                yield f"{path}.{name}", "has no meaning without attempts"
    for name in ("perTryTimeout", "backoff"):
        yield from values.duration(block, name, path)


def _destinations(block: Block, path: str) -> Mistakes:
    routes = block.get("route", ())
    for number, route in enumerate(routes):
        here = f"{path}.route[{number}]"
        yield from _destination(route["destination"], f"{here}.destination")
        yield from values.not_negative(route, ["weight"], here)
        yield from check_headers(route, here)
    if len(routes) > 1 and not sum(route.get("weight", 0) for route in routes):
        yield f"{path}.route", "no destination has a weight"


def _mirrors(block: Block, path: str) -> Mistakes:
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
    yield from values.wildcard_domain(block["host"], f"{path}.host")
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
    else:
        yield from values.regex(pattern["match"], f"{path}.uriRegexRewrite.match")


def _redirect(block: Block, path: str) -> Mistakes:
    redirect = block.get("redirect")
    if redirect is None:
        return
    if redirect.get("uri") and redirect.get("prefixRewrite"):
        yield path, "only one of uri, prefixRewrite may be set"
    texts = any(redirect.get(name) for name in ("uri", "prefixRewrite", "authority", "scheme"))
    if not texts and not {"port", "derivePort"} & set(redirect):
        yield path, "must say what changes: uri, authority, scheme or port"
    if not LOWEST_REDIRECT <= (redirect.get("redirectCode") or LOWEST_REDIRECT) <= HIGHEST_REDIRECT:
        yield f"{path}.redirectCode", f"must be from {LOWEST_REDIRECT} to {HIGHEST_REDIRECT}"
    if redirect.get("scheme") not in (None, "", "http", "https"):
        yield f"{path}.scheme", "must be http or https"
    if redirect.get("port"):
        yield from values.port(redirect["port"], f"{path}.port")
    if redirect.get("prefixRewrite") and not all(
        "prefix" in match.get("uri", {"prefix": 1}) for match in block.get("match", ())
    ):
        yield f"{path}.prefixRewrite", "needs matches by prefix"


def _cors(block: Block, path: str) -> Mistakes:
    for number, origin in enumerate(block.get("allowOrigins", ())):
        here = f"{path}.allowOrigins[{number}]"
        if not any(origin.values()):
            yield here, "must say what to match"
        elif "regex" in origin:
            yield from values.regex(origin["regex"], f"{here}.regex")
    for number, method in enumerate(block.get("allowMethods", ())):
        if method not in CORS_METHODS:
            yield f"{path}.allowMethods[{number}]", f"{method!r} is no method of HTTP"
    for group in ("allowHeaders", "exposeHeaders"):
        for number, name in enumerate(block.get(group, ())):
            # They are joined by commas, so one may be several.
            for part in name.split(",") if name != "*" else ():
                yield from values.header_name(part, f"{path}.{group}[{number}]")
    wrong = list(values.duration(block, "maxAge", path))
    yield from wrong
    if not wrong and "maxAge" in block and nanoseconds(block["maxAge"]) % SECOND_NS:
        yield f"{path}.maxAge", "must be whole seconds"
