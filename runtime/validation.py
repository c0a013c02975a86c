"""
The contract's protovalidate rules, with bounded work and a bounded error.

The number of items of each field is checked first: that is cheap, and everything after it costs per item.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import protovalidate
from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from runtime import errors

# The depth of nested messages; none of the contract is as deep.
MAX_DEPTH = 8
MAX_TURN_S = 0.005
Counted = tuple[tuple[str, ...], int]
"""The path to a repeated field, and its most items."""


def check(request: Message, *, first_only: bool = False) -> None:
    """
    Raise `InvalidArgument` with the fields of *request* that violate a rule of the contract.

    With *first_only* it stops at the first, which bounds the cost of one invalid part of a batch.
    """
    fields = list(_too_many(request)) or [
        errors.FieldViolation(_path(each.proto.field), each.proto.message)
        for each in protovalidate.collect_violations(request, fail_fast=first_only)
    ]
    if not fields:
        return
    first = fields[0]
    raise errors.InvalidArgument(f"{first.field}: {first.description}", fields=fields)


class Turns:
    """
    Validates the parts of batches, all concurrent ones together, and yields to other tasks every 5 ms.

    Of each part only the first violation is reported, so that an invalid part costs no more than a valid one.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._since = 0.0

    async def check(self, part: Message) -> None:
        """
        Raise `InvalidArgument` if *part* violates a rule of the contract.
        """
        async with self._lock:
            if time.monotonic() - self._since > MAX_TURN_S:
                await asyncio.sleep(0)
                self._since = time.monotonic()
            check(part, first_only=True)


def _too_many(request: Message) -> Iterator[errors.FieldViolation]:
    for path, most in _counted(request.DESCRIPTOR):
        *outer, last = path
        holder: Any = request
        for name in outer:
            holder = getattr(holder, name)
        count = len(getattr(holder, last))
        if count > most:
            yield errors.FieldViolation(".".join(path), f"has {count} items; {most} at most")


@cache
def _counted(message: Descriptor) -> tuple[Counted, ...]:
    return tuple(_bounds(message, (), MAX_DEPTH))


def _bounds(message: Descriptor, path: tuple[str, ...], deeper: int) -> Iterator[Counted]:
    """
    Find the fields with `max_items`, in *message* and in its singular submessages.
    """
    for field in message.fields:
        way = (*path, field.name)
        if field.is_repeated:
            rules = field.GetOptions().Extensions[validate_pb2.field].repeated
            if rules.HasField("max_items"):
                yield way, rules.max_items
        elif field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type is not None and deeper:
            yield from _bounds(field.message_type, way, deeper - 1)


def _path(field: Any) -> str:
    """
    Return a readable field path: `order.lines[2].quantity`.
    """
    parts = []
    for element in field.elements if field is not None else ():
        subscript = element.subscript
        index = "" if subscript is None else f"[{subscript.value}]"
        parts.append(f"{element.field_name}{index}")
    return ".".join(parts)
