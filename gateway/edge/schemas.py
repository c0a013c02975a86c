"""
The contract's messages as JSON Schema, in protobuf's JSON mapping.

Source: https://protobuf.dev/programming-guides/json/ and JSON Schema 2020-12.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from buf.validate import validate_pb2
from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.edge.contract import is_required

Schema = dict[str, Any]
WHOLE_NUMBER = "^-?[0-9]+$"
# 64-bit integers exceed JavaScript's numbers, so they are strings.
_SCALARS: Mapping[int, Schema] = {
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.TYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_SINT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_SFIXED32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_UINT32: {"type": "integer", "format": "int64", "minimum": 0},
    FieldDescriptor.TYPE_FIXED32: {"type": "integer", "format": "int64", "minimum": 0},
    FieldDescriptor.TYPE_INT64: {"type": "string", "format": "int64", "pattern": WHOLE_NUMBER},
    FieldDescriptor.TYPE_SINT64: {"type": "string", "format": "int64", "pattern": WHOLE_NUMBER},
    FieldDescriptor.TYPE_SFIXED64: {"type": "string", "format": "int64", "pattern": WHOLE_NUMBER},
    FieldDescriptor.TYPE_UINT64: {"type": "string", "format": "uint64", "pattern": "^[0-9]+$"},
    FieldDescriptor.TYPE_FIXED64: {"type": "string", "format": "uint64", "pattern": "^[0-9]+$"},
}
_WELL_KNOWN: Mapping[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "required": ["@type"],
        "additionalProperties": True,
    },
}
_BOUNDS = {"gte": "minimum", "lte": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}


class Schemas:
    """Collects the schemas of messages and their nested messages, each once, by name."""

    def __init__(self, comments: Mapping[str, str]) -> None:
        self._comments = comments
        self.components: dict[str, Schema] = {}

    def reference(self, message: Descriptor) -> Schema:
        """
        Return a reference to *message*, whose schema is then in `components`.
        """
        if message.full_name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[message.full_name])
        name = _component_name(message)
        if name not in self.components:
            # Registered before its fields, which may refer to it recursively.
            self.components[name] = {}
            self.components[name].update(self.object(message))
        return {"$ref": f"#/components/schemas/{name}"}

    def object(self, message: Descriptor, without: Collection[str] = ()) -> Schema:
        """
        Return the schema of *message*, leaving the fields *without* out.
        """
        fields = [field for field in message.fields if field.name not in without]
        schema: Schema = {"type": "object", **self._described(message.full_name)}
        schema["properties"] = {field.json_name: self.field(field) for field in fields}
        required = [field.json_name for field in fields if is_required(field)]
        return schema | ({"required": required} if required else {})

    def field(self, field: FieldDescriptor) -> Schema:
        """
        Return the schema of one field with its validation rules and comment.
        """
        schema = self._value(field) | _behaviour(field)
        parts = [self._comments.get(field.full_name, ""), self._values(field.enum_type)]
        description = "\n\n".join(part for part in parts if part)
        return schema | ({"description": description} if description else {})

    def _value(self, field: FieldDescriptor) -> Schema:
        rules = field.GetOptions().Extensions[validate_pb2.field]
        values = _map_values(field)
        if values is not None:
            return {"type": "object", "additionalProperties": self._one(values, rules)}
        if field.is_repeated:
            bounds = {"min_items": "minItems", "max_items": "maxItems"}
            items = self._one(field, rules.repeated.items)
            return {"type": "array", "items": items} | _limits(rules.repeated, bounds)
        return self._one(field, rules)

    def _one(self, field: FieldDescriptor, rules: validate_pb2.FieldRules) -> Schema:
        if field.message_type is not None:
            return self.reference(field.message_type)
        if field.enum_type is not None:
            return {"type": "string", "enum": [value.name for value in field.enum_type.values]}
        kind = rules.WhichOneof("type")
        return _SCALARS[field.type] | (_scalar_limits(field, getattr(rules, kind)) if kind else {})

    def _values(self, enum: EnumDescriptor | None) -> str:
        values = enum.values if enum is not None else ()
        comments = {value.name: self._comments.get(f"{enum.full_name}.{value.name}") for value in values if enum}
        return "\n".join(f"- `{name}`: {comment}" for name, comment in comments.items() if comment)

    def _described(self, name: str) -> Schema:
        comment = self._comments.get(name)
        return {"description": comment} if comment else {}


def _component_name(message: Descriptor) -> str:
    """
    Return the name without its package: `Order`, `WatchOrderResponse.End`, `Status`.
    """
    return message.full_name.removeprefix(f"{message.file.package}.")


def _map_values(field: FieldDescriptor) -> FieldDescriptor | None:
    """
    Return the value field of a map; None if *field* is not a map.
    """
    entry = field.message_type
    return entry.fields_by_name["value"] if entry is not None and entry.GetOptions().map_entry else None


def _behaviour(field: FieldDescriptor) -> Schema:
    behaviours = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
    reads = {field_behavior_pb2.OUTPUT_ONLY, field_behavior_pb2.IDENTIFIER}
    return {"readOnly": True} if reads & set(behaviours) else {}


def _limits(rules: Any, names: Mapping[str, str]) -> Schema:
    return {there: getattr(rules, here) for here, there in names.items() if rules.HasField(here)}


def _scalar_limits(field: FieldDescriptor, rules: Any) -> Schema:
    if field.type == FieldDescriptor.TYPE_STRING:
        return _limits(rules, {"pattern": "pattern", "min_len": "minLength", "max_len": "maxLength"})
    # JSON Schema cannot express limits of numbers that are encoded as strings.
    number = _SCALARS[field.type]["type"] in ("integer", "number")
    return _limits(rules, _BOUNDS) if number else {}
