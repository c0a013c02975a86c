"""
A service for testing a mesh: it returns its name and the request for every method, fails and waits on demand, and
calls others on demand. Controlled over HTTP on CONTROL_LISTEN, called over gRPC on GRPC_LISTEN.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2_grpc

NAME = os.environ.get("POD_NAME", "app")
# Where the sidecar accepts this application's outbound calls; without it, calls are intercepted.
OUTBOUND = os.environ.get("OUTBOUND", "")
MAX_CALLS, MAX_BODY = 20_000, 1_000_000
THREADS = 8


class State:
    """The behaviour that this service was set to, and its counters."""

    def __init__(self) -> None:
        self.status, self.delay_s, self.calls = "", 0.0, 0
        self.lock = threading.Lock()


STATE = State()


class Echo(grpc.GenericRpcHandler):
    """Serves every method except those of the health service."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method.startswith("/grpc.health."):
            return None
        return grpc.unary_unary_rpc_method_handler(lambda _, context: self._answer(details.method, context))

    def _answer(self, path: str, context: grpc.ServicerContext) -> bytes:
        with STATE.lock:
            STATE.calls += 1
            status, delay_s = STATE.status, STATE.delay_s
        time.sleep(delay_s)
        if status:
            context.abort(grpc.StatusCode[status], f"{NAME} was told to")
        headers = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        return json.dumps({"by": NAME, "path": path, "headers": headers}).encode()


def call(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Call another service as often as asked; return one response per call."""
    target = request.get("target") or OUTBOUND or request["host"]
    options = [("grpc.default_authority", request["host"]), ("grpc.use_local_subchannel_pool", 1)]
    times = min(int(request.get("times", 1)), MAX_CALLS)
    with grpc.insecure_channel(target, options=options) as channel:
        method = channel.unary_unary(request["path"])
        return [_one(method, request) for _ in range(times)]


def _one(method: Callable[..., bytes], request: dict[str, Any]) -> dict[str, Any]:
    started = time.monotonic()
    answer: dict[str, Any] = {"code": "OK", "details": ""}
    try:
        reply = method(
            b"", timeout=float(request.get("timeout", 10)), metadata=tuple(request.get("headers", {}).items())
        )
        answer |= json.loads(reply)
    except grpc.RpcError as error:
        answer |= {"code": error.code().name, "details": error.details()}
    return answer | {"took_ms": (time.monotonic() - started) * 1000}


def behave(request: dict[str, Any]) -> dict[str, Any]:
    """Fail with a status, or wait, from now on; return the number of calls since the last change."""
    with STATE.lock:
        calls, STATE.calls = STATE.calls, 0
        STATE.status, STATE.delay_s = request.get("status", ""), float(request.get("delay_s", 0))
    return {"calls": calls}


class Control(BaseHTTPRequestHandler):
    """POST /call, POST /behave, GET /calls."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(min(int(self.headers["content-length"]), MAX_BODY)) or b"{}")
        self._say({"/call": call, "/behave": behave}[self.path](request))

    def do_GET(self) -> None:
        self._say({"by": NAME, "calls": STATE.calls})

    def log_message(self, *_: Any) -> None:
        """Log nothing."""

    def _say(self, answer: Any) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until killed."""
    server = grpc.server(futures.ThreadPoolExecutor(THREADS), handlers=[Echo()])
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    server.add_insecure_port(os.environ["GRPC_LISTEN"])
    server.start()
    host, _, port = os.environ["CONTROL_LISTEN"].rpartition(":")
    ThreadingHTTPServer((host, int(port)), Control).serve_forever()


if __name__ == "__main__":
    main()
