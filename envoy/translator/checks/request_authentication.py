"""
Checks of RequestAuthentications.
"""

import json

from translator.checks import values
from translator.checks.values import Mistakes
from translator.config.request_authentication import provider
from translator.model.resources import Resource


def check_request_authentication(resource: Resource) -> Mistakes:
    """
    Yield every error of a RequestAuthentication.
    """
    for number, rule in enumerate(resource.spec.get("jwtRules", ())):
        path = f"spec.jwtRules[{number}]"
        if not any(rule.get(name) for name in ("jwks", "jwksUri", "jwks_uri")):
            yield path, "must have jwks or jwksUri; OpenID discovery of keys is not supported"
        yield from _keys(rule.get("jwks", ""), f"{path}.jwks")
        yield from values.translated(lambda item=rule: provider(item, clear_route_cache=False), path)  # type: ignore[misc]


def _keys(text: str, path: str) -> Mistakes:
    if not text:
        return
    try:
        keys = json.loads(text)
    except ValueError as error:
        yield path, f"is not valid JSON: {error}"
        return
    if (
        not isinstance(keys, dict)
        or not isinstance(keys.get("keys"), list)
        or not all(isinstance(k, dict) for k in keys["keys"])
    ):
        yield path, 'must be a JWK set: {"keys": [...]}'
