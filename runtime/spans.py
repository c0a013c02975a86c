"""Spans of work for several traces at a time: one in each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from opentelemetry import context, propagate, trace
from opentelemetry.context import Context

MAX_SPANS = 64
"""Of one batch; further traces get no span."""
NONE = Context()
tracer = trace.get_tracer(__name__)
TRACEPARENT = "traceparent"
SAMPLED = frozenset("13579bdf")
"""The last digits of a traceparent whose trace is kept: other flags may stand beside it, such as `random`."""
TRACE_ID = "trace_id"
"""The label of exemplars, by which Grafana finds the trace."""
ATTEMPT = "attempt_traceparent"
"""The header of a failed message with the span of the attempt that failed, to which the next one links."""
Attributes = Mapping[str, str | int]


class Consumed(Protocol):
    """A consumed message."""

    @property
    def topic(self) -> str:
        """Return the topic it is from."""

    @property
    def partition(self) -> int:
        """Return the partition of the topic."""

    @property
    def offset(self) -> int:
        """Return the place in the partition."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the headers by name."""


def context_of(headers: Mapping[str, str]) -> Context:
    """
    Return the trace context in a message's *headers*, W3C's `traceparent`.
    """
    return propagate.extract(dict(headers), context=NONE)


def is_kept(headers: Mapping[str, str]) -> bool:
    """
    Return whether the trace in *headers* is sampled; ten times as cheap as parsing it.
    """
    return headers.get(TRACEPARENT, "")[-1:] in SAMPLED


def contexts_of(messages: Sequence[Mapping[str, str]]) -> list[Context]:
    """
    Return the sampled trace contexts in the headers of *messages*, else that of the first.
    """
    kept = [headers for headers in messages if is_kept(headers)]
    return [context_of(headers) for headers in (kept or messages[:1])[:MAX_SPANS]]


def trace_headers() -> Mapping[str, str]:
    """
    Return the current trace context as headers, so that the consumer's work joins the trace.
    """
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


def kept_traceparent() -> str:
    """
    Return the present span as W3C's `traceparent`; empty if its trace is not kept.
    """
    kept = trace.get_current_span().get_span_context().trace_flags.sampled
    return trace_headers().get(TRACEPARENT, "") if kept else ""


def exemplar() -> dict[str, str] | None:
    """
    Return the exemplar of an observation made now: the trace's id, None if the trace is not kept.
    """
    context_ = trace.get_current_span().get_span_context()
    return {TRACE_ID: trace.format_trace_id(context_.trace_id)} if context_.trace_flags.sampled else None


def exemplar_of(messages: Sequence[Consumed]) -> dict[str, str] | None:
    """
    Return the exemplar of an observation about *messages*: the first trace that is kept, None if none is.
    """
    kept = next((each.headers for each in messages if is_kept(each.headers)), None)
    if kept is None:
        return None
    context_ = trace.get_current_span(context_of(kept)).get_span_context()
    return {TRACE_ID: trace.format_trace_id(context_.trace_id)} if context_.is_valid else None


def mark_attempt(error: BaseException) -> None:
    """
    Note in *error* the present span, in which an attempt at a message failed, if its trace is kept.
    """
    if traceparent := kept_traceparent():
        setattr(error, ATTEMPT, traceparent)


def attempt_of(error: BaseException, headers: Mapping[str, str]) -> str:
    """
    Return the span of the attempt that failed with *error* at the message with *headers*; empty if it is not known.

    An error that several messages share is marked by the last of them, whose trace is another one.
    """
    marked = str(getattr(error, ATTEMPT, ""))
    return marked if marked.split("-")[1:2] == headers.get(TRACEPARENT, "").split("-")[1:2] else ""


@contextmanager
def together(
    name: str,
    contexts: Sequence[Context],
    kind: trace.SpanKind = trace.SpanKind.INTERNAL,
    *,
    links: Sequence[Sequence[trace.Link]] = (),
    attributes: Sequence[Attributes] = (),
) -> Iterator[None]:
    """
    Record the block as a span *name* in each sampled trace.

    Calls inside belong to the first of them, to which the spans of the others link. Without a sampled trace the first
    context is propagated, so that logs have a trace's id. *links* and *attributes*, if given, are those of the span in
    each of *contexts*.
    """
    kept = [
        (each, links[number] if links else (), attributes[number] if attributes else None)
        for number, each in enumerate(contexts)
        if trace.get_current_span(each).get_span_context().trace_flags.sampled
    ]
    if not kept:
        token = context.attach(contexts[0] if contexts else NONE)
        try:
            yield
        finally:
            context.detach(token)
        return
    context_, its_links, its_attributes = kept[0]
    with tracer.start_as_current_span(name, context_, kind=kind, links=its_links, attributes=its_attributes) as first:
        link = trace.Link(first.get_span_context())
        others = [
            tracer.start_span(name, each, kind=kind, links=[link, *further], attributes=own)
            for each, further, own in kept[1:MAX_SPANS]
        ]
        try:
            yield
        finally:
            for span in others:
                span.end()


def of_messages(name: str, messages: Sequence[Mapping[str, str]], kind: trace.SpanKind) -> AbstractContextManager[None]:
    """
    Record the block as `together` does, in the traces in the headers of *messages*.
    """
    return together(name, contexts_of(messages), kind)


def of_consumed(name: str, messages: Sequence[Consumed]) -> AbstractContextManager[None]:
    """
    Record the block as the consumption of *messages*.

    The span of a message that has failed before links to that of the attempt before it.
    """
    kept = [each for each in messages if is_kept(each.headers)][:MAX_SPANS]
    if not kept:
        return of_messages(name, [each.headers for each in messages[:1]], trace.SpanKind.CONSUMER)
    return together(
        name,
        [context_of(each.headers) for each in kept],
        trace.SpanKind.CONSUMER,
        links=[_previous_attempt(each.headers) for each in kept],
        attributes=[_place_of(each) for each in kept],
    )


def _previous_attempt(headers: Mapping[str, str]) -> list[trace.Link]:
    found = trace.get_current_span(context_of({TRACEPARENT: headers.get(ATTEMPT, "")})).get_span_context()
    return [trace.Link(found)] if found.is_valid else []


def _place_of(message: Consumed) -> Attributes:
    # OpenTelemetry's semantic conventions for Kafka.
    return {
        "messaging.system": "kafka",
        "messaging.destination.name": message.topic,
        "messaging.destination.partition.id": str(message.partition),
        "messaging.kafka.offset": message.offset,
    }
