"""
Requests as received bytes.

gRPC answers unparsable messages with INTERNAL or UNKNOWN, which a breaker counts as a failure of the replica, and
leaves a call that ends without a message unanswered until its deadline (grpc.aio). Parsed here, both are the caller's
error, reported at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from runtime import errors

Deserializer = Callable[[bytes], Message]
# The names of batch methods (AIP-231 and its siblings).
BATCH = "Batch"
# The names of read methods (AIP-131, 132 and 231); the others are ours.
READS = ("Get", "List", "BatchGet", "Watch", "Check")


def is_batch(method: str) -> bool:
    """
    Return whether *method* (`/package.Service/Method`) takes several requests at a time.
    """
    return method.rpartition("/")[2].startswith(BATCH)


def is_read(method: str) -> bool:
    """
    Return whether *method* changes nothing, so that a retry needs no key.
    """
    return method.rpartition("/")[2].startswith(READS)


async def receive(context: grpc.aio.ServicerContext[Any, Any], *, limit: int, within_s: float) -> bytes:
    """
    Return the call's message; `InvalidArgument` if there is none within *within_s*, or it has more than *limit* bytes.
    """
    read: Awaitable[Any] = context.read()
    try:
        async with asyncio.timeout(within_s):
            message = await read
    except TimeoutError as error:
        raise errors.InvalidArgument("the call has no whole message", reason="INCOMPLETE_MESSAGE") from error
    if not isinstance(message, bytes):
        raise errors.InvalidArgument("the call has no whole message", reason="INCOMPLETE_MESSAGE")
    if len(message) > limit:
        raise errors.InvalidArgument(
            f"the message has {len(message)} bytes; {limit} at most",
            reason="MESSAGE_TOO_LARGE",
            metadata={"bytes": str(len(message)), "max_bytes": str(limit)},
        )
    return message


def parse(message: bytes, deserializer: Deserializer) -> Message:
    """
    Parse *message* as the method's request; `InvalidArgument` if it is malformed.
    """
    try:
        return deserializer(message)
    except (DecodeError, ValueError) as error:
        raise errors.InvalidArgument(
            "the message is not a request of this method", reason="UNREADABLE_MESSAGE"
        ) from error


def merge(request: Any, name: str, value: str, *, header: str) -> None:
    """
    Set the field *name* of *request* to the *value* of a *header*; `InvalidArgument` if it differs or is unknown.
    """
    if not value:
        raise errors.InvalidArgument(
            f"the header {header} is empty", fields=[errors.FieldViolation(header, "must not be empty")]
        )
    if getattr(request, name) not in ("", value):
        raise errors.InvalidArgument(
            f"{name} and the header {header} differ",
            fields=[errors.FieldViolation(name, f"differs from the header {header}")],
        )
    setattr(request, name, value)


def without_field(header: str) -> errors.InvalidArgument:
    """
    Return the error for a *header* for which the method has no field.
    """
    return errors.InvalidArgument(
        f"the header {header} has no meaning for this method",
        fields=[errors.FieldViolation(header, "this method has no such field")],
    )
