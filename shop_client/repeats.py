"""
Which answers a client may meet with the same call and the same key, as the contract has it (protos/reasons.yaml).

It needs nothing installed; a test holds it against the contract's table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# HTTP statuses and gRPC codes after which the same call may well succeed, whatever the reason.
STATUSES = frozenset({408, 429, 499, 500, 502, 503, 504})
# UNKNOWN is no code of ours: what is between says so of a call whose end it did not see.
CODES = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "CANCELLED", "INTERNAL", "UNKNOWN"})
# Of a conflict (409, ABORTED) only these pass; after any other the resource is read first, and the key is another.
REASONS = frozenset({"REQUEST_IN_PROGRESS", "ORDER_BUSY"})
# How long a call that had no answer may still be under way.
UNDER_WAY_S = 15.0


def after_status(status: int, reason: str) -> bool:
    """
    Return whether a REST call that was answered so may be repeated as it was.
    """
    return status in STATUSES or reason in REASONS


def after_code(code: str, reason: str) -> bool:
    """
    Return whether a gRPC call that ended so may be repeated as it was.
    """
    return code in CODES or reason in REASONS


def reason_of(error: Mapping[str, Any]) -> str:
    """
    Return the reason in the JSON of an error; empty if it has none.
    """
    try:
        return str(next(each["reason"] for each in error["details"] if "reason" in each))
    except (KeyError, TypeError, StopIteration):
        return ""
