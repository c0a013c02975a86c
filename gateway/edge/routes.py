"""The table of paths, methods and query parameters against which the Lua filter checks requests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

from gateway.edge.contract import Binding, UnusableContract

# Handled by the edge itself for every method.
EDGE_PARAMETERS = ("fields",)
# How protobuf's JSON encodes a field; all others are numbers.
_KINDS = {
    FieldDescriptor.TYPE_STRING: "text",
    FieldDescriptor.TYPE_BYTES: "text",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_ENUM: "enum",
}
_WRITTEN_AS_TEXT = {f"google.protobuf.{name}" for name in ("Timestamp", "Duration", "FieldMask")}


def table(bindings: Iterable[Binding]) -> list[dict[str, Any]]:
    """
    Return one entry for each path, the most specific first, in the format of the Lua filter.
    """
    by_path: dict[str, list[Binding]] = {}
    for binding in bindings:
        by_path.setdefault(binding.path, []).append(binding)
    return [_route(path, by_path[path]) for path in sorted(by_path, key=_exactness)]


def _exactness(path: str) -> tuple[int, int, str]:
    """
    Return the sort key: custom methods before the resource whose name contains the colon, then by number of wildcards.
    """
    return (0 if ":" in path else 1, path.count("*"), path)


def _route(path: str, bindings: Sequence[Binding]) -> dict[str, Any]:
    verbs = {binding.verb for binding in bindings}
    # An endless response is meaningless without its body.
    heads = any(binding.verb == "GET" and not binding.method.server_streaming for binding in bindings)
    return {
        "pattern": lua_pattern(path),
        "allow": ", ".join(sorted(verbs | {"HEAD"} if heads else verbs)),
        "head": heads,
        "methods": {binding.verb: _method(binding) for binding in bindings},
    }


def _method(binding: Binding) -> dict[str, Any]:
    names = {name: field.name for field in binding.query_fields for name in _names(field)}
    return {
        # The canonical name of a parameter, so that it cannot be given in two spellings; none of the contract's may
        # collide.
        "query": names | {name: name for name in EDGE_PARAMETERS},
        "needs_key": binding.needs_key,
        "takes_etag": "etag" in binding.method.input_type.fields_by_name,
        "takes_key": "request_id" in binding.method.input_type.fields_by_name,
        "input": body_message(binding),
        "prefix": binding.body.removesuffix("*"),
        "output": binding.method.output_type.full_name,
    }


def body_message(binding: Binding) -> str:
    """
    Return the full name of the message that the body fills; empty if no body is allowed.
    """
    whole = binding.method.input_type
    if not binding.body:
        return ""
    part = None if binding.body == "*" else whole.fields_by_name[binding.body].message_type
    return str((part or whole).full_name)


def requests(bindings: Iterable[Binding], pool: DescriptorPool) -> dict[str, dict[str, dict[str, Any]]]:
    """
    Return the fields, by both their names, of every message in a request body.

    Each is a `list` or not, and has either a `message` or a `kind` that says how JSON encodes it.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    waiting = sorted({body_message(binding) for binding in bindings} - {""})
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        fields = pool.FindMessageTypeByName(name).fields
        found[name] = {spelling: _body_field(field) for field in fields for spelling in _names(field)}
        waiting += [field["message"] for field in found[name].values() if field.get("message")]
    return found


def _body_field(field: FieldDescriptor) -> dict[str, Any]:
    inner = field.message_type
    described: dict[str, Any] = {"name": field.name, "list": field.is_repeated}
    if inner is None:
        return described | {"kind": _KINDS.get(field.type, "number")}
    if inner.full_name in _WRITTEN_AS_TEXT:
        return described | {"kind": "text"}
    if _has_own_form(inner):
        raise UnusableContract(f"{field.full_name}: the edge cannot check a {inner.full_name} in a body")
    return described | {"message": inner.full_name}


def messages(bindings: Iterable[Binding]) -> dict[str, dict[str, str]]:
    """
    Return, for the responses and the messages they contain, the JSON names of the fields with the message of each.

    Scalars, and messages with a JSON form of their own, are the empty string.
    """
    found: dict[str, dict[str, str]] = {}
    waiting = [binding.method.output_type for binding in bindings]
    while waiting:
        message = waiting.pop()
        if message.full_name in found:
            continue
        inner = {field.json_name: field.message_type for field in message.fields}
        kept = {name: kind for name, kind in inner.items() if kind is not None and not _has_own_form(kind)}
        waiting += kept.values()
        found[message.full_name] = {name: kept[name].full_name if name in kept else "" for name in inner}
    return found


def _has_own_form(message: Descriptor) -> bool:
    return message.file.package == "google.protobuf" or message.GetOptions().map_entry


def _names(field: FieldDescriptor) -> set[str]:
    return {field.name, field.json_name}


def lua_pattern(path: str) -> str:
    """
    Return the Lua pattern of a path whose `*` is one segment and whose `**` is the rest.
    """
    parts = re.split(r"(\*\*|\*)", path)
    wild = {"*": "[^/]+", "**": ".+"}
    return "^" + "".join(wild.get(part) or re.sub(r"(\W)", r"%\1", part) for part in parts) + "$"


def to_lua(value: object) -> str:
    """
    Return *value* as a Lua expression.
    """
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"[{to_lua(key)}] = {to_lua(item)}" for key, item in sorted(value.items())) + " }"
    if isinstance(value, list | tuple):
        return "{\n" + "".join(f"  {to_lua(item)},\n" for item in value) + "}"
    if isinstance(value, bool | int):
        return str(value).lower()
    if isinstance(value, str):
        return _quoted(value)
    raise TypeError(f"Lua has no literal for {value!r}")


def _quoted(text: str) -> str:
    # JSON's escapes are valid in Lua except \/ and \uXXXX; neither can occur here.
    if not text.isascii() or not text.isprintable():
        raise ValueError(f"{text!r} has characters that the tables do not support")
    return json.dumps(text)
