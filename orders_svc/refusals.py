"""The domain errors of orders."""

from __future__ import annotations

from runtime.errors import Aborted, Error, FailedPrecondition, NotFound


class IllegalTransition(FailedPrecondition):
    """The transition is not allowed in the order's state."""

    reason = "ILLEGAL_TRANSITION"


class OrderNotFound(NotFound):
    """There is no such order, or it belongs to another customer."""

    reason = "ORDER_NOT_FOUND"


class RequestRefused(FailedPrecondition):
    """The request id's order was rejected before; another try needs another id."""

    reason = "REQUEST_REFUSED"


class RequestInProgress(Aborted):
    """A request with the same id is in progress."""

    reason = "REQUEST_IN_PROGRESS"


class OrderChanged(Aborted):
    """The order is not in the version that the caller has seen."""

    reason = "ORDER_CHANGED"


class OrderBusy(Aborted):
    """Concurrent calls keep changing the order."""

    reason = "ORDER_BUSY"


class OpenOrders(FailedPrecondition):
    """The customer has orders that are not final, for which they are still needed."""

    reason = "OPEN_ORDERS"


class EventsWaiting(FailedPrecondition):
    """So many events wait for Kafka that a customer's are not looked for among them."""

    reason = "EVENTS_WAITING"


def not_found(name: str) -> Error:
    """
    Return the error for an order that does not exist, or is not the caller's.
    """
    return OrderNotFound(f"{name} does not exist", metadata={"order": name})
