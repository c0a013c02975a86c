"""Errors common to every service: one class, and so one reason and one code, for each condition."""

from __future__ import annotations

from runtime.errors import InvalidArgument, PermissionDenied


class IdempotencyKeyReused(InvalidArgument):
    """The request id was used for another request before."""

    reason = "IDEMPOTENCY_KEY_REUSED"

    @classmethod
    def of(cls, request_id: str) -> IdempotencyKeyReused:
        """
        Return the error of a request whose id was used for another.
        """
        return cls("the request id was used for another request", metadata={"request_id": request_id})


class OperatorOnly(PermissionDenied):
    """Only operators of the shop may do this."""

    reason = "OPERATOR_ONLY"
