"""
The constraints that Envoy states in its own message definitions, checked before Envoy sees the message.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import re2
from google.protobuf.message import Message
from validate import validate_pb2

from translator.config.protoconv import ANY, TYPE_PREFIX, unpacked
from translator.model.problems import join

NANOS = 1_000_000_000
HEADER_NAME = re.compile(r":?[0-9a-zA-Z!#$%&'*+\-.^_|~`]+")
HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
LOOSE = re.compile(r"[^\x00\x0a\x0d]*")
REGEX = "envoy.type.matcher.v3.RegexMatcher"
NO_RULES = validate_pb2.FieldRules()
_options = re2.Options()
_options.log_errors = False
Mistakes = Iterator[tuple[str, str]]
COMPARISONS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "gt": (lambda value, limit: value > limit, "must be greater than"),
    "gte": (lambda value, limit: value >= limit, "must be at least"),
    "lt": (lambda value, limit: value < limit, "must be less than"),
    "lte": (lambda value, limit: value <= limit, "must be at most"),
}


def mistakes(message: Message, path: str = "", *, whole: bool = True) -> Mistakes:
    """
    Return each field of *message*, or of one in it, that Envoy would reject: its path and why.

    What is not *whole* is to be merged into another message, which has what is not set here.
    """
    if message.DESCRIPTOR.full_name == ANY:
        yield from _packed(message, path, whole)
        return
    if message.DESCRIPTOR.full_name == REGEX:
        yield from regex_mistakes(str(getattr(message, "regex", "")), join(path, "regex"))
    groups, ruled = _ruled(message.DESCRIPTOR)
    for group in groups if whole else ():
        if message.WhichOneof(group.name) is None:
            yield join(path, group.name), f"one of {', '.join(field.name for field in group.fields)} must be set"
    for field, rules in ruled.values():
        yield from _field(message, field, rules, path, whole)
    for field, _ in message.ListFields():
        if field.message_type is not None and field.name not in ruled:
            yield from _field(message, field, NO_RULES, path, whole)


@cache
def _ruled(descriptor: Any) -> tuple[tuple[Any, ...], dict[str, tuple[Any, Any]]]:
    """
    Return the required oneofs, and the fields with validation rules and those rules.
    """
    groups = (group for group in descriptor.oneofs if group.GetOptions().Extensions[validate_pb2.required])
    rules = ((field, field.GetOptions().Extensions[validate_pb2.rules]) for field in descriptor.fields)
    return tuple(groups), {field.name: (field, own) for field, own in rules if own.ListFields()}


def regex_mistakes(pattern: str, path: str) -> Mistakes:
    """
    Yield why a regular expression is invalid.
    """
    try:
        re2.compile(pattern, _options)
    except re2.error as error:
        reason = error.args[0]
        yield path, f"{pattern!r}: {reason.decode() if isinstance(reason, bytes) else reason}"


def _packed(message: Any, path: str, whole: bool) -> Mistakes:
    if message.type_url.startswith(TYPE_PREFIX):
        yield from mistakes(unpacked(message), path, whole=whole)


def _field(message: Any, field: Any, rules: Any, path: str, whole: bool) -> Mistakes:
    place = join(path, field.name)
    if field.is_repeated:
        items = getattr(message, field.name)
        if items or whole:
            yield from _repeated(items, field, rules, place)
    elif field.message_type is not None:
        yield from _message(message, field, rules, place, whole)
    elif _is_set(message, field) and (whole or getattr(message, field.name)):
        yield from _scalar(getattr(message, field.name), field, rules, place)


def _is_set(message: Any, field: Any) -> bool:
    """
    Return whether a rule applies: always to a field without presence, and within a oneof only to the field that is
    set.
    """
    return bool(message.HasField(field.name)) if field.has_presence else True


def _repeated(items: Any, field: Any, rules: Any, place: str) -> Mistakes:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        yield from _map(items, rules.map, place)
        return
    if len(items) < rules.repeated.min_items:
        yield place, f"must have at least {rules.repeated.min_items} items"
    if rules.repeated.max_items and len(items) > rules.repeated.max_items:
        yield place, f"must have at most {rules.repeated.max_items} items"
    if rules.repeated.unique and len(set(items)) < len(items):
        yield place, "must not have duplicate items"
    for number, item in enumerate(items):
        here = f"{place}[{number}]"
        yield from (
            mistakes(item, here) if isinstance(item, Message) else _scalar(item, field, rules.repeated.items, here)
        )


def _map(items: Any, rules: Any, place: str) -> Mistakes:
    if len(items) < rules.min_pairs:
        yield place, f"must have at least {rules.min_pairs} entries"
    for key, value in sorted(items.items()):
        if isinstance(key, str) and len(key) < rules.keys.string.min_len:
            yield place, "must not have an empty key"
        if isinstance(value, Message):
            yield from mistakes(value, f"{place}[{key}]")


def _message(message: Any, field: Any, rules: Any, place: str, whole: bool) -> Mistakes:
    if not message.HasField(field.name):
        required = rules.message.required or rules.duration.required or rules.any.required
        if whole and required and field.containing_oneof is None:
            yield place, "must be set"
        return
    value = getattr(message, field.name)
    if field.message_type.full_name == "google.protobuf.Duration":
        yield from _duration(value, rules.duration, place)
    elif field.message_type.full_name.startswith("google.protobuf.") and hasattr(value, "value"):
        yield from _scalar(value.value, value.DESCRIPTOR.fields_by_name["value"], rules, place)
        if field.message_type.full_name == ANY:
            yield from mistakes(value, place, whole=whole)
    else:
        yield from mistakes(value, place, whole=whole)


def _duration(value: Any, rules: Any, place: str) -> Mistakes:
    for name, (holds, words) in COMPARISONS.items():
        limit = getattr(rules, name)
        bound = limit.seconds * NANOS + limit.nanos
        if rules.HasField(name) and not holds(value.seconds * NANOS + value.nanos, bound):
            yield place, f"{words} {bound / NANOS}s"


def _scalar(value: Any, field: Any, rules: Any, place: str) -> Mistakes:
    if isinstance(value, str):
        yield from _text(value, rules.string, place)
    elif field.enum_type is not None:
        if rules.enum.defined_only and value not in field.enum_type.values_by_number:
            yield place, f"{value} is not a value of this enum"
        if value in rules.enum.not_in:
            yield place, f"{field.enum_type.values_by_number[value].name} is not allowed"
    elif isinstance(value, bool):
        if rules.bool.HasField("const") and value != rules.bool.const:
            yield place, f"must be {rules.bool.const}"
    elif isinstance(value, int | float):
        yield from _number(value, rules, place)


def _number(value: float, rules: Any, place: str) -> Mistakes:
    kind = rules.WhichOneof("type")
    if kind not in ("uint32", "uint64", "int32", "int64", "double", "float"):
        return
    own = getattr(rules, kind)
    for name, (holds, words) in COMPARISONS.items():
        if own.HasField(name) and not holds(value, getattr(own, name)):
            yield place, f"{words} {getattr(own, name)}"


def _text(value: str, rules: Any, place: str) -> Mistakes:
    if not value and rules.ignore_empty:
        return
    if len(value) < rules.min_len:
        yield place, "must not be empty"
    if rules.max_bytes and len(value.encode()) > rules.max_bytes:
        yield place, f"must have at most {rules.max_bytes} bytes"
    known = rules.well_known_regex
    if known and not rules.strict and rules.HasField("strict"):
        yield from [] if LOOSE.fullmatch(value) else [(place, "must not contain a line break or a NUL character")]
    elif known == validate_pb2.HTTP_HEADER_NAME and value and not HEADER_NAME.fullmatch(value):
        yield place, f"{value!r} is not a valid header name"
    elif known == validate_pb2.HTTP_HEADER_VALUE and not HEADER_VALUE.fullmatch(value):
        yield place, f"{value!r} is not a valid header value"
    if getattr(rules, "in") and value not in getattr(rules, "in"):
        yield place, f"must be one of {', '.join(getattr(rules, 'in'))}"
    if value and (not value.startswith(rules.prefix) or not value.endswith(rules.suffix)):
        yield place, f"must be {rules.prefix}…{rules.suffix}"
