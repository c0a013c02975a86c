"""
One-field mutations of valid documents.
"""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

from tools.mesh_differential import samples
from translator.model.schema import kinds

METADATA_NAMES = ("a", "A", "a.b", "-a", "a_b", "x" * 63, "x" * 64, "x" * 253, "x" * 254, "", "1", "a b", "*")
ANNOTATIONS: tuple[dict[str, Any], ...] = (
    {"istio.io/dry-run": "true"},
    {"istio.io/dry-run": "false"},
    {"istio.io/dry-run": "maybe"},
    {"istio.io/dry-run": ""},
    {"other": "x"},
    {"other": 1},
)
RAW = "@@raw@@"
Path = tuple[str | int, ...]


def mutated(rng: random.Random, documents: list[dict[str, Any]]) -> str:
    """
    Return the text of a document that was one of *documents*, with one field changed, as JSON but for plain scalars.
    """
    document = copy.deepcopy(rng.choice(documents))
    if rng.random() < 0.4:
        insert(rng, document)
    raw = ""
    draw = rng.random()
    if draw < 0.08:
        _metadata(rng, document)
    elif draw < 0.25:
        insert(rng, document)
    elif draw < 0.32:
        raw = rng.choice(samples.PLAIN)
        _replace(rng, document, RAW)
    else:
        _change(rng, document)
    return json.dumps(document).replace(f'"{RAW}"', raw)


def _change(rng: random.Random, document: dict[str, Any]) -> None:
    """
    Change, remove or repeat something in the document's spec.
    """
    places = list(_places(document["spec"]))
    if not places:
        return
    holder, key = rng.choice(places)
    value = holder[key]
    draw = rng.random()
    if draw < 0.12:
        del holder[key]
    elif draw < 0.2 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(value))
    elif draw < 0.25 and isinstance(holder, dict):
        holder[rng.choice(samples.ODD_TEXTS)] = holder.pop(key)
    elif draw < 0.35 or isinstance(value, dict | list | bool):
        holder[key] = rng.choice(samples.ODD_VALUES)
    elif isinstance(value, str):
        holder[key] = rng.choice(samples.ODD_TEXTS)
    else:
        holder[key] = rng.choice(samples.ODD_NUMBERS)


def _replace(rng: random.Random, document: dict[str, Any], value: Any) -> None:
    leaves = [(holder, key) for holder, key in _places(document["spec"]) if not isinstance(holder[key], dict | list)]
    if leaves:
        holder, key = rng.choice(leaves)
        holder[key] = value


def _metadata(rng: random.Random, document: dict[str, Any]) -> None:
    metadata = document["metadata"]
    draw = rng.random()
    if draw < 0.3:
        metadata["name"] = rng.choice(METADATA_NAMES)
    elif draw < 0.5:
        metadata["namespace"] = rng.choice(METADATA_NAMES)
    elif draw < 0.8:
        metadata["annotations"] = rng.choice(ANNOTATIONS)
    elif draw < 0.9:
        metadata["labels"] = {rng.choice(samples.ODD_TEXTS): rng.choice(samples.ODD_TEXTS)}
    else:
        document[rng.choice(("spec", "apiVersion", "status", "more"))] = rng.choice((None, {}, [], "x", 1))


def insert(rng: random.Random, document: dict[str, Any]) -> None:
    """
    Add a field that the schema knows and the document does not have there, with a plausible value.
    """
    kind = kinds().get(str(document.get("kind")))
    if kind is None or not isinstance(document.get("spec"), dict):
        return
    free = [
        (node, name, properties[name])
        for node, schema in _objects(document["spec"], dict(kind.schema))
        for properties in [schema.get("properties", {})]
        for name in sorted(set(properties) - set(node))
    ]
    if free:
        node, name, schema = rng.choice(free)
        node[name] = samples.plausible(rng, name, schema)


def _objects(node: Any, schema: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    if isinstance(node, dict):
        yield node, schema
        more = schema.get("additionalProperties")
        for name, value in node.items():
            inner = schema.get("properties", {}).get(name) or (more if isinstance(more, dict) else None)
            if inner:
                yield from _objects(value, inner)
    elif isinstance(node, list):
        for item in node:
            yield from _objects(item, schema.get("items", {}))


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """
    Yield every value of a document, as the holder and the key in it.
    """
    items = list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
    for key, value in items:
        yield node, key
        yield from _places(value)
