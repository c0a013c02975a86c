"""
VirtualService `match` -> Envoy's RouteMatch (istio: route.go TranslateRouteMatch).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from envoy.config.route.v3 import route_components_pb2 as route
from envoy.type.matcher.v3 import metadata_pb2, value_pb2

from translator.config.protoconv import boolean, regex, string_match
from translator.config.request_authentication import JWT_FILTER, JWT_PAYLOAD
from translator.model.problems import BlockError
from translator.model.values import Block

CLAIM = re.compile(r"@request\.auth\.claims(?:\.(?P<dotted>.+)|\[(?P<listed>.+)\])", re.IGNORECASE | re.DOTALL)
PSEUDO_HEADERS = {"method": ":method", "authority": ":authority", "scheme": ":scheme"}


def route_match(block: Block | None) -> route.RouteMatch:
    """
    Return the match of a route; an absent block matches everything.
    """
    match = route.RouteMatch(prefix="/")
    if block is None:
        return match
    headers = [
        *_headers(block.get("headers", {}), without=False),
        *_headers(block.get("withoutHeaders", {}), without=True),
    ]
    match.headers.extend(sorted(headers, key=lambda header: str(header.name)))
    match.dynamic_metadata.extend(
        [*_claims(block.get("headers", {}), False), *_claims(block.get("withoutHeaders", {}), True)]
    )
    if block.get("uri"):
        _set_path(match, block["uri"])
    match.case_sensitive.CopyFrom(boolean(not block.get("ignoreUriCase", False)))
    match.headers.extend(header_match(header, block[name]) for name, header in PSEUDO_HEADERS.items() if name in block)
    match.query_parameters.extend(
        _query_parameter(name, value) for name, value in sorted(block.get("queryParams", {}).items())
    )
    return match


def is_catch_all(match: route.RouteMatch) -> bool:
    """
    Return whether every request matches.
    """
    everything = match.prefix == "/" or match.safe_regex.regex == ".*"
    return everything and not (match.headers or match.query_parameters or match.dynamic_metadata)


def header_match(name: str, block: Block) -> route.HeaderMatcher:
    """
    Match a header by value, or by presence.
    """
    if _is_present(block):
        return route.HeaderMatcher(name=name, present_match=True)
    return route.HeaderMatcher(name=name, string_match=string_match(block))


def claim_match(path: list[str], value: Any) -> metadata_pb2.MetadataMatcher:
    """
    Match a claim of the verified token that is, or contains, a string.
    """
    keys = [JWT_PAYLOAD, *path]
    single = value_pb2.ValueMatcher(string_match=value)
    listed = value_pb2.ValueMatcher(list_match=value_pb2.ListMatcher(one_of=single))
    return metadata_pb2.MetadataMatcher(
        filter=JWT_FILTER,
        path=[metadata_pb2.MetadataMatcher.PathSegment(key=key) for key in keys],
        value=value_pb2.ValueMatcher(or_match=value_pb2.OrMatcher(value_matchers=[single, listed])),
    )


def _headers(blocks: Mapping[str, Block], *, without: bool) -> Iterator[route.HeaderMatcher]:
    for name, block in blocks.items():
        if is_claim(name):
            continue
        matcher = header_match(name, block)
        matcher.invert_match = without
        # Envoy rejects it in combination with a presence match.
        matcher.treat_missing_header_as_empty = without and not _is_present(block)
        yield matcher


def is_claim(name: str) -> bool:
    """
    Return whether a header's name stands for a claim of the token.
    """
    return bool(CLAIM.fullmatch(name))


def _claims(blocks: Mapping[str, Block], invert: bool) -> Iterator[metadata_pb2.MetadataMatcher]:
    for name, block in sorted(blocks.items()):
        claim = CLAIM.fullmatch(name)
        if claim:
            if not block:
                raise BlockError(f"headers.{name}", "must say what the claim must be")
            path = claim["dotted"].split(".") if claim["dotted"] else claim["listed"].split("][")
            matcher = claim_match(path, string_match(block))
            matcher.invert = invert
            yield matcher


def _is_present(block: Block) -> bool:
    # Istio takes the (invalid) regular expression `*` as a presence match.
    return not block or block.get("regex") == "*"


def _set_path(match: route.RouteMatch, block: Block) -> None:
    if "exact" in block:
        match.path = block["exact"]
    elif "prefix" in block:
        match.prefix = block["prefix"]
    elif "regex" in block:
        match.safe_regex.CopyFrom(regex(block["regex"]))


def _query_parameter(name: str, block: Block) -> route.QueryParameterMatcher:
    if _is_present(block):
        return route.QueryParameterMatcher(name=name, present_match=True)
    return route.QueryParameterMatcher(name=name, string_match=string_match(block))
