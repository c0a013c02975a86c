"""The generation that a replica works on."""

import pytest

from inventory_svc.generation import CurrentGeneration, Position
from inventory_svc.refusals import Rebuilding
from runtime.errors import Unavailable


@pytest.fixture
def current():
    return CurrentGeneration()


def test_at_first_there_is_no_generation(current):
    assert (current.position, current.accepted, current.retired) == (None, False, 0)
    assert not current.doubted.is_set()
    with pytest.raises(Rebuilding):
        current.known()
    with pytest.raises(Rebuilding):
        current.require_accepted()


def test_a_generation_begins_before_its_first_event():
    assert Position(3) == Position(3, 0)


def test_an_adopted_generation_is_accepted_by_default(current):
    current.adopt(Position(3, 7))
    assert (current.number, current.known(), current.accepted) == (3, Position(3, 7), True)
    current.require_accepted()
    current.adopt(Position(3, 7), accepted=False)
    assert (current.number, current.accepted) == (3, False)
    with pytest.raises(Rebuilding):
        current.require_accepted()


def test_a_fenced_generation_serves_reads_and_no_holds(current):
    current.adopt(Position(3))
    current.fence()
    assert (current.number, current.accepted) == (3, False)


def test_a_withdrawn_generation_raises_its_reason_until_the_next_is_adopted(current):
    current.adopt(Position(3))
    current.withdraw(Unavailable("no Redis"))
    assert (current.position, current.accepted) == (None, False)
    with pytest.raises(Unavailable, match="no Redis"):
        current.known()
    with pytest.raises(Unavailable, match="no Redis"):
        current.require_accepted()
    current.adopt(Position(4))
    current.withdraw()
    with pytest.raises(Rebuilding):
        current.known()


def test_the_highest_sequence_wins(current):
    current.advance(Position(3, 9))
    assert current.position is None
    current.adopt(Position(3, 7))
    for reached in (Position(3, 9), Position(3, 8), Position(2, 99), Position(4, 1)):
        current.advance(reached)
    assert current.known() == Position(3, 9)


def test_a_retired_generation_stays_retired_and_wakes_the_rebuilder(current):
    for generation in (4, 3):
        current.retire(generation)
    assert current.retired == 4
    assert current.doubted.is_set()
