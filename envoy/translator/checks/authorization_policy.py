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

MAX_ACCOUNTS, MAX_ACCOUNT = 16, 320
ACCOUNT = re.compile(rf"(?=.{{1,{MAX_ACCOUNT}}}$)(?:[^*/]+/)?[^*/]+", re.DOTALL)
# The keys of conditions whose values are as a source's.
TEXTS = {"source.serviceAccount": "serviceAccounts", "source.trustDomain": "trustdomains"}


def check_authorization_policy(resource: Resource) -> Mistakes:
    """
    Yield every error of an AuthorizationPolicy.
    """
    spec = resource.spec
    yield from values.selector(spec.get("selector", {}).get("matchLabels", {}), "spec.selector")
    action = spec.get("action", "ALLOW")
    if action not in ACTIONS:
        yield "spec.action", f"{action} is not supported; supported are {', '.join(ACTIONS)}"
    # As in Istio, a list without a rule is as good as none.
    if action == "DENY" and not spec.get("rules"):
        yield "spec.rules", "DENY without rules denies nothing; a rule {} denies everything"
    found = [mistake for n, rule in enumerate(spec.get("rules", ())) for mistake in _rule(rule, f"spec.rules[{n}]")]
    yield from found
    if not found:
        yield from values.translated(lambda: [policy for _, policy in policies(resource)], "")


def _rule(rule: Block, path: str) -> Mistakes:
    for group, inner in (("from", "source"), ("to", "operation")):
        for number, item in enumerate(rule.get(group, ())):
            here = f"{path}.{group}[{number}].{inner}"
            if not any(item.get(inner, {}).values()):
                yield here, "must not be empty"
            for name, texts in item.get(inner, {}).items():
                yield from _texts(name, texts, f"{here}.{name}")
    for number, when in enumerate(rule.get("when", ())):
        for name in ("values", "notValues"):
            if "" in when.get(name, ()):
                yield f"{path}.when[{number}].{name}", "must not have an empty value"
            if when["key"] in TEXTS:
                yield from _texts(TEXTS[when["key"]], when.get(name, []), f"{path}.when[{number}].{name}")


def _texts(name: str, texts: list[str], path: str) -> Mistakes:
    if "" in texts:
        yield path, "must not have an empty value"
    kind = name.removeprefix("not").lower()
    if kind == "serviceaccounts" and len(texts) > MAX_ACCOUNTS:
        yield path, f"must have at most {MAX_ACCOUNTS} items"
    for place, text in enumerate(texts):
        here = f"{path}[{place}]"
        if kind == "paths":
            yield from _path_template(text, here)
        elif kind == "serviceaccounts" and not ACCOUNT.fullmatch(text[: MAX_ACCOUNT + 1]):
            yield here, f"{text!r} must be account or namespace/account"
        elif kind == "trustdomains" and (text.count("*") > 1 or "*" in text[1:-1]):
            yield here, f"{text!r}: one wildcard, at an end"
        elif name in ("trustDomains", "notTrustDomains") and "/" in text:
            yield here, f"{text!r} must not have a slash"


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
