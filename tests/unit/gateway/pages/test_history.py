"""The board's history: which moments, which lines, and what is drawn into them; each history is read once a step."""

import asyncio
import math

import httpx
import pytest

from gateway.pages import faults_in_force, queries
from gateway.pages.history import MAX_KEPT, MAX_LINES, PERIODS_S, POINTS, History, UnknownPeriod, Window
from gateway.pages.history import lines as lines_of
from gateway.pages.history import spans as spans_of
from gateway.pages.history import starts as starts_of
from gateway.pages.prometheus import Prometheus, Series
from runtime.errors import Unavailable
from tests.support.clock import Clock

NOW = 1_795_784_603.4


@pytest.fixture
def clock():
    return Clock(NOW)


@pytest.fixture
def queries_made():
    return []


@pytest.fixture
async def history(clock, queries_made):
    """A history over a Prometheus whose every query has one point of value 1, at its end."""

    def answer(request):
        queries_made.append(dict(request.url.params))
        point = [float(request.url.params["end"]), "1"]
        series = {"metric": {"service": "orders", "pod": "orders-0"}, "values": [point]}
        return httpx.Response(200, json={"data": {"result": [series]}})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://prometheus") as client:
        yield History(Prometheus(client), clock)


@pytest.mark.parametrize("period", PERIODS_S)
def test_a_window_has_as_many_points_whatever_its_length(period):
    times = Window(period, NOW).times
    assert POINTS / 2 < len(times) <= POINTS + 1
    assert NOW - Window(period, NOW).step_s < times[-1] <= NOW
    assert times[-1] - times[0] == PERIODS_S[period] // Window(period, NOW).step_s * Window(period, NOW).step_s
    assert times[0] % Window(period, NOW).step_s == 0


def test_a_rate_leaves_nothing_out_between_two_points():
    assert Window("15m", NOW).rate == "60s"
    assert Window("7d", NOW).rate == "2520s"


async def test_the_answer_has_every_chart_and_one_value_for_each_moment(history, queries_made):
    found = await history.read("15m")
    assert set(found["charts"]) == set(queries.history("60s"))
    assert {len(line["values"]) for lines in found["charts"].values() for line in lines} == {len(found["at"])}
    assert (found["charts"]["rate"][0]["values"][-2:], found["charts"]["rate"][0]["name"]) == (
        [None, 1.0],
        "orders orders-0",
    )
    assert (found["faults"], found["outages"]) == ([(found["at"][-1] - 5, found["at"][-1])],) * 2
    assert {each["step"] for each in queries_made} == {"5"}


async def test_a_history_is_read_once_a_step_for_all_viewers(history, queries_made, clock):
    once = len(queries.history("60s")) + len(queries.MARKS)
    await asyncio.gather(*(history.read("15m") for _ in range(5)))
    assert len(queries_made) == once
    clock.now += 5
    await history.read("15m")
    assert len(queries_made) == 2 * once


async def test_a_hop_is_selected_by_its_services_alone(history, queries_made):
    found = await history.read("1h", "orders", "inventory")
    assert set(found["charts"]) == set(queries.hop("orders", "inventory", "60s"))
    assert any(
        'service="orders", cluster_name=~"outbound[|][^|]*[|][^|]*[|]inventory[.].*"' in each["query"]
        for each in queries_made
    )


@pytest.mark.parametrize(
    "wrong",
    [("2h",), ("",), ("1h", "orders", ""), ("1h", "", "orders"), ("1h", 'a"} or up{x="', "b"), ("1h", "a", "b" * 64)],
)
async def test_what_is_no_period_or_service_never_reaches_prometheus(history, queries_made, wrong):
    with pytest.raises(UnknownPeriod):
        await history.read(*wrong)
    assert queries_made == []


async def test_few_histories_are_kept(history):
    for number in range(MAX_KEPT + 5):
        await history.read("7d", "orders", f"service-{number}")
    assert len(history._kept) == MAX_KEPT


def test_lines_are_aligned_and_limited():
    points = ((10.0, 1.0), (30.0, math.nan))
    assert lines_of([Series({"topic": "t"}, points)], [10.0, 20.0, 30.0]) == [
        {"name": "t", "values": [1.0, None, None]}
    ]
    assert len(lines_of([Series({"topic": str(each)}, points) for each in range(50)], [10.0])) == MAX_LINES


def test_a_time_above_zero_is_from_the_point_before_it_to_its_last():
    points = tuple((float(at), float(value)) for at, value in ((10, 0), (20, 1), (30, 1), (40, 0), (60, 1)))
    assert spans_of([Series({}, points)], 10) == [(10.0, 30.0), (50.0, 60.0)]


def test_a_process_that_started_in_the_period_is_a_mark_once():
    series = Series({"service": "orders", "pod": "orders-0"}, ((100.0, 7.5), (110.0, 104.25), (120.0, 104.25)))
    assert starts_of([series], 100.0) == [{"at": 104.25, "service": "orders", "pod": "orders-0"}]


class Faults:
    """Returns one answer after the other."""

    def __init__(self, *answers):
        self._answers = list(answers)

    async def active(self):
        if not self._answers:
            raise asyncio.CancelledError
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([[]], [0]),
        ([[{"idle": ""}, {"idle": "no route"}]], [1]),
        ([[{"idle": ""}], Unavailable("unknown")], []),
    ],
)
async def test_the_number_of_faults_with_an_effect_is_exported_while_it_is_known(answers, expected):
    with pytest.raises(asyncio.CancelledError):
        await faults_in_force.keep_counting(Faults(*answers), every_s=0)
    assert [sample.value for metric in faults_in_force.COUNT.collect() for sample in metric.samples] == expected
