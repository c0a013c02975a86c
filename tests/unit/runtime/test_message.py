"""Record headers are read only by the one function that tolerates any bytes."""

import ast
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
FOLDERS = ("runtime", "orders_svc", "inventory_svc", "chaos", "stack", "tests", "bench")
SOURCES = [path for folder in FOLDERS for path in sorted((CHECKOUT / folder).rglob("*.py"))]


def calls_headers(text):
    """
    Return whether `….headers()` is called in a form that CPython specializes, after which errors are no longer raised.
    """
    # Parsing all sources takes seconds.
    return "headers" in text and any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "headers"
        and not node.args + node.keywords
        for node in ast.walk(ast.parse(text))
    )


def test_no_call_is_specialized():
    found = [path for path in SOURCES if calls_headers(path.read_text(encoding="utf-8"))]
    assert found == []


@pytest.mark.parametrize(("text", "found"), [("raw.headers()", True), ("answer.headers", False), ("headers()", False)])
def test_the_check_itself_finds_a_violation(text, found):
    assert calls_headers(text) is found
