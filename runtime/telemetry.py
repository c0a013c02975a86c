"""Logs, traces and metrics."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import prometheus_client
import structlog
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from runtime.settings import ProcessSettings


def start(settings: ProcessSettings, service: str) -> None:
    """
    Set up logging and tracing, and serve `/metrics`.
    """
    _start_logging(settings, service)
    _start_tracing(settings, service)
    host, _, port = settings.metrics_listen.rpartition(":")
    prometheus_client.start_http_server(int(port), addr=host)


def _start_logging(settings: ProcessSettings, service: str) -> None:
    level = logging.getLevelNamesMapping()[settings.log_level]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_trace,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service, pod=settings.pod_name)
    # Libraries log through the standard library: the same stream, the same format.
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[_ToStructlog()], force=True)


def quiet() -> None:
    """
    Log warnings only, to stderr: a command's stdout is its result, and an error its one sentence.
    """
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


class _ToStructlog(logging.Handler):
    """Passes logs of libraries to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        """
        Log *record* with its logger's name.
        """
        structlog.get_logger().log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)


def _add_trace(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event


class PersonalDataRedaction(SpanProcessor):
    """Redacts the attributes of a span that identify the caller."""

    PERSONAL = ("rpc.user_agent", "user_agent.original", "net.peer.ip", "net.peer.name", "client.address")

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """
        Redact the attributes that a span starts with.
        """
        for name in self.PERSONAL:
            if span.attributes and name in span.attributes:
                span.set_attribute(name, "-")


def _start_tracing(settings: ProcessSettings, service: str) -> None:
    resource = Resource.create({"service.name": service, "service.instance.id": settings.pod_name})
    # Sampling of remote traces is decided by their parents; of our own, by OTEL_TRACES_SAMPLER (all, by default).
    # Without an exporter a span only has ids, which are logged and propagated; nothing is recorded in it.
    provider = TracerProvider(resource=resource, sampler=None if settings.otel_exporter_otlp_endpoint else ALWAYS_OFF)
    if settings.otel_exporter_otlp_endpoint:
        exporter = OTLPSpanExporter(endpoint=settings.otel_exporter_otlp_endpoint)
        provider.add_span_processor(PersonalDataRedaction())
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    # Only the trace: baggage of a caller would be kept in every event of its order.
    propagate.set_global_textmap(TraceContextTextMapPropagator())
