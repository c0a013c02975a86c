"""The result of a run: the table, the JSON and the page."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from chaos.guarantees import Verdict
from chaos.lab import report
from chaos.lab.expect import LogMark, Seen, allowed, unmet, verdict
from chaos.lab.experiment import load
from chaos.lab.faults import Band
from chaos.lab.figures import figures, longest_silence_s, quantile, restored_after_s
from chaos.lab.history import Call, Outcome
from chaos.lab.plots import Line, Plot, nice, svg
from chaos.lab.result import Result, document, table
from chaos.lab.samples import Sample
from chaos.truth import StoredOrder


def order(number, at_s, state="CONFIRMED", status=201, outcome=Outcome.OK, **request):
    response = (
        {"status": status, "order": f"orders/{number}", "state": state, "version": 1}
        if outcome is Outcome.OK
        else {"status": status}
    )
    request = {"key": str(number), "lines": {}, **request}
    return Call(number, "lab1-0", "place", at_s, request, at_s + 0.1, outcome, response)


@pytest.fixture
def result():
    calls = [order(number, number * 0.5) for number in range(40)]
    calls += [order(40, 5, "PENDING", 202), order(41, 6, status=503, outcome=Outcome.UNKNOWN)]
    return Result(
        load("inventory-gone"), 7, "lab1", "2026-01-01T00:00:00+00:00", {"python": "3"}, "make chaos EXPERIMENT=x",
        calls=calls, samples=[Sample(1, 0, 0), Sample(2, None, None), Sample(3, 4, 1)],
        bands=[Band("kill <inventory>", 4, 9), Band("never back", 5)],
        verdicts=[Verdict("nothing is lost", 41, [])], recovery_s=1.5, silence_s=2.0,
    )  # fmt: skip


class Wellformed(HTMLParser):
    """An HTML parser that records unclosed tags and every address."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for key, value in attrs if key in ("src", "href")]
        if tag not in ("meta", "rect", "line"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("rect", "line"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_is_valid_self_contained_and_lists_violations(result):
    read = Wellformed()
    read.feed(report.page(result))
    assert read.open == []
    assert set(read.addresses) == {"history.jsonl", "verdict.json"}
    for text in ("passed", "kill <inventory>", "nothing is lost", "1.5 s", "make chaos EXPERIMENT=x"):
        assert text in read.text


def test_a_violated_guarantee_fails_the_run_and_is_shown_with_examples(result):
    result.verdicts.append(Verdict("one request is one order", 41, [f"orders/{number} <b>" for number in range(9)]))
    assert not result.passed
    assert "FAILED" in table(result)
    page = report.page(result)
    assert "orders/4 &lt;b&gt;" in page
    assert "orders/5" not in page
    assert document(result)["verdicts"][1]["broken"] == 9


@pytest.mark.parametrize("change", [{"aborted": "told to"}, {"verdicts": []}], ids=["aborted", "never checked"])
def test_an_unfinished_run_has_not_passed(result, change):
    assert result.passed
    assert not replace(result, **change).passed


def test_the_index_has_the_latest_run_of_each_experiment(result, tmp_path):
    for run, began in (("a", "2026-01-01"), ("b", "2026-01-02")):
        folder = tmp_path / f"inventory-gone-{run}"
        folder.mkdir()
        report.write(replace(result, began_at=began), folder)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "verdict.json").write_text("{")
    read = Wellformed()
    read.feed(report.index(tmp_path).read_text())
    assert read.addresses == ["inventory-gone-b/report.html"]
    assert "1 experiments, 0 failed" in read.text
    assert json.loads((tmp_path / "inventory-gone-a" / "verdict.json").read_text())["passed"] is True


def test_figures_count_calls_that_ended_in_their_interval(result):
    found = figures(result.calls, begin_s=5, end_s=7)
    assert (found.calls, found.well, found.confirmed) == (6, 5, 4)
    assert found.error_counts == {503: 1}
    assert figures([], begin_s=0, end_s=1).success == 0


def test_silence_is_the_longest_time_without_an_acknowledged_order(result):
    assert longest_silence_s(result.calls, begin_s=0, end_s=30) == pytest.approx(30 - 19.6)
    assert longest_silence_s([], begin_s=3, end_s=5) == 2


def test_recovery_needs_three_seconds_of_success():
    bad = [order(number, 5 + number * 0.5, status=503, outcome=Outcome.UNKNOWN) for number in range(6)]
    good = [order(number, 8 + number * 0.5) for number in range(20)]
    assert restored_after_s([*bad, *good], after_s=5) == pytest.approx(3.0, abs=0.5)
    assert restored_after_s(good, after_s=8) == 0
    assert restored_after_s(bad, after_s=5) is None
    assert restored_after_s(good, after_s=float("inf")) is None


def test_quantiles_of_few_values_are_those_values():
    assert [quantile([], 0.99), quantile([3], 0.5), quantile([1, 2, 3, 4], 0.5)] == [0, 3, 2]


@pytest.mark.parametrize(("value", "top"), [(0, 1), (0.03, 0.05), (1, 1), (1.1, 2), (30, 50), (70, 100), (5.0, 5)])
def test_an_axis_ends_at_a_round_number(value, top):
    assert nice(value) == pytest.approx(top)


def test_a_gap_breaks_a_line_and_an_open_band_reaches_the_edge():
    line = Line("pending", [(0, 1), (1, None), (2, 3), (3, 4)], "calm")
    drawn = svg(Plot("waits", "", [line]), bands=[Band("x", 1)], end_s=10)
    assert drawn.count("<polyline") == 2
    assert 'width="802.8"' in drawn


def seen(**more):
    calls = [order(1, 1, "PENDING", 202), order(2, 2)]
    stored = {f"orders/{number}": StoredOrder(f"orders/{number}", "CONFIRMED", 1, {}) for number in (1, 2)}
    usual = {
        "lines": {"orders": ["a BREAKER b"]},
        "messages": {"pending_orders": 2},
        "peaks": {"outbox": 7},
        "leaders": ("postgres-0", "postgres-1"),
    }
    return Seen(**{"calls": calls, "orders": stored, "unhealthy": frozenset({"postgres-1"}), **usual, **more})


MET = [
    {"answer": 202}, {"log": "orders", "match": "BREAKER"}, {"topic": "pending_orders", "at_least": 2},
    {"pending_end": "CONFIRMED"}, {"leader": "changed"}, {"unhealthy": "postgres"}, {"slowest_s": 0.05},
    {"waits": "outbox", "at_least": 7},
]  # fmt: skip
NOT_MET = [
    {"answer": 503}, {"log": "inventory", "match": "BREAKER"}, {"topic": "pending_orders", "at_least": 3},
    {"leader": "same"}, {"unhealthy": "kafka"}, {"slowest_s": 1}, {"answer": 202, "at_least": 2},
    {"waits": "outbox", "at_least": 8}, {"waits": "pending"},
]  # fmt: skip


@pytest.mark.parametrize("wanted", MET, ids=str)
def test_an_observed_effect_is_reported(wanted):
    assert unmet(wanted, seen()) == ""


@pytest.mark.parametrize("wanted", NOT_MET, ids=str)
def test_a_missing_effect_fails(wanted):
    assert unmet(wanted, seen())
    assert verdict([wanted], seen()).broken


def test_pending_orders_with_another_end_or_none_at_all_fail():
    wanted = {"pending_end": "CONFIRMED"}
    assert unmet(wanted, seen(calls=[order(2, 2)])) == "no order was pending"
    rejected = {"orders/1": StoredOrder("orders/1", "REJECTED", 2, {})}
    assert "such as orders/1" in unmet(wanted, seen(orders=rejected))


def test_an_unexpected_response_is_counted(result):
    assert allowed(frozenset({201, 202}), result.calls).broken == ["1 got 503"]
    assert allowed(frozenset({201, 202, 503}), result.calls).broken == []


def test_only_new_log_lines_count_also_after_a_rotation(tmp_path):
    log, other = tmp_path / "orders-0.log", tmp_path / "orders-0-envoy.log"
    log.write_text("old BREAKER\n")
    other.write_text("")
    mark = LogMark.now(tmp_path)
    with log.open("a") as file:
        file.write("new\n")
    other.write_text("of the sidecar\n")
    assert mark.lines("orders") == ["new\n"]
    log.write_text("after\n")
    assert mark.lines("orders") == ["after\n"]
