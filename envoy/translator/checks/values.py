"""
Checks of small values that occur in several kinds of resources.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from translator.checks.constraints import mistakes, regex_mistakes
from translator.model.problems import BlockError, join
from translator.model.registry import is_ip
from translator.model.values import Block

Mistakes = Iterator[tuple[str, str]]
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
DOMAIN_PART = re.compile(r"[a-zA-Z0-9_]([-a-zA-Z0-9_]{0,61}[a-zA-Z0-9_])?")
MAX_DOMAIN = 255
PORT_MAX = 65535


def host(value: str, path: str) -> Mistakes:
    """
    Check a host name, which may begin with a wildcard.
    """
    name = value[2:] if value.startswith("*.") else value
    parts = name.removesuffix(".").split(".")
    good = name == "*" or (len(name) <= MAX_DOMAIN and all(DOMAIN_PART.fullmatch(part) for part in parts))
    if not good and not is_ip(value):
        yield path, f"{value!r} is not a valid host name"


def label(value: str, path: str) -> Mistakes:
    """
    Check a Kubernetes label name: lower-case letters, digits and hyphens.
    """
    if not LABEL.fullmatch(value):
        yield path, f"{value!r} must be lower-case letters, digits and hyphens, at most 63"


def port(value: int, path: str) -> Mistakes:
    """
    Check a port number.
    """
    if not 0 < value <= PORT_MAX:
        yield path, f"{value} is not a valid port"


def percent(value: float, path: str) -> Mistakes:
    """
    Check a percentage.
    """
    if not 0 <= value <= 100:
        yield path, f"must be from 0 to 100, not {value}"


def not_negative(block: Block, names: Iterable[str], path: str) -> Mistakes:
    """
    Check that numbers are not negative.
    """
    for name in names:
        if block.get(name, 0) < 0:
            yield join(path, name), "must not be negative"


def string_match(block: Block, path: str, *, may_be_empty: bool = False) -> Mistakes:
    """
    Check a StringMatch: a value, and a valid regular expression.
    """
    if not block:
        return
    [(how, value)] = block.items()
    if not value and not (may_be_empty and how == "prefix"):
        yield join(path, how), "must not be empty"
    if how == "regex" and value != "*":
        yield from regex_mistakes(value, join(path, how))


def export_to(block: Block, path: str = "spec.exportTo") -> Mistakes:
    """
    Check the namespaces to which something is exported.
    """
    for number, value in enumerate(block.get("exportTo", ())):
        if value not in (".", "*", "~"):
            yield from label(value, f"{path}[{number}]")


def translated(make: Callable[[], Any], path: str) -> Mistakes:
    """
    Yield errors in the translation of a block, and what Envoy would reject of the result.
    """
    try:
        result = make()
    except BlockError as error:
        yield join(path, error.path), error.message
        return
    for message in result if isinstance(result, list) else [result]:
        for place, reason in mistakes(message):
            yield path, f"Envoy would reject it: {place}: {reason}"
