"""
Parses the blocks of a resource and the durations in them.
"""

import re
from collections.abc import Mapping
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
    "ns": 1,
}
PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(h|ms|us|µs|ns|m|s)")
LARGEST_DURATION_NS = 315_576_000_000 * 1_000_000_000


def nanoseconds(text: str) -> int:
    """
    Return the length of a duration as Go and Istio write it: `1h30m`, `250ms`, `0.5s`.
    """
    if text == "0":
        return 0
    parts = PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise BlockError("", f"{text!r} is not a duration; examples are 250ms, 1.5s or 1h30m")
    total = sum(round(float(number) * UNITS_NS[unit]) for number, unit in parts)
    if total > LARGEST_DURATION_NS:
        raise BlockError("", f"{text!r} exceeds the maximum duration")
    return total
