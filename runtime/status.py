"""
Conversion of our errors to `google.rpc.Status` and back.

Source: google/rpc/code.proto and google/rpc/error_details.proto.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2 as details
from google.rpc.status_pb2 import Status

from runtime import errors

DETAILS_KEY = "grpc-status-details-bin"
# A status is sent in trailers, of which clients and proxies accept about 8 kB: all of it stays below 4 kB.
MAX_LISTED = 20
MAX_LISTED_BYTES = 1800
MAX_TEXT_BYTES = 200
MAX_METADATA = 6
# In ErrorInfo.metadata: how many fields or violations are omitted.
OMITTED = "omitted"
_CODES: dict[type[errors.Error], grpc.StatusCode] = {
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Aborted: grpc.StatusCode.ABORTED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.Internal: grpc.StatusCode.INTERNAL,
}
_ERRORS: dict[int, type[errors.Error]] = {code.value[0]: kind for kind, code in _CODES.items()}
_BY_NUMBER: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def code_of(error: errors.Error) -> grpc.StatusCode:
    """
    Return the gRPC code of *error*.
    """
    return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), grpc.StatusCode.INTERNAL)


def to_status(error: errors.Error, domain: str) -> Status:
    """
    Return *error* as a status of the service *domain*, its ErrorInfo first; details beyond the limit are left out.
    """
    status = Status(code=code_of(error).value[0], message=_short(error.message))
    given = list(error.metadata.items())[:MAX_METADATA]
    metadata = {_short(name): _short(value) for name, value in given}
    optional, omitted = _optional_details(error)
    if omitted:
        metadata[OMITTED] = str(omitted)
    info = details.ErrorInfo(reason=error.reason, domain=domain, metadata=metadata)
    for detail in (info, *optional):
        status.details.add().Pack(detail)
    return status


def _optional_details(error: errors.Error) -> tuple[list[Message], int]:
    """
    Return the details of *error* besides its ErrorInfo, and how many of their entries are left out.
    """
    fields = [
        details.BadRequest.FieldViolation(field=_short(each.field), description=_short(each.description))
        for each in error.fields[:MAX_LISTED]
    ]
    violations = [
        details.PreconditionFailure.Violation(
            type=_short(each.type), subject=_short(each.subject), description=_short(each.description)
        )
        for each in error.violations[:MAX_LISTED]
    ]
    listed = _first([*fields, *violations])
    found: list[Message] = []
    if some := [each for each in listed if isinstance(each, details.BadRequest.FieldViolation)]:
        found.append(details.BadRequest(field_violations=some))
    if some := [each for each in listed if isinstance(each, details.PreconditionFailure.Violation)]:
        found.append(details.PreconditionFailure(violations=some))
    if error.retry_after_s is not None:
        delay = Duration()
        delay.FromNanoseconds(int(error.retry_after_s * 1e9))
        found.append(details.RetryInfo(retry_delay=delay))
    return found, len(error.fields) + len(error.violations) - len(listed)


def _first(listed: Sequence[Message]) -> list[Message]:
    """
    Return as many of *listed* as fit in a trailer.
    """
    ends = itertools.accumulate(each.ByteSize() for each in listed)
    return [each for each, end in zip(listed, ends, strict=True) if end <= MAX_LISTED_BYTES]


def _short(text: str) -> str:
    raw = text.encode(errors="replace")
    return text if len(raw) <= MAX_TEXT_BYTES else raw[: MAX_TEXT_BYTES - 3].decode(errors="ignore") + "..."


def from_status(status: Status) -> errors.Error:
    """
    Return the error in *status*; a code without a class of ours is `Internal`.
    """
    kind = _ERRORS.get(status.code, errors.Internal)
    parts = _Parts()
    for detail in status.details:
        parts.read(detail)
    return kind(
        status.message or _BY_NUMBER.get(status.code, grpc.StatusCode.UNKNOWN).name,
        reason=parts.info.reason or kind.reason,
        metadata=parts.info.metadata,
        fields=parts.fields,
        violations=parts.violations,
        retry_after_s=parts.retry_after_s,
    )


class _Parts:
    """The known details of a status."""

    def __init__(self) -> None:
        self.info = details.ErrorInfo()
        self.fields: list[errors.FieldViolation] = []
        self.violations: list[errors.Violation] = []
        self.retry_after_s: float | None = None

    def read(self, detail: Any) -> None:
        """
        Add one detail; unknown types are skipped.
        """
        bad, failed, retry = details.BadRequest(), details.PreconditionFailure(), details.RetryInfo()
        if detail.Unpack(self.info):
            return
        if detail.Unpack(bad):
            self.fields += [errors.FieldViolation(v.field, v.description) for v in bad.field_violations]
        elif detail.Unpack(failed):
            self.violations += [errors.Violation(v.type, v.subject, v.description) for v in failed.violations]
        elif detail.Unpack(retry):
            self.retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9


def from_rpc_error(error: grpc.aio.AioRpcError) -> errors.Error:
    """
    Return the error of a failed call: the server's own, or the mesh's.
    """
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY:
            try:
                return from_status(Status.FromString(value if isinstance(value, bytes) else value.encode()))
            except DecodeError:
                break
    return from_status(Status(code=error.code().value[0], message=error.details() or ""))
