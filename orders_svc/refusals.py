"""What orders refuse, and why: the errors of the domain."""

from __future__ import annotations

from runtime.errors import Aborted, Error, FailedPrecondition, NotFound


class IllegalTransition(FailedPrecondition):
    """The order can't move there from where it stands."""

    reason = "ILLEGAL_TRANSITION"


class OrderNotFound(NotFound):
    """There is no such order, or it belongs to another customer."""

    reason = "ORDER_NOT_FOUND"


class RequestRefused(FailedPrecondition):
    """The request id's order came to nothing before; another try needs another id."""

    reason = "REQUEST_REFUSED"


class RequestInProgress(Aborted):
    """A request with the same id is being worked on."""

    reason = "REQUEST_IN_PROGRESS"


class OrderChanged(Aborted):
    """The order is not, or no longer, the one that the caller has seen."""

    reason = "ORDER_CHANGED"


class OrderBusy(Aborted):
    """Others keep changing the order at the same time."""

    reason = "ORDER_BUSY"


def not_found(name: str) -> Error:
    """
    Return the error for an order that is not there, or not the caller's.
    """
    return OrderNotFound(f"{name} does not exist", metadata={"order": name})
