"""
Rules of who may call as boolean terms in one form: AND and OR are of sets, and a term alone stands for itself.
"""

import json
from typing import Any

Json = Any
AND = {"andIds": "ids", "andRules": "rules"}
OR = {"orIds": "ids", "orRules": "rules"}
NOT = ("notId", "notRule")


def in_one_form(node: Json) -> Json:
    """
    Return the same with every permission and principal inside as a term.
    """
    if isinstance(node, list):
        return [in_one_form(item) for item in node]
    if not isinstance(node, dict):
        return node
    for names, word in ((AND, "and"), (OR, "or")):
        for name, inner in names.items():
            if name in node:
                return _joined(word, [in_one_form(item) for item in node[name].get(inner, ())])
    for name in NOT:
        if name in node:
            return {"not": in_one_form(node[name])}
    if set(node) == {"metadata"}:
        return _claim(node["metadata"])
    return {key: in_one_form(value) for key, value in node.items()}


def _claim(matcher: Json) -> Json:
    """
    Return the matcher of a claim: one for each of its allowed values.
    """
    return _joined("or", [{"metadata": {**matcher, "value": value}} for value in _values(matcher["value"])])


def _values(value: Json) -> list[Json]:
    if "orMatch" in value:
        return [single for one in value["orMatch"]["valueMatchers"] for single in _values(one)]
    if "listMatch" in value:
        return [{"listMatch": {"oneOf": single}} for single in _values(value["listMatch"]["oneOf"])]
    return [value]


def _joined(word: str, terms: list[Json]) -> Json:
    flat = [inner for term in terms for inner in (term[word] if set(term) == {word} else [term])]
    different = {json.dumps(term, sort_keys=True): term for term in flat}
    return flat[0] if len(different) == 1 else {word: [different[key] for key in sorted(different)]}
