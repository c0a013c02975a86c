"""`make export-customer` and `make erase-customer`, on a scripted edge."""

import json

import pytest

from shop_client.plain import Answer
from stack.commands import customer_data
from stack.commands.customer_data import NoCustomerData, erase_all, exported

DONE = {"orders": "0", "requests": "0", "remainingOrders": "0", "openOrders": "0", "remainingRequests": "0"}


class Edge:
    """Answers each call with the next of *answers*: a status and a body, or an error to raise."""

    url = "http://edge"

    def __init__(self, *answers):
        self.answers, self.calls = list(answers), []

    def post(self, path, *, json, headers):
        self.calls.append((path, json))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Answer(answer[0], _text(answer[1]))


def _text(body):
    return json.dumps(body)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(customer_data, "PAUSE_S", 0)


def left(count, *, done=False, **further):
    return 200, {**DONE, "remainingOrders": str(count), "done": done, **further}


def test_every_page_is_exported():
    pages = [
        {"orders": [{"a": 1}], "requests": [], "nextPageToken": "t"},
        {"orders": [], "requests": [{"b": 2}], "nextPageToken": ""},
    ]
    edge = Edge(*((200, page) for page in pages))
    assert list(exported(edge, "a b")) == [{"a": 1}, {"b": 2}]
    assert [body["pageToken"] for _, body in edge.calls] == ["", "t"]
    assert {(path, body["name"]) for path, body in edge.calls} == {("/v1/customers:export", "customers/a%20b")}


def test_nothing_is_erased_unless_it_is_said_to_be_sure():
    edge, said = Edge(left(3)), []
    erase_all(edge, "ana", reference="", sure=False, say=said.append)
    assert edge.calls == [("/v1/customers:erase", {"name": "customers/ana", "validateOnly": True})]
    assert said[0].startswith("customers/ana: 3 orders")
    assert "SURE=yes" in said[1]


def test_an_erasure_is_repeated_until_it_is_done_and_says_how_far_it_is():
    edge, said = Edge(left(3), left(1, orders="2"), left(0, orders="1", done=True)), []
    erase_all(edge, "ana", reference="T-1", sure=True, say=said.append)
    assert [body.get("reference") for _, body in edge.calls] == [None, "T-1", "T-1"]
    assert "erased 2 orders" in said[1]
    assert said[-1].startswith("Done")


def test_a_call_that_was_lost_is_repeated():
    edge = Edge(ConnectionError("cut"), (503, {}), left(0, done=True))
    erase_all(edge, "ana", reference="", sure=True, say=lambda _: None)
    assert edge.answers == []


def test_calls_without_progress_are_paused_between_and_end_it(monkeypatch):
    pauses = []
    monkeypatch.setattr(customer_data.time, "sleep", pauses.append)
    edge, said = Edge(left(3), *[left(3)] * (customer_data.TRIES - 1), left(2, orders="1"), *[left(2)] * 50), []
    with pytest.raises(NoCustomerData, match="in a row erased nothing"):
        erase_all(edge, "ana", reference="", sure=True, say=said.append)
    assert len(edge.calls) == 1 + 2 * customer_data.TRIES
    assert len(pauses) == 2 * (customer_data.TRIES - 1)


def test_open_orders_end_it_at_once():
    edge = Edge(left(1), (400, {"message": "1 orders of the customer are not final"}))
    with pytest.raises(NoCustomerData, match="not final"):
        erase_all(edge, "ana", reference="", sure=True, say=lambda _: None)


def test_an_edge_that_is_away_ends_it_after_some_tries():
    edge = Edge(*[ConnectionError("cut")] * customer_data.TRIES)
    with pytest.raises(NoCustomerData, match="cut"):
        list(exported(edge, "ana"))
