"""
Parses the blocks of a resource and the durations in them.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from translator.model.problems import BlockError

Block = Mapping[str, Any]
UNITS_NS = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ns": 1,
}
PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(h|ms|us|µs|μs|ns|m|s)")
# What Go's time.Duration holds.
LARGEST_DURATION_NS = 2**63 - 1


def nanoseconds(text: str) -> int:
    """
    Return the length of a duration as Go and Istio write it: `1h30m`, `250ms`, `0.5s`; it may be negative.
    """
    sign, unsigned = (-1 if text.startswith("-") else 1), text[1:] if text[:1] in ("+", "-") else text
    if unsigned == "0":
        return 0
    parts = PART.findall(unsigned)
    if not parts or "".join(number + unit for number, unit in parts) != unsigned:
        raise BlockError("", f"{text!r} is no duration; write it like 250ms, 1.5s or 1h30m")
    total = sum(int(Decimal(number) * UNITS_NS[unit]) for number, unit in parts)
    if total > LARGEST_DURATION_NS:
        raise BlockError("", f"{text!r} is too long a duration; the longest is about 292 years")
    return sign * total
