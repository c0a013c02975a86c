"""
Plain scalars are parsed as by kubectl (expected values from go.yaml.in/yaml/v2, which it uses).
"""

import math
from typing import Any

import pytest

from translator.model.problems import InvalidMesh
from translator.model.yamlfile import read_documents


def read(scalar: str) -> Any:
    [document] = read_documents(f"a: {scalar}", "test.yaml")
    return document["a"]


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("y", True),
        ("N", False),
        ("off", False),
        ("1e3", 1000),
        ("1E-1", 0.1),
        ("1.0", 1),
        ("1_000", 1000),
        ("012", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b101", 5),
        ("08", 8),
        ("+1", 1),
        ("-0x10", -16),
        (".5", 0.5),
        ("5.", 5),
        ("1:30", "1:30"),
        ("190:20:30", "190:20:30"),
        ("190:20:30.15", "190:20:30.15"),
        ("2026-01-02", "2026-01-02"),
        ("2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z"),
        ("=", "="),
        ("1,000", "1,000"),
        ("1.2.3", "1.2.3"),
        ("_1", "_1"),
        ("'y'", "y"),
        ("~", None),
        ("18446744073709551616", 18446744073709551616),
    ],
)
def test_plain_scalar_has_kubectls_type(scalar: str, value: Any) -> None:
    found = read(scalar)
    assert (found, type(found)) == (value, type(value)) or found == value == 18446744073709551616


def test_strings_that_look_like_numbers_are_kept_apart() -> None:
    assert math.isinf(read(".inf"))
    assert math.isnan(read(".nan"))


def test_duplicate_key_is_rejected() -> None:
    with pytest.raises(InvalidMesh, match="duplicated"):
        read_documents("{a: 1, a: 2}", "test.yaml")


def test_prefix_of_ip6_needs_no_quotes() -> None:
    assert read("fd00::/8") == "fd00::/8"
    assert read_documents("a:\n- ::1/128\nb: [fd00::1]", "t") == [{"a": ["::1/128"], "b": ["fd00::1"]}]
