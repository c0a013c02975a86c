"""The table of all attacks, in the order in which they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chaos.hostile import floods, malformed, numbers, rest, slow
from chaos.hostile.target import Attack

# The most likely mistakes of an internal service; the other forms need malicious intent.
INSIDE = (
    "no-te",
    "no-message",
    "cut-frame",
    "4-gib-frame",
    "unparsable",
    "compressed-unsaid",
    "unknown-encoding",
    "gzip-bomb",
    "binary-metadata",
    "load-report",
    "attempts",
    "pushback",
    "short-timeout",
    "odd-timeout",
    "content-type",
    "unknown-method",
)


@dataclass(frozen=True)
class Row:
    """
    An attack with its name; *least_s* is the time it needs to take effect, *streams* how many calls it opens at once,
    if that is more than a thousand.
    """

    name: str
    attack: Attack
    least_s: float = 0.0
    streams: int = 0


def _named(prefix: str, attacks: Mapping[str, Attack], *, least_s: float = 0.0) -> list[Row]:
    return [Row(f"{prefix}-{name}", attack, least_s) for name, attack in attacks.items()]


ROWS: Sequence[Row] = (
    *_named("grpc", {name: malformed.at_the_edge(form) for name, form in malformed.FORMS.items()}),
    Row("grpc-not-utf8", malformed.strings_not_utf8),
    *_named(
        "rest",
        {
            "not-utf8": rest.not_utf8,
            "grpc-timeout": rest.grpc_timeout,
            "control-headers": rest.control_headers,
            "fields": rest.fields,
            "long-heads": rest.long_heads,
            "json": rest.json,
            "bad-lines": rest.bad_lines,
            "too-large": rest.too_large,
            "gzip-bomb": rest.gzip_bomb,
            "smuggled": rest.smuggled,
            "odd-tokens": numbers.odd_tokens,
        },
    ),
    *_named(
        "many",
        {
            "empty-lines": numbers.empty_lines,
            "empty-lines-in-batches": numbers.empty_lines_in_a_batch,
            "bytes-of-a-message": numbers.large_messages,
            "bytes-of-metadata": numbers.large_metadata,
            "connections": numbers.new_connections,
            "anonymous-calls": numbers.anonymous_flood,
            "calls-of-a-customer": numbers.customers_flood,
            "forged-tokens": numbers.forged_tokens,
        },
    ),
    Row("many-batches", numbers.batches, least_s=5),
    Row("many-watchers", numbers.watchers, least_s=5, streams=numbers.WATCHERS),
    *_named(
        "slow",
        {
            "bodies-never-sent": slow.bodies_never_sent,
            "anonymous-bodies": slow.anonymous_bodies,
            "endless-bodies-of-a-customer": slow.endless_bodies_of_a_customer,
            "headers": slow.headers_byte_by_byte,
            "idle-connections": slow.idle_connections,
            "empty-streams": slow.empty_streams,
            "anonymous-empty-streams": slow.anonymous_empty_streams,
            "readers": slow.slow_readers,
        },
        least_s=5,
    ),
    *_named(
        "http2",
        {
            "rapid-resets": floods.flood(floods.rapid_resets),
            "continuations": floods.flood(floods.continuations),
            "hpack-bomb": floods.flood(floods.hpack_bomb),
            "settings": floods.flood(floods.settings),
            "pings": floods.flood(floods.pings),
            "priorities": floods.flood(floods.priorities),
            "empty-data": floods.flood(floods.empty_data),
            "windows": floods.flood(floods.windows),
            "broken": floods.flood(floods.broken),
        },
    ),
    *_named("inside", {name: malformed.from_inside(malformed.FORMS[name]) for name in INSIDE}),
    Row("inside-not-utf8", malformed.strings_not_utf8_inside),
    Row("inside-empty-lines", numbers.empty_lines_inside),
)


def chosen(names: str) -> list[Row]:
    """
    Return the rows that *names* lists, each a name or a prefix, separated by commas; all rows for an empty string.

    Raises `LookupError` that names the unknown row.
    """
    if not names:
        return list(ROWS)
    found: dict[str, Row] = {}
    for name in names.split(","):
        matching = {row.name: row for row in ROWS if row.name == name} or {
            row.name: row for row in ROWS if row.name.startswith(name)
        }
        if not matching:
            raise LookupError(f"there is no row {name!r}; there are {', '.join(row.name for row in ROWS)}")
        found |= matching
    return list(found.values())
