"""The way of spans from OpenTelemetry's exporters to the viewer."""

import asyncio
import http.server
import json
import threading

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc

from stack.spans import Spans
from stack.tail_sampling import TailSampler
from tests.unit.stack.test_traces import SPAN, request


class Viewer(http.server.BaseHTTPRequestHandler):
    """Receives spans as Zipkin does."""

    taken: list

    def do_POST(self):
        self.taken += json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(202)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def viewer():
    taken = []
    server = http.server.HTTPServer(("127.0.0.1", 0), type("Taking", (Viewer,), {"taken": taken}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/api/v2/spans", taken
    server.shutdown()
    server.server_close()


async def export(url, percent=100):
    server = grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Spans(url, TailSampler(percent)), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await asyncio.wait_for(trace_service_pb2_grpc.TraceServiceStub(channel).Export(request(SPAN)), 10)
    finally:
        await server.stop(0)


async def test_spans_are_forwarded_and_refused_while_the_viewer_is_down(viewer):
    url, taken = viewer
    await export(url)
    assert [span["name"] for span in taken] == ["store orders"]
    taken.clear()
    await export(url, percent=0)
    assert [span["name"] for span in taken] == ["store orders"], "it has an error"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await export("http://127.0.0.1:1/api/v2/spans")
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
