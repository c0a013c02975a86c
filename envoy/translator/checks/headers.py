"""
Checks of `headers` blocks: which headers may be changed, and to what.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from translator.checks.values import Mistakes
from translator.model.values import Block

VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
AUTHORITY = frozenset({":authority", "host"})
OTHER = ""
# How Envoy reads a value, a letter at a time: text, `%%`, `%NAME%`, `%NAME(text)%` and `%NAME(["a", "b"])%`. What a
# state has no way on from is a mistake, and so is an end elsewhere than in text.
STATES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "text": {"%": "percent", OTHER: "text"},
        "percent": {"%": "text", "(": "arguments", OTHER: "name"},
        "name": {"%": "text", "(": "arguments", OTHER: "name"},
        "arguments": {" ": "arguments", "[": "item", OTHER: "argument"},
        "item": {" ": "item", '"': "argument"},
        "argument": {"\\": "escaped", ")": "closed", '"': "after item", OTHER: "argument"},
        "escaped": {OTHER: "argument"},
        "after item": {" ": "after item", ",": "item", "]": "after list"},
        "after list": {" ": "after list", ")": "closed"},
        "closed": {" ": "closed", "%": "text"},
    }
)


def check_headers(block: Block, path: str) -> Mistakes:
    """
    Check the `headers` of a route or of a destination.
    """
    headers: Mapping[str, Block] = block.get("headers", {})
    for direction, operations in headers.items():
        for group in ("set", "add"):
            for name, value in operations.get(group, {}).items():
                here = f"{path}.headers.{direction}.{group}.{name}"
                if direction != "request" or name.lower() not in AUTHORITY:
                    yield from _changeable(name, here)
                yield from _value(value, here)
        for number, name in enumerate(operations.get("remove", ())):
            yield from _changeable(name, f"{path}.headers.{direction}.remove[{number}]")


def check_authority(block: Block, path: str) -> Mistakes:
    """
    Check that a route sets the authority of its calls once, by its `rewrite` or its `headers`.
    """
    request = block.get("headers", {}).get("request", {})
    found = [block.get("rewrite", {}).get("authority", "")]
    for group in ("set", "add"):
        found += [value for name, value in request.get(group, {}).items() if name.lower() in AUTHORITY]
    if any(found[:-1]):
        yield f"{path}.headers.request", "the authority may be set only once"


def _changeable(name: str, path: str) -> Mistakes:
    if not name:
        yield path, "must not be empty"
    elif name.startswith(":") or name.lower() in AUTHORITY:
        yield path, f"{name!r} is not a header that can be changed"


def _value(value: str, path: str) -> Mistakes:
    if not VALUE.fullmatch(value):
        yield path, f"{value!r} is no header's value"
    elif not _is_format(value):
        yield path, f"{value!r} has a % that begins no %NAME%; write %% for the sign itself"


def _is_format(value: str) -> bool:
    state = "text"
    for letter in value:
        ways = STATES[state]
        if letter not in ways and OTHER not in ways:
            return False
        state = ways.get(letter) or ways[OTHER]
    return state == "text"
