"""
Checks of RequestAuthentications.
"""

import json
import re
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import jwt

from translator.checks import values
from translator.checks.values import Mistakes
from translator.config.request_authentication import provider
from translator.model.resources import Resource
from translator.model.values import Block

HEADER_NAME = re.compile(r"[-_A-Za-z0-9]+")


def check_request_authentication(resource: Resource) -> Mistakes:
    """
    Yield every error of a RequestAuthentication.
    """
    yield from values.selector(resource.spec.get("selector", {}).get("matchLabels", {}), "spec.selector")
    for number, rule in enumerate(resource.spec.get("jwtRules", ())):
        path = f"spec.jwtRules[{number}]"
        found = [*_rule(rule, path), *_places(rule, path)]
        yield from found
        if not found:
            yield from values.translated(partial(provider, rule, clear_route_cache=False), path)


def _rule(rule: Block, path: str) -> Mistakes:
    uris = [(name, rule[name]) for name in ("jwksUri", "jwks_uri") if rule.get(name)]
    if not rule.get("issuer") and not uris:
        yield path, "must have an issuer or a jwksUri"
    elif not rule.get("jwks") and not uris:
        yield path, "is not supported without jwks or jwksUri: keys are not looked up by the issuer here"
    for name, uri in uris:
        if not _is_address(uri):
            yield f"{path}.{name}", f"{uri!r} is no address of HTTP"
    yield from _keys(rule.get("jwks", ""), f"{path}.jwks")
    yield from values.duration(rule, "timeout", path)


def _is_address(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        return parts.scheme in ("http", "https") and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _places(rule: Block, path: str) -> Mistakes:
    """
    Return where a token is looked for, and where its claims go: names, none of them empty.
    """
    for group in ("audiences", "fromParams", "fromCookies"):
        for number, name in enumerate(rule.get(group, ())):
            if not name:
                yield f"{path}.{group}[{number}]", "must not be empty"
    for number, header in enumerate(rule.get("fromHeaders", ())):
        if not header.get("name"):
            yield f"{path}.fromHeaders[{number}].name", "must not be empty"
    for number, claim in enumerate(rule.get("outputClaimToHeaders", ())):
        here = f"{path}.outputClaimToHeaders[{number}]"
        if not claim.get("claim"):
            yield f"{here}.claim", "must not be empty"
        if not HEADER_NAME.fullmatch(claim.get("header", "")):
            yield f"{here}.header", "must be letters, digits, hyphens and underscores"


def _keys(text: str, path: str) -> Mistakes:
    if not text:
        return
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        yield path, f"is no JSON: {error}"
        return
    keys = found.get("keys", [found]) if isinstance(found, dict) else None
    if not isinstance(keys, list):
        yield path, 'must be a set of keys: {"keys": [...]}'
        return
    for number, key in enumerate(keys):
        reason = _why_no_key(key)
        if reason:
            yield path, f"keys[{number}] is no key: {reason}"


def _why_no_key(key: Any) -> str:
    if not isinstance(key, dict):
        return "it is no object"
    try:
        # What it is used for does not matter to what it is.
        jwt.PyJWK({name: value for name, value in key.items() if name != "alg"})
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        return str(error)
    return ""
