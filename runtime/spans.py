"""Spans of work for several traces at a time: one in each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import context, propagate, trace
from opentelemetry.context import Context

MAX_SPANS = 64
"""Of one batch; further traces get no span."""
NONE = Context()
TRACEPARENT = "traceparent"
SAMPLED = frozenset("13579bdf")
"""The last digits of a traceparent whose trace is kept: other flags may stand beside it, such as `random`."""
tracer = trace.get_tracer(__name__)


def context_of(headers: Mapping[str, str]) -> Context:
    """
    Return the trace context in a message's *headers*, W3C's `traceparent`.
    """
    return propagate.extract(dict(headers), context=NONE)


def contexts_of(messages: Sequence[Mapping[str, str]]) -> list[Context]:
    """
    Return the sampled trace contexts in the headers of *messages*, else that of the first.

    Parsing one costs ten times as much as checking that it is not sampled.
    """
    kept = [headers for headers in messages if headers.get(TRACEPARENT, "")[-1:] in SAMPLED]
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


@contextmanager
def together(name: str, contexts: Sequence[Context], kind: trace.SpanKind = trace.SpanKind.INTERNAL) -> Iterator[None]:
    """
    Record the block as a span *name* in each sampled trace.

    Calls inside belong to the first of them, to which the spans of the others link. Without a sampled trace the first
    context is propagated, so that logs have a trace's id.
    """
    kept = [each for each in contexts if trace.get_current_span(each).get_span_context().trace_flags.sampled]
    if not kept:
        token = context.attach(contexts[0] if contexts else NONE)
        try:
            yield
        finally:
            context.detach(token)
        return
    with tracer.start_as_current_span(name, kept[0], kind=kind) as first:
        link = trace.Link(first.get_span_context())
        others = [tracer.start_span(name, each, kind=kind, links=[link]) for each in kept[1:MAX_SPANS]]
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
