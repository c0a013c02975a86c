"""
Converts Istio's small values (durations, percentages, addresses) to Envoy's messages, and packs messages into `Any`
(istio: pilot/pkg/util/protoconv).
"""

from typing import Any

from envoy.config.core.v3 import address_pb2
from envoy.type.matcher.v3 import regex_pb2, string_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import any_pb2, descriptor_pool, duration_pb2, message_factory, wrappers_pb2
from google.protobuf.message import Message

from translator.model.values import Block, nanoseconds

TYPE_PREFIX = "type.googleapis.com/"
ANY = "google.protobuf.Any"


def duration(text: str) -> duration_pb2.Duration:
    """
    Envoy's duration from Istio's text.
    """
    message = duration_pb2.Duration()
    message.FromNanoseconds(nanoseconds(text))
    return message


def millionths(percentage: Block | None) -> percent_pb2.FractionalPercent:
    """
    Return Istio's `percentage` block in parts per million, truncated; an absent block means none.
    """
    value = (percentage or {}).get("value", 0)
    return percent_pb2.FractionalPercent(
        numerator=int(value * 10_000), denominator=percent_pb2.FractionalPercent.MILLION
    )


def hundredths(value: int) -> percent_pb2.FractionalPercent:
    """
    Return a whole number of percent.
    """
    return percent_pb2.FractionalPercent(numerator=value, denominator=percent_pb2.FractionalPercent.HUNDRED)


def regex(pattern: str) -> regex_pb2.RegexMatcher:
    """
    Return a regular expression in RE2's language.
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
    Wrap a number whose absence is meaningful.
    """
    return wrappers_pb2.UInt32Value(value=number)


def boolean(value: bool) -> wrappers_pb2.BoolValue:
    """
    Wrap a boolean whose absence is meaningful.
    """
    return wrappers_pb2.BoolValue(value=value)


def packed(content: Message) -> any_pb2.Any:
    """
    Pack *content* into an `Any` for Envoy's extensions, deterministically.
    """
    result = any_pb2.Any()
    result.Pack(content, deterministic=True)
    return result


def unpacked(content: Any) -> Message:
    """
    Unpack an `Any`.
    """
    descriptor = descriptor_pool.Default().FindMessageTypeByName(content.type_url.removeprefix(TYPE_PREFIX))
    result: Message = message_factory.GetMessageClass(descriptor)()
    result.ParseFromString(content.value)
    return result


def socket_address(host: str, port: int) -> address_pb2.Address:
    """
    Return a TCP address.
    """
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=host, port_value=port))
