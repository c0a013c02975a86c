"""
Istio's published schema, and the validation of a resource's `spec` against it.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema
from jsonschema.protocols import Validator

from translator.model.problems import BlockError
from translator.model.schema.rules import DURATION, MILLISECOND_NS, RULES, Rule
from translator.model.values import nanoseconds

RANGES = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}


@dataclass(frozen=True)
class Kind:
    """
    A kind of resource: its place in Kubernetes' API, and its validator.
    """

    name: str
    api_versions: tuple[str, ...]
    schema: Mapping[str, Any]
    validator: Validator


@cache
def kinds() -> dict[str, Kind]:
    """
    Return every kind with a schema, by name.
    """
    found = {}
    for entry in sorted(files(__package__).iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".json"):
            content = json.loads(entry.read_text())
            schema = _strict(content["spec"])
            versions = tuple(f"{content['group']}/{version}" for version in content["versions"])
            name = entry.name.removesuffix(".json")
            found[name] = Kind(name, versions, schema, _Validator(schema))
    return found


def mistakes(kind: Kind, spec: Any) -> Iterator[tuple[str, str]]:
    """
    Yield each violation of the schema in *spec*: the path from `spec`, and the message.
    """
    for error in kind.validator.iter_errors(spec):
        yield path_text("spec", error.absolute_path), error.message


def path_text(root: str, parts: Any) -> str:
    """
    Format a path: `spec.http[0].timeout`.
    """
    return root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


def _strict(node: Any) -> Any:
    """
    Return the same schema, rejecting unknown fields, as kubectl does.
    """
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    result = {key: _strict(value) for key, value in node.items() if key != "properties"}
    if "properties" in node:
        result["properties"] = {name: _strict(value) for name, value in node["properties"].items()}
        if node.get("type") == "object" and not node.get("x-kubernetes-preserve-unknown-fields"):
            result["additionalProperties"] = False
    if result.pop("nullable", False) and "type" in result:
        result["type"] = [result["type"], "null"]
    return result


def _rules(
    _validator: Any, rules: list[dict[str, str]], instance: Any, _schema: Any
) -> Iterator[jsonschema.ValidationError]:
    for rule in rules:
        text = " ".join(rule["rule"].split())
        if instance is not None and not _holds(RULES[text], instance):
            yield jsonschema.ValidationError(_why(text, instance) or rule["message"])


def _why(rule: str, instance: Any) -> str:
    """
    Return a better reason than the schema's own message, which calls every wrong duration too short.
    """
    if rule != DURATION:
        return ""
    try:
        return f"{instance!r} must be at least 1ms" if nanoseconds(instance) < MILLISECOND_NS else ""
    except BlockError as error:
        return error.message


def _holds(rule: Rule, instance: Any) -> bool:
    """
    Check a rule; for a value of the wrong type, the type's own error is enough.
    """
    try:
        return rule(instance)
    except (AttributeError, TypeError):
        return True


def _one_of(
    validator: Any, branches: list[dict[str, Any]], instance: Any, schema: Any
) -> Iterator[jsonschema.ValidationError]:
    """
    Check `oneOf`, with a message for its usual purpose in these schemas: at most one of some fields.
    """
    names = [name for branch in branches for name in branch.get("required", ())]
    if any(set(branch) - {"required", "not"} for branch in branches):
        yield from jsonschema.Draft202012Validator.VALIDATORS["oneOf"](validator, branches, instance, schema)
    elif isinstance(instance, dict) and sum(name in instance for name in names) > 1:
        yield jsonschema.ValidationError(f"only one of {', '.join(names)} may be set")
    elif (
        isinstance(instance, dict)
        and not any("not" in branch for branch in branches)
        and not any(name in instance for name in names)
    ):
        yield jsonschema.ValidationError(f"one of {', '.join(names)} must be set")


def _no_more(_validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    if allowed is False and isinstance(instance, dict):
        for name in sorted(map(str, set(instance) - set(schema["properties"]))):
            yield jsonschema.ValidationError(f"{name!r} is not a field of this block")
    elif isinstance(allowed, dict) and isinstance(instance, dict):
        for name, value in instance.items():
            yield from _validator.descend(value, allowed, path=name)


def _format(_validator: Any, name: str, instance: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    """
    Check the format of numbers: an integer must fit its field, and YAML's .inf and .nan are not numbers.
    """
    if isinstance(instance, bool) or not isinstance(instance, int | float):
        return
    if name in RANGES and not RANGES[name][0] <= instance <= RANGES[name][1]:
        yield jsonschema.ValidationError(f"{instance} is not from {RANGES[name][0]} to {RANGES[name][1]}")
    if name == "double" and not math.isfinite(instance):
        yield jsonschema.ValidationError(f"{instance} is not a number")


_extend: Any = jsonschema.validators.extend
_Validator: Any = _extend(
    jsonschema.Draft202012Validator,
    {"x-kubernetes-validations": _rules, "oneOf": _one_of, "additionalProperties": _no_more, "format": _format},
)
