"""Idempotent replays: stored responses, and the errors where a key belongs to another request."""

from __future__ import annotations

from prometheus_client import Counter

from orders_svc.ports import Answer, Request, Stored
from orders_svc.refusals import RequestInProgress
from runtime.refusals import IdempotencyKeyReused

REPLAYED = Counter("orders_replayed", "Idempotent replays: stored answers that were returned again.")


def replay(stored: Stored, request: Request) -> Answer:
    """
    Return the stored response; raise `IdempotencyKeyReused` if the request was another one.
    """
    if stored.fingerprint != request.fingerprint:
        raise key_reused(request)
    REPLAYED.inc()
    return stored.answer


def key_reused(request: Request) -> IdempotencyKeyReused:
    """
    Return the error for a request whose id was used for another.
    """
    return IdempotencyKeyReused.of(request.request_id)


def taken_by(request: Request | None) -> Request:
    """
    Return the request whose key was found taken; without a key none can be.
    """
    if request is None:
        raise RuntimeError("conflict on a request without idempotency key")
    return request


def in_progress(request: Request) -> RequestInProgress:
    """
    Return the error for a request that can be neither stored nor found stored right now.
    """
    return RequestInProgress(
        "a request with this id is in progress", metadata={"request_id": request.request_id}, retry_after_s=1
    )
