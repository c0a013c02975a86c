"""
Istio's small values (durations, percentages, string matches) as Envoy's messages.
"""

import re
from collections.abc import Mapping
from typing import Any

from envoy.type.matcher.v3 import regex_pb2, string_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import any_pb2, duration_pb2, message, wrappers_pb2

from translator.problems import BlockError

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
    The length of a duration as Go and Istio write it: `1h30m`, `250ms`, `0.5s`.
    """
    if text == "0":
        return 0
    parts = PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise BlockError("", f"{text!r} is no duration; write it like 250ms, 1.5s or 1h30m")
    total = sum(round(float(number) * UNITS_NS[unit]) for number, unit in parts)
    if total > LARGEST_DURATION_NS:
        raise BlockError("", f"{text!r} is too long a duration")
    return total


def duration(text: str) -> duration_pb2.Duration:
    """
    Envoy's duration from Istio's text.
    """
    seconds, nanos = divmod(nanoseconds(text), 1_000_000_000)
    return duration_pb2.Duration(seconds=seconds, nanos=nanos)


def millionths(percentage: Block | None) -> percent_pb2.FractionalPercent:
    """
    Istio's `percentage` block: parts of a million, cut off; a block that is absent means none.
    """
    value = (percentage or {}).get("value", 0)
    return percent_pb2.FractionalPercent(
        numerator=int(value * 10_000), denominator=percent_pb2.FractionalPercent.MILLION
    )


def hundredths(value: int) -> percent_pb2.FractionalPercent:
    """
    A whole number of percent.
    """
    return percent_pb2.FractionalPercent(numerator=value, denominator=percent_pb2.FractionalPercent.HUNDRED)


def regex(pattern: str) -> regex_pb2.RegexMatcher:
    """
    A regular expression in RE2's language.
    """
    return regex_pb2.RegexMatcher(regex=pattern)


def string_match(block: Block, *, ignore_case: bool = False) -> string_pb2.StringMatcher:
    """
    Istio's StringMatch: one of exact, prefix and regex.
    """
    if "regex" in block:
        return string_pb2.StringMatcher(safe_regex=regex(block["regex"]))
    [(how, text)] = block.items()
    return string_pb2.StringMatcher(**{how: text}, ignore_case=ignore_case)


def uint32(number: int) -> wrappers_pb2.UInt32Value:
    """
    A number that can also be absent.
    """
    return wrappers_pb2.UInt32Value(value=number)


def boolean(value: bool) -> wrappers_pb2.BoolValue:
    """
    A yes or no that can also be absent.
    """
    return wrappers_pb2.BoolValue(value=value)


def packed(content: message.Message) -> any_pb2.Any:
    """
    Wrap *content* as Envoy's extensions want it, in the same bytes each time.
    """
    result = any_pb2.Any()
    result.Pack(content, deterministic=True)
    return result
