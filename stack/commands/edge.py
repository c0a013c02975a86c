"""
The edge as a web client sees it: places an order and cancels it.
"""

import time
import uuid

from shop_client import rest
from shop_client.plain import NoOrder, Plain, place_patiently
from stack import customer
from stack.errors import StackError
from stack.progress import Progress
from stack.settings import Settings

TIMEOUT_S = 120
POLL_S = 0.5
# The customer in whose name the commands place orders.
BUYER = "demo"
CALL_S = 5


class EdgeRefuses(StackError):
    """No order was accepted in time; the message has the last response."""


def wait_for_order(settings: Settings, progress: Progress) -> None:
    """
    Wait until the edge accepts an order, then cancel it.

    Raises `EdgeRefuses` after 120 s.
    """
    key, client = f"up-{uuid.uuid4()}", shop(settings)
    deadline = time.monotonic() + TIMEOUT_S
    try:
        order = place_patiently(client, within_s=TIMEOUT_S, every_s=POLL_S, key=key)
    except NoOrder as error:
        raise EdgeRefuses(str(error)) from error
    _cancel(client, order["name"], f"{key}-cancel", deadline)
    progress.say(f"edge: {order['name']} was placed ({order['state']}) and cancelled")


def shop(settings: Settings) -> Plain:
    """Return a client of the edge that calls as the commands' customer."""
    return Plain(settings.edge_url, customer.token(settings, BUYER), timeout_s=CALL_S)


def _cancel(client: Plain, name: str, key: str, deadline: float) -> None:
    """Cancel the order, retrying until there is a response."""
    while True:
        try:
            answer = rest.cancel(client, name, key)
            if answer.status_code == 200:
                return
            last_answer = str(answer)
        except OSError as error:
            last_answer = f"{type(error).__name__}: {error}"
        if time.monotonic() > deadline:
            raise EdgeRefuses(f"{client.url} did not cancel {name}: {last_answer}")
        time.sleep(POLL_S)
