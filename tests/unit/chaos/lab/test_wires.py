"""What a client concludes from a response: the call happened, did not happen, or is unknown."""

import httpx
import pytest

from chaos.lab.history import Outcome
from chaos.lab.wires import Rest, refused

ORDER = {"name": "orders/1", "state": "PENDING", "version": "1"}


def client(answer):
    def answered(request):
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    return Rest(httpx.AsyncClient(base_url="http://shop", transport=httpx.MockTransport(answered)))


async def test_a_created_order_is_returned_with_its_state():
    answer = await client(httpx.Response(202, json=ORDER)).place({"products/tea": 1}, "k")
    assert answer.outcome is Outcome.OK
    assert answer.response == {"status": 202, "order": "orders/1", "state": "PENDING", "version": 1}
    assert not answer.again


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (httpx.ConnectError("refused"), Outcome.FAILED),
        (httpx.ReadTimeout("late"), Outcome.UNKNOWN),
        (httpx.RemoteProtocolError("closed"), Outcome.UNKNOWN),
        (httpx.Response(201, text="{"), Outcome.UNKNOWN),
    ],
)
async def test_only_a_refused_connection_is_a_definite_failure(error, outcome):
    answer = await client(error).place({"products/tea": 1}, "k")
    assert (answer.outcome, answer.again) == (outcome, True)


@pytest.mark.parametrize(
    ("status", "reason", "outcome", "again"),
    [
        (400, "OUT_OF_STOCK", Outcome.FAILED, False),
        (409, "REQUEST_IN_PROGRESS", Outcome.FAILED, True),
        (409, "ORDER_CHANGED", Outcome.FAILED, False),
        (429, "OVERLOADED", Outcome.FAILED, True),
        (408, "REQUEST_TOO_SLOW", Outcome.UNKNOWN, True),
        (503, "UNAVAILABLE", Outcome.UNKNOWN, True),
        (504, "SERVICE_TIMEOUT", Outcome.UNKNOWN, True),
    ],
)
def test_an_error_tells_whether_the_call_may_have_happened_and_may_be_retried(status, reason, outcome, again):
    answer = refused(status, reason)
    assert (answer.outcome, answer.again) == (outcome, again)


async def test_all_pages_are_read():
    def page(request):
        token = request.url.params.get("pageToken", "")
        body = {"orders": [{"name": f"orders/{token or 1}"}], "nextPageToken": "2" if not token else ""}
        return httpx.Response(200, json=body)

    assert (await client(page).orders()).response["orders"] == ["orders/1", "orders/2"]


async def test_an_incomplete_list_is_not_a_result():
    answer = await client(httpx.Response(503, json={"details": [{"reason": "UNAVAILABLE"}]})).orders()
    assert (answer.outcome, answer.response["reason"]) == (Outcome.UNKNOWN, "UNAVAILABLE")
