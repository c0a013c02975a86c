"""The code that complements Istio's schemas."""

import json
from pathlib import Path

from translator.model import schema
from translator.model.schema.rules import RULES


def _rules(node: object) -> set[str]:
    """Return every CEL rule below *node*."""
    if isinstance(node, list):
        return set().union(*map(_rules, node))
    if not isinstance(node, dict):
        return set()
    own = {" ".join(each["rule"].split()) for each in node.get("x-kubernetes-validations", ())}
    return own.union(*map(_rules, node.values()))


def test_every_rule_of_every_schema_is_known() -> None:
    files = sorted(Path(schema.__file__).parent.glob("*.json"))
    found = set().union(*(_rules(json.loads(path.read_text())) for path in files))
    assert found
    assert found - RULES.keys() == set()
