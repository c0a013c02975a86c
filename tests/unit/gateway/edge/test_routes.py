"""The tables that the Lua filter reads."""

from __future__ import annotations

import pytest

from gateway.edge.routes import lua_pattern, to_lua


def test_pattern_takes_one_segment_for_one_star() -> None:
    assert lua_pattern("/v1/orders/*:cancel") == "^%/v1%/orders%/[^/]+%:cancel$"


def test_pattern_takes_the_rest_for_two_stars() -> None:
    assert lua_pattern("/v1/**") == "^%/v1%/.+$"


def test_values_become_lua() -> None:
    assert to_lua({"a": True, "b-c": [1, 'x"y']}) == '{ ["a"] = true, ["b-c"] = {\n  1,\n  "x\\"y",\n} }'


def test_words_of_lua_may_be_keys() -> None:
    assert to_lua({"end": 1}) == '{ ["end"] = 1 }'


@pytest.mark.parametrize("text", ["ñ", "a\nb", "\x00"])
def test_text_that_lua_would_read_otherwise_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="characters"):
        to_lua(text)


def test_other_kinds_of_values_are_refused() -> None:
    with pytest.raises(TypeError):
        to_lua(1.5)
