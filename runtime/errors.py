"""
The errors that services raise.

Only the standard library, so that every domain can use them. `runtime.status` maps them to gRPC and back; nothing else
knows both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FieldViolation:
    """An invalid field of the request, such as `order.lines[2].quantity`, and why."""

    field: str
    description: str


@dataclass(frozen=True)
class Violation:
    """A precondition that does not hold: its type (UPPER_SNAKE), its subject, and why."""

    type: str
    subject: str
    description: str


class Error(Exception):
    """
    What a caller receives; *message* is for people, `reason` for programs.

    Each dynamic part of the message is also in *metadata*. *retry_after_s* is
    given where waiting helps.
    """

    reason: str = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
        fields: Sequence[FieldViolation] = (),
        violations: Sequence[Violation] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or type(self).reason
        self.metadata = dict(metadata or {})
        self.fields = tuple(fields)
        self.violations = tuple(violations)
        self.retry_after_s = retry_after_s


class InvalidArgument(Error):
    """The request is invalid whatever the state of the system."""

    reason = "INVALID_ARGUMENT"


class NotFound(Error):
    """The resource does not exist, or not for this caller."""

    reason = "NOT_FOUND"


class AlreadyExists(Error):
    """The resource to create exists already."""

    reason = "ALREADY_EXISTS"


class FailedPrecondition(Error):
    """The state of the system does not allow it; a retry fails until the state changes."""

    reason = "FAILED_PRECONDITION"


class Aborted(Error):
    """Lost a race with a concurrent call; a retry may succeed."""

    reason = "ABORTED"


class PermissionDenied(Error):
    """The caller lacks permission."""

    reason = "PERMISSION_DENIED"


class Unauthenticated(Error):
    """The caller is not authenticated."""

    reason = "UNAUTHENTICATED"


class ResourceExhausted(Error):
    """A limit is reached; waiting helps."""

    reason = "RESOURCE_EXHAUSTED"


class DeadlineExceeded(Error):
    """The caller's deadline is over."""

    reason = "DEADLINE_EXCEEDED"


class Unavailable(Error):
    """A dependency does not respond; waiting helps."""

    reason = "UNAVAILABLE"


class Internal(Error):
    """An internal error."""

    reason = "INTERNAL"
