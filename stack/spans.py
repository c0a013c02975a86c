"""
Receives spans from OpenTelemetry's exporters (OTLP over gRPC) and sends them to Zipkin in its own format.

    python -m stack.spans HOST:PORT http://HOST:PORT/api/v2/spans PERCENT

PERCENT of the traces in which nothing happened are kept, and all others (`stack.tail_sampling`).
Zipkin's server does not accept OTLP itself. On a cluster, the OpenTelemetry Collector takes this place.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from stack.tail_sampling import TailSampler

KINDS = {
    Span.SPAN_KIND_SERVER: "SERVER",
    Span.SPAN_KIND_CLIENT: "CLIENT",
    Span.SPAN_KIND_PRODUCER: "PRODUCER",
    Span.SPAN_KIND_CONSUMER: "CONSUMER",
}
SEND_S = 5
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
# Exports that wait for Zipkin; further ones are refused, and their senders drop them.
MAX_WAITING = 32
Zipkin = dict[str, Any]


class Spans(trace_service_pb2_grpc.TraceServiceServicer):
    """Forwards to the Zipkin at *url* the spans that *sampler* keeps."""

    def __init__(self, url: str, sampler: TailSampler) -> None:
        self._url = url
        self._sampler = sampler
        self._waiting = 0

    async def Export(  # noqa: N802 - the protocol's name
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        """
        Forward the spans; UNAVAILABLE, on which senders retry, while Zipkin does not accept them.
        """
        if self._waiting >= MAX_WAITING:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many spans are waiting for Zipkin")
        kept = self._sampler.offer(translated(request))
        if not kept:
            return trace_service_pb2.ExportTraceServiceResponse()
        self._waiting += 1
        try:
            await asyncio.to_thread(_send, self._url, kept)
        except OSError as error:
            self._sampler.give_back(kept)
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"Zipkin does not accept spans: {error}")
        finally:
            self._waiting -= 1
        return trace_service_pb2.ExportTraceServiceResponse()


def _send(url: str, spans: Sequence[Mapping[str, Any]]) -> None:
    body = json.dumps(spans).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})  # noqa: S310 - http on loopback
    with urllib.request.urlopen(request, timeout=SEND_S):  # noqa: S310 - as above
        pass


def translated(request: trace_service_pb2.ExportTraceServiceRequest) -> Iterator[Zipkin]:
    """
    Return the spans of *request* in the format of Zipkin's API (OpenTelemetry: Zipkin exporters, "Transformation").
    """
    for group in request.resource_spans:
        resource = texts(group.resource.attributes)
        for scope in group.scope_spans:
            yield from (_span(span, resource) for span in scope.spans)


def _span(span: Span, resource: Mapping[str, str]) -> Zipkin:
    tags = texts(span.attributes)
    replica = resource.get("service.instance.id")
    if replica:
        tags["replica"] = replica
    if span.status.code == Status.STATUS_CODE_ERROR:
        tags.setdefault("error", span.status.message or "true")
    for number, each in enumerate(span.links):
        tags[f"link.{number}"] = f"{each.trace_id.hex()}/{each.span_id.hex()}"
    result: Zipkin = {
        "traceId": span.trace_id.hex(),
        "id": span.span_id.hex(),
        "name": span.name,
        "timestamp": span.start_time_unix_nano // 1000,
        "duration": max(1, (span.end_time_unix_nano - span.start_time_unix_nano) // 1000),
        "localEndpoint": {"serviceName": resource.get("service.name", "unknown")},
        "tags": tags,
        "annotations": [{"timestamp": event.time_unix_nano // 1000, "value": event.name} for event in span.events],
    }
    if span.parent_span_id:
        result["parentId"] = span.parent_span_id.hex()
    if span.kind in KINDS:
        result["kind"] = KINDS[span.kind]
    return result


def texts(attributes: Sequence[KeyValue]) -> dict[str, str]:
    """
    Return attributes as Zipkin's tags, which are strings.
    """
    return {each.key: _text(each.value) for each in attributes}


def _text(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return ", ".join(_text(each) for each in value.array_value.values)
    if kind == "bool_value":
        return str(value.bool_value).lower()
    return "" if kind is None else str(getattr(value, kind))


async def serve(listen: str, url: str, percent: str) -> None:
    """
    Receive spans on *listen* until SIGTERM.
    """
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)])
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Spans(url, TailSampler(int(percent))), server)  # type: ignore[no-untyped-call]
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    server.add_insecure_port(listen)
    await server.start()
    await healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    await stop.wait()
    await server.stop(SEND_S)


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
