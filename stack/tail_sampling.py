"""
Which traces are kept, decided by what happened in them instead of at their beginning.

Traces with an error, a slow call or an order that had to wait are always kept, of the others a share. A trace of that
share is chosen by its id, so that each of its spans is, whenever it comes; the spans of the others wait for a few
seconds, in case one that makes the trace worth keeping follows.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Zipkin = Mapping[str, Any]
WAIT_S = 10.0
SLOW_S = 1.0
# Spans that only an order which was accepted as PENDING has.
PENDING = frozenset(("publish pending_orders", "finish pending order"))
# Calls that are open for long by nature, by a part of their name or path.
STREAMS = ("watch",)
MAX_WAITING_SPANS = 20_000
# Traces that are known to be kept; of one that is forgotten, later spans have to be worth keeping again.
MAX_KEPT = 20_000
WHOLE = 1 << 32


class TailSampler:
    """Keeps *percent* of ordinary traces, and all others."""

    def __init__(self, percent: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._below = percent * WHOLE // 100
        self._clock = clock
        self._kept: OrderedDict[str, None] = OrderedDict()
        self._waiting: OrderedDict[str, tuple[float, dict[str, Zipkin]]] = OrderedDict()
        self._spans = 0

    def offer(self, spans: Iterable[Zipkin]) -> list[Zipkin]:
        """
        Take *spans*, and return those to be kept, with earlier ones of their traces that waited.
        """
        found: list[Zipkin] = []
        for span in spans:
            trace = span["traceId"]
            if worth_keeping(span):
                self._keep(trace)
            if self.chosen(trace) or trace in self._kept:
                found += [each for each in self._taken(trace) if each["id"] != span["id"]]
                found.append(span)
            else:
                self._wait(trace, span)
        self._drop()
        return found

    def give_back(self, spans: Iterable[Zipkin]) -> None:
        """
        Keep *spans*, which could not be sent, until the next of their traces are offered or their time is over.
        """
        for span in spans:
            self._wait(span["traceId"], span)
        self._drop()

    def chosen(self, trace: str) -> bool:
        """
        Return whether *trace*, 32 hexadecimal digits, belongs to the share that is kept whatever happens in it.
        """
        return int(trace[-8:], 16) < self._below

    def _keep(self, trace: str) -> None:
        self._kept[trace] = None
        self._kept.move_to_end(trace)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    def _taken(self, trace: str) -> Iterable[Zipkin]:
        _, spans = self._waiting.pop(trace, (0.0, {}))
        self._spans -= len(spans)
        return spans.values()

    def _wait(self, trace: str, span: Zipkin) -> None:
        _, spans = self._waiting.setdefault(trace, (self._clock() + WAIT_S, {}))
        # A sender that got no answer sends the same spans again.
        self._spans += span["id"] not in spans
        spans[span["id"]] = span

    def _drop(self) -> None:
        now = self._clock()
        while self._waiting:
            trace, (until, _) = next(iter(self._waiting.items()))
            if until > now and self._spans <= MAX_WAITING_SPANS:
                return
            self._taken(trace)


def worth_keeping(span: Zipkin) -> bool:
    """
    Return whether a trace with *span* is kept: it failed, it was slow, or its order had to wait.
    """
    if span["name"] in PENDING or span["tags"].get("error", "false") != "false":
        return True
    if span["duration"] < SLOW_S * 1e6:
        return False
    path = f"{span['name']} {span['tags'].get('http.url', '')}".lower()
    return not any(each in path for each in STREAMS)
