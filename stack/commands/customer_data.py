"""
`make export-customer` and `make erase-customer`: what is stored about a customer, from the operators' RPCs.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from runtime.caller import customer_name
from shop_client import repeats
from shop_client.plain import Plain
from stack import customer
from stack.command_table import yes
from stack.errors import StackError
from stack.run.running import require_running
from stack.settings import Settings

ASKING = "operator"
CALL_S = 40
"""Longer than the edge waits for a page or a slice."""
TRIES, PAUSE_S = 10, 1.0


class NoCustomerData(StackError):
    """The call failed; the message has the response."""


def export(chosen: Settings, options: argparse.Namespace) -> int:
    """Print what is stored about a customer: a line of JSON for each order and each request id."""
    require_running(chosen)
    for each in exported(operator(chosen), options.customer):
        sys.stdout.write(f"{json.dumps(each, ensure_ascii=False)}\n")
    return 0


def erase(chosen: Settings, options: argparse.Namespace) -> int:
    """Count what is stored about a customer, and erase who they were if it is said to be sure."""
    require_running(chosen)
    erase_all(
        operator(chosen), options.customer, reference=options.reference, sure=yes("SURE", options.sure), say=print
    )
    return 0


def operator(chosen: Settings) -> Plain:
    """Return a client of the edge that calls as an operator."""
    return Plain(chosen.edge_url, customer.token(chosen, ASKING, operator=True), timeout_s=CALL_S)


def exported(edge: Plain, subject: str) -> Iterator[dict[str, Any]]:
    """
    Yield each order of the customer with its versions, then each request id, in as many calls as there are pages.

    Raises `NoCustomerData`.
    """
    token = ""
    while True:
        page = _call(edge, "export", {"name": customer_name(subject), "pageToken": token})
        yield from page.get("orders", [])
        yield from page.get("requests", [])
        token = page.get("nextPageToken", "")
        if not token:
            return


def erase_all(edge: Plain, subject: str, *, reference: str, sure: bool, say: Callable[[str], None]) -> None:
    """
    Erase the customer if *sure*, in as many calls as it takes, and *say* how far it is.

    Raises `NoCustomerData`, also while the customer has open orders, and after `TRIES` calls without progress.
    """
    name = customer_name(subject)
    left = _call(edge, "erase", {"name": name, "validateOnly": True})
    say(f"{name}: {_left(left)}")
    if not sure:
        say("Nothing was erased. It cannot be undone: say SURE=yes to do it.")
        return
    idle = 0
    while not left["done"]:
        left = _call(edge, "erase", {"name": name, "reference": reference})
        say(f"erased {left['orders']} orders and {left['requests']} request ids; {_left(left)}")
        idle = idle + 1 if _nothing_done(left) else 0
        if idle == TRIES:
            raise NoCustomerData(f"{TRIES} calls in a row erased nothing: does another erasure go on? Repeat it later")
        if idle:
            time.sleep(PAUSE_S)
    say("Done: no table has the name. docs/security.md says what else has it, and for how long.")


def _nothing_done(answer: dict[str, Any]) -> bool:
    return not (answer["done"] or int(answer["orders"]) or int(answer["requests"]))


def _left(answer: dict[str, Any]) -> str:
    orders, open_, ids = answer["remainingOrders"], answer["openOrders"], answer["remainingRequests"]
    return f"{orders} orders, {open_} of them open, and {ids} request ids are left"


def _call(edge: Plain, verb: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the answer, from another try if one may help: a call that was lost has done its part or none."""
    last = ""
    for number in range(TRIES):
        if number:
            time.sleep(PAUSE_S)
        try:
            answer = edge.post(f"/v1/customers:{verb}", json=body, headers={})
            if answer.status_code == 200:
                found: dict[str, Any] = answer.json()
                return found
            last = str(answer)
            if not repeats.after_status(answer.status_code, ""):
                break
        except (OSError, ValueError) as error:
            last = f"{type(error).__name__}: {error}"
    raise NoCustomerData(f"customers:{verb} at {edge.url}: {last}")
