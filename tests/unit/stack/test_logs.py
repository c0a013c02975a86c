"""Logs of programs with five formats of time and level."""

import argparse
from datetime import UTC, datetime, timedelta

import pytest

from stack.commands import log_lines, logs
from stack.commands.log_lines import LEVELS, Tail, level_of, time_of
from stack.errors import StackError
from stack.run import state, supervisor
from stack.settings import Settings

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
SERVICE = '{"event": "order_pending", "level": "%s", "timestamp": "%s"}'


def local(text):
    return datetime.fromisoformat(text).astimezone()


@pytest.mark.parametrize(
    ("line", "time", "level"),
    [
        (SERVICE % ("warning", "2026-11-26T11:19:47.749571Z"), NOON - timedelta(seconds=2412.250429), "warning"),
        ("2026-11-26T11:19:34,393 WARN DefaultAutoTopic", local("2026-11-26T11:19:34.393"), "warning"),
        ("2026-11-26 11:49:52,594 INFO: no action.", local("2026-11-26T11:49:52.594"), "info"),
        ("2026-11-26 11:49:52.594 UTC [12] ERROR:  no", datetime(2026, 11, 26, 11, 49, 52, 594000, UTC), "error"),
        ("7790:M 26 Nov 2026 11:18:22.395 # Memory overcommit", local("2026-11-26T11:18:22.395"), "warning"),
        ("[2026-11-26 11:18:22.395][7][critical][main] bad", local("2026-11-26T11:18:22.395"), "error"),
        ("2026-11-26 11:18:24 [warning  ] published", local("2026-11-26T11:18:24"), "warning"),
        ("raft2026/11/26 11:18:23 INFO: became leader", local("2026-11-26T11:18:23"), "info"),
    ],
)
def test_time_and_level_of_each_log_format_are_parsed(line, time, level):
    assert time_of(line) == time
    assert LEVELS[level_of(line, 0)] == level


def test_a_line_without_a_time_belongs_to_the_previous_one():
    lines = list(log_lines.read("orders-0", [SERVICE % ("error", "2026-11-26T11:00:00Z"), "Traceback", "  File"]))
    assert {line.time for line in lines} == {NOON - timedelta(hours=1)}
    assert {LEVELS[line.level] for line in lines} == {"error"}


@pytest.fixture
def stack(tmp_path):
    """Return a stopped stack with two replicas' logs, one of them rotated."""
    settings = Settings(checkout=tmp_path, state=tmp_path / "state", tools=tmp_path / "tools", network=77)
    state.claim(settings)
    first, second = (supervisor.log_file(settings, name) for name in ("orders-0", "orders-1"))
    for path, number, minute in ((first, 1, 2), (second, 2, 1), (first.with_suffix(".log.1"), 3, 0)):
        lines = [SERVICE % ("info", f"2026-11-26T11:{minute:02}:{second:02}Z") for second in range(60)]
        path.write_text("\n".join(lines).replace("order_pending", f"event_{number}") + "\n")
    return settings


def shown(settings, capsys, **options):
    arguments = {"service": "orders", "since": "", "match": "", "level": "", "follow": "no", "order": "", "trace": ""}
    arguments |= options
    assert logs.run(settings, argparse.Namespace(**arguments)) == 0
    return capsys.readouterr().out.splitlines()


def test_logs_are_merged_by_time_over_rotations_and_replicas(stack, capsys):
    lines = shown(stack, capsys)
    assert len(lines) == 180
    assert [line.split('"event_')[1][0] for line in lines] == ["3"] * 60 + ["2"] * 60 + ["1"] * 60
    assert lines[0].startswith("orders-0 ")
    assert lines[60].startswith("orders-1 ")


def test_one_replicas_log_is_unchanged(stack, capsys):
    assert shown(stack, capsys, service="orders-1", match="11:01:07")[0].startswith('{"event": "event_2"')


def test_a_tasks_log_is_shown_by_its_name_and_among_all(stack, capsys):
    supervisor.log_file(stack, "orders-migrate").write_text("2026-11-26 11:18:24 [warning  ] published orders=3\n")
    assert shown(stack, capsys, service="orders-migrate") == ["2026-11-26 11:18:24 [warning  ] published orders=3"]
    [line] = shown(stack, capsys, service="", match="published", level="warning")
    assert line.startswith("orders-migrate ")


def test_a_log_is_filtered_by_time_pattern_and_level(stack, capsys):
    assert len(shown(stack, capsys, since="2026-11-26T11:02:30+00:00")) == 30
    assert len(shown(stack, capsys, match="event_[12]")) == 120
    assert shown(stack, capsys, level="warning") == []


@pytest.mark.parametrize(("name", "value"), [("since", "soon"), ("match", "("), ("level", "loud")])
def test_invalid_filters_are_named(stack, capsys, name, value):
    with pytest.raises(StackError, match=rf"{name.upper()}='{value}'".replace("(", r"\(")):
        shown(stack, capsys, **{name: value})


def test_following_a_stack_that_is_down_shows_the_end_and_ends(stack, capsys):
    assert len(shown(stack, capsys, follow="yes")) == logs.LINES


def test_following_continues_over_a_rotation(tmp_path):
    log = tmp_path / "orders-0.log"
    log.write_text("before\n")
    tail = Tail("orders-0", log)
    with log.open("a") as file:
        file.write("one\nhalf")
    assert [line.text for line in tail.lines()] == ["one"]
    with log.open("a") as file:
        file.write(" a line\nlast\n")
    log.rename(tmp_path / "orders-0.log.1")
    log.write_text("new\n")
    assert [line.text for line in tail.lines()] == ["half a line", "last", "new"]
    assert list(tail.lines()) == []


def test_following_continues_when_a_log_begins_anew(tmp_path):
    log = tmp_path / "orders-migrate.log"
    log.write_text("a line of the run before\n")
    tail = Tail("orders-migrate", log)
    log.write_text("new\n")
    assert [line.text for line in tail.lines()] == ["new"]
    assert list(tail.lines()) == []


ORDER, TRACE, OTHER = "0b0f6d2e-0000-5000-8000-000000000000", "0af7651916cd43dd8448eb211c80319c", "f" * 32


@pytest.fixture
def answering_edge(stack, monkeypatch):
    """Write one order's lines, those of its trace, and others, of two processes; return the order's timeline."""
    for name, minute, ids in (("orders-0", 1, (ORDER, OTHER)), ("orders-1", 0, (TRACE, OTHER))):
        lines = [SERVICE.replace("order_pending", each) % ("info", f"2026-11-26T11:{minute:02}:00Z") for each in ids]
        supervisor.log_file(stack, name).write_text("\n".join(lines) + "\n")
    supervisor.log_file(stack, "orders-0").with_suffix(".log.1").unlink()
    monkeypatch.setattr(logs.timeline, "ask", lambda *_: {"entries": [{"kind": "CHANGED", "traceId": TRACE}, {}]})
    return stack


def test_an_orders_lines_include_those_of_its_traces_in_order(answering_edge, capsys):
    for order in (ORDER, f"orders/{ORDER}"):
        found = shown(answering_edge, capsys, order=order, follow="")
        assert [TRACE in line or ORDER in line for line in found] == [True, True]
        assert [line.split()[0] for line in found] == ["orders-1", "orders-0"]
    assert [TRACE in line for line in shown(answering_edge, capsys, trace=TRACE, follow="")] == [True]


def test_an_orders_own_lines_are_shown_also_without_its_traces(answering_edge, capsys, monkeypatch):
    def away(*_):
        raise StackError("the edge is away")

    monkeypatch.setattr(logs.timeline, "ask", away)
    assert [ORDER in line for line in shown(answering_edge, capsys, order=ORDER)] == [True]


@pytest.mark.parametrize("selection", [{"order": ".*"}, {"order": "orders/" + "1"}, {"trace": "abc"}])
def test_malformed_ids_are_rejected(answering_edge, capsys, selection):
    with pytest.raises(StackError, match=r"ORDER=|TRACE="):
        shown(answering_edge, capsys, **selection)
