"""What a failover looks at, and how it judges what it saw."""

import contextlib
from types import SimpleNamespace

import pytest

from chaos.breakage import LEADER
from chaos.failover import __main__ as failover
from chaos.failover.members import Members
from chaos.guarantees import Verdict
from chaos.lab.figures import longest_gap_s
from stack import settings
from stack.progress import Progress

EVERY = ("postgres-0", "postgres-1", "postgres-2")


def members(*each):
    """Return members with these roles and states, in the order of their numbers."""
    named = dict(zip(EVERY, each, strict=False))
    return Members(
        {name: role for name, (role, _) in named.items()}, {name: state for name, (_, state) in named.items()}
    )


HEALTHY = members(("replica", "streaming"), ("leader", "running"), ("sync_standby", "streaming"))


def test_who_leads_and_which_copies_are_in_sync_is_said():
    assert HEALTHY.describe() == "postgres-1 leads; in sync: postgres-2; another copy: postgres-0"
    assert members(("leader", "running")).describe() == "postgres-0 leads; in sync: none"
    assert Members({}, {}).describe() == "nobody leads; in sync: none"


def test_a_member_that_is_down_neither_leads_nor_is_in_sync():
    found = members(("leader", "stopped"), ("sync_standby", "stopped"), ("replica", "streaming"))
    assert (found.leader, found.in_sync) == ("", [])
    assert found.describe() == "nobody leads; in sync: none; another copy: postgres-2"


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(
            members(("leader", "running"), ("replica", "streaming"), ("replica", "streaming")), id="none in sync"
        ),
        pytest.param(members(("leader", "running"), ("sync_standby", "streaming")), id="one has left"),
        pytest.param(
            members(("leader", "running"), ("sync_standby", "streaming"), ("replica", "stopped")), id="one is down"
        ),
        pytest.param(
            members(("replica", "streaming"), ("sync_standby", "streaming"), ("replica", "streaming")), id="no leader"
        ),
    ],
)
def test_members_are_complete_when_all_run_and_a_copy_is_in_sync(found):
    assert HEALTHY.are_complete(EVERY)
    assert not found.are_complete(EVERY)


def test_the_longest_gap_is_between_two_writes_or_at_an_end_of_the_period():
    moments = [0.5, 1.0, 2.0, 9.0, 9.5, 30.0]
    assert longest_gap_s(moments, begin_s=1.0, end_s=10.0) == 7.0
    assert longest_gap_s(moments, begin_s=2.5, end_s=8.0) == 5.5
    assert longest_gap_s([], begin_s=1.0, end_s=4.0) == 3.0


def test_a_lost_order_is_shown_and_makes_the_exit_code_1(capsys):
    kept, other = Verdict("acknowledged orders are stored", 7, []), Verdict("one request is one order", 7, [])
    assert failover._report([kept, other]) == 0
    assert "acknowledged orders lost: 0 of 7\nnone of 2 guarantees" in capsys.readouterr().out
    assert failover._report([Verdict("acknowledged orders are stored", 7, ["orders/1"]), other]) == 1
    assert "acknowledged orders lost: 1 of 7" in capsys.readouterr().out
    assert failover._report([kept, Verdict("one request is one order", 7, ["orders/2"])]) == 1
    assert "violated: one request is one order: 1 of 7\n    orders/2" in capsys.readouterr().out


async def test_members_that_are_not_complete_before_anything_is_lost_are_no_failed_failover(monkeypatch, tmp_path):
    async def nobody(_plan):
        return Members({}, {})

    monkeypatch.setattr(failover.members, "look", nobody)
    monkeypatch.setattr(failover, "describe", lambda _: SimpleNamespace(members=range(3)))
    chosen = settings.read({"STATE": str(tmp_path)}, checkout=settings.CHECKOUT)
    with pytest.raises(failover.NotReady, match="not complete before the failover within 120 s"):
        await failover.Failover(chosen, Progress()).run(failover.LOST, LEADER)


@pytest.mark.parametrize(("error", "code"), [(failover.NotReady("x"), 2), (failover.NotBack("x"), 1)])
def test_the_exit_code_says_whether_the_failover_failed_or_was_not_made(monkeypatch, tmp_path, error, code):
    async def run(*_):
        raise error

    monkeypatch.setenv("STATE", str(tmp_path))
    monkeypatch.setattr(failover, "describe", lambda _: SimpleNamespace(members=range(3)))
    monkeypatch.setattr(failover, "exclusive", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(failover.signal, "signal", lambda *_: None)
    monkeypatch.setattr(failover.Failover, "run", run)
    assert failover.main([]) == code


def test_an_unknown_way_is_refused_with_those_there_are(capsys):
    with pytest.raises(SystemExit):
        failover.main(["--how=slowly"])
    assert "lost" in capsys.readouterr().err
