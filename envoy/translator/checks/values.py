"""
Checks of small values that several kinds of resources have.
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
    A host's name, maybe with a wildcard at its start.
    """
    name = value[2:] if value.startswith("*.") else value
    parts = name.removesuffix(".").split(".")
    good = name == "*" or (len(name) <= MAX_DOMAIN and all(DOMAIN_PART.fullmatch(part) for part in parts))
    if not good and not is_ip(value):
        yield path, f"{value!r} is no host's name"


def label(value: str, path: str) -> Mistakes:
    """
    A name as Kubernetes allows it: small letters, digits and hyphens.
    """
    if not LABEL.fullmatch(value):
        yield path, f"{value!r} must be small letters, digits and hyphens, 63 at most"


def port(value: int, path: str) -> Mistakes:
    """
    A port's number.
    """
    if not 0 < value <= PORT_MAX:
        yield path, f"{value} is no port"


def percent(value: float, path: str) -> Mistakes:
    """
    A percentage.
    """
    if not 0 <= value <= 100:
        yield path, f"must be from 0 to 100, not {value}"


def not_negative(block: Block, names: Iterable[str], path: str) -> Mistakes:
    """
    Numbers that cannot be less than nothing.
    """
    for name in names:
        if block.get(name, 0) < 0:
            yield join(path, name), "must not be negative"


def string_match(block: Block, path: str, *, may_be_empty: bool = False) -> Mistakes:
    """
    A StringMatch: something to match, and an expression that can be read.
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
    To which namespaces something is shown.
    """
    for number, value in enumerate(block.get("exportTo", ())):
        if value not in (".", "*", "~"):
            yield from label(value, f"{path}[{number}]")


def translated(make: Callable[[], Any], path: str) -> Mistakes:
    """
    What goes wrong when a block is translated, and what Envoy would refuse of the result.
    """
    try:
        result = make()
    except BlockError as error:
        yield join(path, error.path), error.message
        return
    for message in result if isinstance(result, list) else [result]:
        for place, reason in mistakes(message):
            yield path, f"Envoy would refuse it: {place}: {reason}"
