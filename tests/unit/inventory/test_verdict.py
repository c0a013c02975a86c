"""Whether the data in Redis may be served."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory_svc.generation import Position
from inventory_svc.verdict import Found, judge

HERE = Found(Position(4, 10), above=4)


@pytest.mark.parametrize(
    ("found", "known", "accepted", "retired", "reason", "usable"),
    [
        (HERE, Position(4, 10), 4, 3, None, True),
        (HERE, Position(3, 99), 4, 0, None, True),
        (HERE, Position(0), None, 0, None, True),
        (Found(None, 0), Position(0), 0, 0, "missing", False),
        (HERE, Position(4, 11), 4, 0, "behind", False),
        (HERE, Position(5, 0), 4, 0, "behind", False),
        (HERE, Position(4, 1), 5, 0, "not accepted", True),
        (HERE, Position(4, 1), 3, 0, "not accepted", True),
        (HERE, Position(4, 1), 4, 4, "retired", True),
    ],
)
def test_redis_data_is_compared_with_the_known_generation(found, known, accepted, retired, reason, usable):
    verdict = judge(found, known=known, accepted=accepted, retired=retired)
    assert (verdict.reason, verdict.usable) == (reason, usable)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_a_new_generation_is_above_all_known_ones(here, streamed, known):
    found = Found(Position(here) if here else None, above=max(here, streamed))
    assert judge(found, known=Position(known), accepted=None, retired=0).above == max(here, streamed, known)
