"""
The interceptors of every call, one wrapper of the same type for each concern.

The list in `wrappers` is the order in which they run, the outermost first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import grpc
import structlog
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from prometheus_client import Gauge, Histogram

from runtime import deadline, errors, messages, spans, status
from runtime.call_counts import HANDLED
from runtime.caller import share_of, single
from runtime.settings import ServiceSettings
from runtime.shares import Shares
from runtime.validation import check

SECONDS = Histogram(
    "grpc_server_handling_seconds",
    "Seconds from a call's start to its end.",
    ["grpc_method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IN_FLIGHT = Gauge("grpc_server_in_flight", "Calls in progress.", ["kind"])
# Less than this is never enough; the caller has gone or is about to.
LEAST_USEFUL_S = 0.005
# HTTP headers that mean the same as a field of the request.
FIELD_HEADERS = {"request_id": "Idempotency-Key", "etag": "If-Match"}
log = structlog.get_logger()


@dataclass
class Call:
    """One call on its way through the wrappers; its message is known once it is received and parsed."""

    method: str
    context: grpc.aio.ServicerContext[Any, Any]
    deserializer: messages.Deserializer
    streaming: bool
    message: bytes = b""
    request: Message = field(default_factory=Empty)

    @property
    def kind(self) -> str:
        """Return the kind of slot that it takes: `unary`, `batch` or `stream`."""
        if self.streaming:
            return "stream"
        return "batch" if messages.is_batch(self.method) else "unary"

    code: grpc.StatusCode = grpc.StatusCode.OK


Wrapper = Callable[[Call], AbstractAsyncContextManager[None]]


def wrappers(settings: ServiceSettings, domain: str) -> list[Wrapper]:
    """
    Return the wrappers of every call of a service, the outermost first.
    """
    return [
        measure,
        report_errors(domain),
        receive(settings),
        limit(settings),
        keep_deadline(settings),
        parse,
        take_headers,
        validate,
    ]


@asynccontextmanager
async def measure(call: Call) -> AsyncIterator[None]:
    """
    Count the call and its seconds; streams have no useful duration.
    """
    started = asyncio.get_running_loop().time()
    try:
        yield
    except asyncio.CancelledError:
        call.code = grpc.StatusCode.CANCELLED
        raise
    finally:
        HANDLED.labels(call.method, call.code.name).inc()
        if not call.streaming:
            SECONDS.labels(call.method).observe(asyncio.get_running_loop().time() - started, spans.exemplar())


def report_errors(domain: str) -> Wrapper:
    """
    Turn exceptions into a `google.rpc.Status`; an internal error is logged, and the caller gets a generic message.
    """

    @asynccontextmanager
    async def wrapper(call: Call) -> AsyncIterator[None]:
        try:
            yield
        except grpc.aio.AbortError:
            raise
        except errors.Error as error:
            await _abort(call, error, domain)
        except Exception:
            log.exception("call_failed", method=call.method)
            await _abort(call, errors.Internal("internal error"), domain)

    return wrapper


async def _abort(call: Call, error: errors.Error, domain: str) -> None:
    call.code = status.code_of(error)
    details = status.to_status(error, domain)
    await call.context.abort(call.code, details.message, ((status.DETAILS_KEY, details.SerializeToString()),))


def receive(settings: ServiceSettings) -> Wrapper:
    """
    Read the message, which may be slow, before the call takes one of the limited slots.
    """

    @asynccontextmanager
    async def wrapper(call: Call) -> AsyncIterator[None]:
        most = settings.max_batch_message_bytes if call.kind == "batch" else settings.max_message_bytes
        call.message = await messages.receive(call.context, limit=most, within_s=settings.default_deadline_s)
        yield

    return wrapper


def limit(settings: ServiceSettings) -> Wrapper:
    """
    Reject at once what exceeds the calls allowed in flight, of all and of one caller, so that the accepted ones stay
    fast.
    """
    places = {
        "unary": Shares("calls", total=settings.max_in_flight, each=settings.max_in_flight_per_caller),
        "batch": Shares("batches", total=settings.max_batches, each=settings.max_batches_per_caller),
        "stream": Shares("streams", total=settings.max_streams, each=settings.max_streams_per_caller),
    }

    @asynccontextmanager
    async def wrapper(call: Call) -> AsyncIterator[None]:
        with places[call.kind].one(share_of(call.context)), IN_FLIGHT.labels(call.kind).track_inprogress():
            yield

    return wrapper


def keep_deadline(settings: ServiceSettings) -> Wrapper:
    """
    Do not start calls with too little time left, and end unary calls at the caller's deadline.
    """

    @asynccontextmanager
    async def wrapper(call: Call) -> AsyncIterator[None]:
        if call.streaming:
            yield
            return
        left = call.context.time_remaining()
        seconds = settings.default_deadline_s if left is None else min(left, settings.default_deadline_s)
        if seconds < LEAST_USEFUL_S:
            raise errors.DeadlineExceeded("no time is left for this call")
        try:
            async with asyncio.timeout(seconds) as timeout:
                with deadline.ends_in(seconds):
                    yield
        except TimeoutError as error:
            if not timeout.expired():
                raise
            raise errors.DeadlineExceeded("the call took longer than its deadline") from error

    return wrapper


@asynccontextmanager
async def parse(call: Call) -> AsyncIterator[None]:
    """
    Turn the message into the method's request.
    """
    call.request, call.message = messages.parse(call.message, call.deserializer), b""
    yield


@asynccontextmanager
async def take_headers(call: Call) -> AsyncIterator[None]:
    """
    Fill empty fields from the headers that mean the same: `request_id` (AIP-155) and `etag` (RFC 9110, 13.1.1).

    `InvalidArgument` for one without a field: its condition would be ignored. Only a read may be retried anyway.
    """
    for name, header in FIELD_HEADERS.items():
        value = single(call.context, header.lower())
        if value is None:
            continue
        if name not in call.request.DESCRIPTOR.fields_by_name:
            if name == "etag" or not messages.is_read(call.method):
                raise messages.without_field(header)
        # Whatever there is, matches *.
        elif not (name == "etag" and value == "*"):
            messages.merge(call.request, name, value, header=header)
    yield


@asynccontextmanager
async def validate(call: Call) -> AsyncIterator[None]:
    """
    Validate the request by the contract's protovalidate rules.
    """
    check(call.request)
    yield


UnaryBehaviour = Callable[..., Awaitable[Any]]
StreamBehaviour = Callable[..., AsyncIterator[Any]]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Interceptor(grpc.aio.ServerInterceptor):
    """Applies the wrappers to every call of the service's own methods."""

    def __init__(self, around: Sequence[Wrapper], *, prefix: str = "/shop.") -> None:
        self._around = around
        self._prefix = prefix
        self.called_at = float("-inf")
        """When the last call of the service's own methods began, on the event loop's clock."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """
        Return the method's handler inside the wrappers; health and reflection are not wrapped.

        It is a handler of streamed bytes, though only one message is read: so the wrappers see unreadable ones.
        """
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or handler.request_streaming or not method.startswith(self._prefix):
            return handler
        self.called_at = asyncio.get_running_loop().time()
        deserializer = cast(messages.Deserializer, handler.request_deserializer)
        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(
                self._stream(method, deserializer, cast(StreamBehaviour, handler.unary_stream)),
                response_serializer=handler.response_serializer,
            )
        return grpc.stream_unary_rpc_method_handler(
            self._unary(method, deserializer, cast(UnaryBehaviour, handler.unary_unary)),
            response_serializer=handler.response_serializer,
        )

    def _unary(self, method: str, deserializer: messages.Deserializer, behaviour: UnaryBehaviour) -> UnaryBehaviour:
        async def wrapped(_: object, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            call = Call(method, context, deserializer, streaming=False)
            async with self._enter(call):
                return await behaviour(call.request, context)

        return wrapped

    def _stream(self, method: str, deserializer: messages.Deserializer, behaviour: StreamBehaviour) -> StreamBehaviour:
        async def wrapped(_: object, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            call = Call(method, context, deserializer, streaming=True)
            async with self._enter(call):
                async for response in behaviour(call.request, context):
                    yield response

        return wrapped

    @asynccontextmanager
    async def _enter(self, call: Call) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for wrapper in self._around:
                await stack.enter_async_context(wrapper(call))
            yield
