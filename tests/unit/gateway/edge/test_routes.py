"""The tables that the Lua filter uses."""

from __future__ import annotations

import pytest

from gateway.edge.routes import lua_pattern, to_lua


def test_one_star_matches_one_segment() -> None:
    assert lua_pattern("/v1/orders/*:cancel") == "^%/v1%/orders%/[^/]+%:cancel$"


def test_two_stars_match_the_rest() -> None:
    assert lua_pattern("/v1/**") == "^%/v1%/.+$"


def test_values_become_lua() -> None:
    assert to_lua({"a": True, "b-c": [1, 'x"y']}) == '{ ["a"] = true, ["b-c"] = {\n  1,\n  "x\\"y",\n} }'


def test_lua_keywords_may_be_keys() -> None:
    assert to_lua({"end": 1}) == '{ ["end"] = 1 }'


@pytest.mark.parametrize("text", ["ñ", "a\nb", "\x00"])
def test_text_that_lua_would_misread_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="characters"):
        to_lua(text)


def test_unsupported_value_types_are_rejected() -> None:
    with pytest.raises(TypeError):
        to_lua(1.5)
