"""
Checks of AuthorizationPolicies.
"""

import re

from translator.checks import values
from translator.checks.values import Mistakes
from translator.config.authz.builder import ACTIONS, policies
from translator.model.resources import Resource
from translator.model.values import Block

ONE, ANY = "{*}", "{**}"
# The characters allowed in a path segment beside `{*}` and `{**}` (istio: pkg/config/security, IsValidLiteral).
LITERAL = re.compile(r"[a-zA-Z0-9\-._~%!$&'()+,;:@=]+")


def check_authorization_policy(resource: Resource) -> Mistakes:
    """
    Yield every error of an AuthorizationPolicy.
    """
    spec = resource.spec
    action = spec.get("action", "ALLOW")
    if action not in ACTIONS:
        yield "spec.action", f"{action} is not supported; supported are {', '.join(ACTIONS)}"
    if action == "DENY" and "rules" not in spec:
        yield "spec.rules", "DENY without rules denies nothing; a rule {} denies everything"
    found = [mistake for n, rule in enumerate(spec.get("rules", ())) for mistake in _rule(rule, f"spec.rules[{n}]")]
    yield from found
    if not found:
        yield from values.translated(lambda: [policy for _, policy in policies(resource)], "")


def _rule(rule: Block, path: str) -> Mistakes:
    for group, inner in (("from", "source"), ("to", "operation")):
        if group in rule and not rule[group]:
            yield f"{path}.{group}", "must not be empty"
        for number, item in enumerate(rule.get(group, ())):
            here = f"{path}.{group}[{number}].{inner}"
            if not any(item.get(inner, {}).values()):
                yield here, "must not be empty"
            for name, texts in item.get(inner, {}).items():
                if "" in texts:
                    yield f"{here}.{name}", "must not have an empty value"
                if name in ("paths", "notPaths"):
                    for place, text in enumerate(texts):
                        yield from _path_template(text, f"{here}.{name}[{place}]")


def _path_template(text: str, path: str) -> Mistakes:
    """
    Check a path with `{*}` for one segment and `{**}` for the rest, in the form that Envoy accepts.
    """
    parts = text.strip("/").split("/")
    is_template = ONE in text or ANY in text
    for number, part in enumerate(parts):
        if part in (ONE, ANY):
            if ANY in parts[:number]:
                yield path, f"{text!r}: {ANY} must be the last of the wildcards"
                return
        elif "{" in part or "}" in part:
            yield path, f"{text!r}: braces are for {ONE} and {ANY} between slashes only"
            return
        elif is_template and not LITERAL.fullmatch(part):
            yield path, f"{text!r}: {part!r} may not stand beside {ONE} or {ANY}"
            return
