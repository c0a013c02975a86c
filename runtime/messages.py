"""
Requests as the bytes that they arrive in.

gRPC answers what it cannot read with INTERNAL or UNKNOWN, which a breaker takes for a fault of the replica, and leaves
a call that ends without a message unanswered until its deadline (grpc.aio). Read here, both are the caller's mistake
and told at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from runtime import errors

Deserializer = Callable[[bytes], Message]
# What takes many requests at a time is named so (AIP-231 and its siblings).
BATCH = "Batch"
# And what only reads (AIP-131, 132 and 231); the others are ours.
READS = ("Get", "List", "BatchGet", "Watch", "Check")


def is_batch(method: str) -> bool:
    """
    Return whether *method* (`/package.Service/Method`) takes many requests at a time.
    """
    return method.rpartition("/")[2].startswith(BATCH)


def is_read(method: str) -> bool:
    """
    Return whether *method* changes nothing, so that a repeat of it needs no key.
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
    Return *message* as the method's request; `InvalidArgument` if it is none.
    """
    try:
        return deserializer(message)
    except (DecodeError, ValueError) as error:
        raise errors.InvalidArgument(
            "the message is not a request of this method", reason="UNREADABLE_MESSAGE"
        ) from error


def merge(request: Any, name: str, value: str, *, header: str) -> None:
    """
    Set the field *name* of *request* to the *value* of a *header*; `InvalidArgument` if it is another one or unknown.
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
    Return the error for a *header* that says what the method has no field for.
    """
    return errors.InvalidArgument(
        f"the header {header} has no meaning for this method",
        fields=[errors.FieldViolation(header, "this method has no such field")],
    )
