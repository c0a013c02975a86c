"""
Checks of small values that occur in several kinds of resources.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from translator.checks.constraints import mistakes, regex_mistakes
from translator.model.problems import BlockError, join
from translator.model.registry import is_ip
from translator.model.resources import Resource
from translator.model.values import Block, nanoseconds

Mistakes = Iterator[tuple[str, str]]
# Names as Istio reads them, in both cases (istio: pkg/config/labels).
_LABEL = r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?"
_KEY_NAME = r"(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
LABEL = re.compile(_LABEL)
WILDCARD = re.compile(rf"\*|(?:\*-?)?{_LABEL}")
LABEL_KEY = re.compile(rf"(?P<prefix>{_LABEL}(?:\.{_LABEL})*/)?(?P<name>{_KEY_NAME})")
LABEL_VALUE = re.compile(rf"(?:{_KEY_NAME})?")
HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~A-Za-z0-9]+")
MAX_LABEL, MAX_PREFIX, MAX_DOMAIN = 63, 253, 255
MAX_REGEX = 1024
MILLISECOND_NS = 1_000_000
PORT_MAX = 65535


def is_label(value: str) -> bool:
    """
    Return whether *value* is a DNS label.
    """
    return len(value) <= MAX_LABEL and bool(LABEL.fullmatch(value))


def wildcard_domain(value: str, path: str) -> Mistakes:
    """
    Check a host's name; its first part may be, or begin with, a wildcard.
    """
    first, dot, rest = value.partition(".")
    good = len(first) <= MAX_LABEL and WILDCARD.fullmatch(first) and (not dot or _are_labels(rest))
    if not good or len(value.encode()) > MAX_DOMAIN:
        yield path, f"{_shown(value)} is no host's name"


def whole_host(value: str, path: str, *, ip: bool = False) -> Mistakes:
    """
    Check a host's full name, or `*`, or `*.` and a name; with *ip* an address too.
    """
    if value != "*" and "." not in value:
        yield path, f"{value!r} must be a full name"
    elif "*" in value[1:] or (value.startswith("*") and value != "*" and value[1] != "."):
        yield path, f"{value!r}: a wildcard stands alone or before a dot"
    elif not (ip and is_ip(value)):
        yield from wildcard_domain(value, path)


def domain(value: str, path: str) -> Mistakes:
    """
    Check a host's name without a wildcard.
    """
    if not value or len(value.encode()) > MAX_DOMAIN or not _are_labels(value):
        yield path, f"{_shown(value)} is no host's name"


def _are_labels(text: str) -> bool:
    parts = text.split(".")
    if parts[-1].isdecimal():
        return False
    return all(is_label(part) for part in (parts if parts[-1] else parts[:-1]))


def _shown(value: str) -> str:
    return repr(value if len(value) <= MAX_DOMAIN else value[:MAX_DOMAIN] + "…")


def label(value: str, path: str) -> Mistakes:
    """
    Check a name of letters, digits and hyphens.
    """
    if not is_label(value):
        yield path, f"{_shown(value)} must be letters, digits and hyphens, {MAX_LABEL} at most"


def labels(block: Mapping[str, str], path: str) -> Mistakes:
    """
    Labels as Kubernetes allows them.
    """
    for key, value in block.items():
        match = LABEL_KEY.fullmatch(key)
        if not match or len(match["prefix"] or "") > MAX_PREFIX + 1 or len(match["name"]) > MAX_LABEL:
            yield path, f"{_shown(key)} is no label's name"
        if not LABEL_VALUE.fullmatch(value):
            yield join(path, key), f"{_shown(value)} is no label's value"


def selector(block: Mapping[str, str], path: str) -> Mistakes:
    """
    Check the labels that a selector asks for.
    """
    for key, value in block.items():
        if not key or "*" in key or "*" in value:
            yield path, f"{key!r}: {value!r} must have a name, and no wildcard"


def header_name(value: str, path: str) -> Mistakes:
    """
    Check a header's name by what HTTP allows.
    """
    # Istio takes a comma too.
    if "," in value and HEADER_NAME.fullmatch(value.replace(",", "-")):
        yield path, f"{value!r} is not supported: no header has a comma in its name"
    elif not HEADER_NAME.fullmatch(value):
        yield path, f"{value!r} is no header's name"


def duration(block: Block, name: str, path: str) -> Mistakes:
    """
    Check a duration of whole milliseconds, one at least, if the block has it.
    """
    if name not in block:
        return
    try:
        length = nanoseconds(block[name])
    except BlockError as error:
        yield join(path, name), error.message
        return
    if length < MILLISECOND_NS:
        yield join(path, name), "must be at least 1ms"
    elif length % MILLISECOND_NS:
        yield join(path, name), f"{block[name]!r} must be whole milliseconds"


def time_span(text: str, path: str) -> Mistakes:
    """
    Check a duration of any length.
    """
    try:
        nanoseconds(text)
    except BlockError as error:
        yield path, error.message


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
    Check a StringMatch: its prefix, which only *may_be_empty* lets be empty, and its expression.
    """
    if block.get("prefix") == "" and not may_be_empty:
        yield join(path, "prefix"), "must not be empty"
    if "regex" in block:
        yield from regex(block["regex"], join(path, "regex"))


def regex(pattern: str, path: str) -> Mistakes:
    """
    Check that Envoy can read a regular expression, and that Istio does not refuse its length.
    """
    if not pattern:
        yield path, "must not be empty"
    elif len(pattern.encode()) > MAX_REGEX:
        yield path, f"must have at most {MAX_REGEX} characters"
    else:
        yield from regex_mistakes(pattern, path)


def export_to(resource: Resource, *, nobody: bool = False, selected: bool = False) -> Mistakes:
    """
    Check an exportTo; *nobody*: `~` may stand alone; *selected*: only the own namespace is allowed.
    """
    path, given = "spec.exportTo", resource.spec.get("exportTo", ())
    own = [resource.namespace if value == "." else value for value in given]
    for number, value in enumerate(own):
        here = f"{path}[{number}]"
        if value in own[:number]:
            yield here, f"{given[number]!r} is there twice"
        elif value == "~" and not nobody:
            yield here, "~ is for ServiceEntries"
        elif value not in ("*", "~"):
            yield from label(value, here)
    if len(own) > 1 and {"*", "~"} & set(own):
        yield path, "* and ~ stand alone"
    if selected and own and set(own) != {resource.namespace}:
        yield path, "a rule for chosen workloads is for its own namespace only"


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
