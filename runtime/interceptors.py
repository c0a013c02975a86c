"""
What happens around every call, one wrapper of the same type for each concern.

The list in `wrappers` is the order in which they run, the outermost first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import grpc
import protovalidate
import structlog
from google.protobuf.message import Message
from prometheus_client import Counter, Gauge, Histogram

from runtime import deadline, errors, status
from runtime.settings import ServiceSettings

HANDLED = Counter("grpc_server_handled", "Calls that ended, by code.", ["grpc_method", "grpc_code"])
SECONDS = Histogram(
    "grpc_server_handling_seconds",
    "Seconds from a call's start to its end.",
    ["grpc_method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IN_FLIGHT = Gauge("grpc_server_in_flight", "Calls being worked on.", ["kind"])
# Less than this cannot be enough for anything; the caller has gone or is about to.
LEAST_USEFUL_S = 0.005
IDEMPOTENCY_KEY = "idempotency-key"
log = structlog.get_logger()


@dataclass
class Call:
    """One call on its way through the wrappers."""

    method: str
    request: Message
    context: grpc.aio.ServicerContext[Any, Any]
    streaming: bool
    code: grpc.StatusCode = grpc.StatusCode.OK


Wrapper = Callable[[Call], AbstractAsyncContextManager[None]]


def wrappers(settings: ServiceSettings, domain: str) -> list[Wrapper]:
    """
    Return what surrounds every call of a service, the outermost first.
    """
    return [
        measure,
        report_errors(domain),
        limit(settings),
        keep_deadline(settings),
        take_request_id,
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
            SECONDS.labels(call.method).observe(asyncio.get_running_loop().time() - started)


def report_errors(domain: str) -> Wrapper:
    """
    Turn what is raised into a `google.rpc.Status`; a fault of ours is logged and told in general terms.
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
            log.exception("a call failed", method=call.method)
            await _abort(call, errors.Internal("internal error"), domain)

    return wrapper


async def _abort(call: Call, error: errors.Error, domain: str) -> None:
    call.code = status.code_of(error)
    details = status.to_status(error, domain).SerializeToString()
    await call.context.abort(call.code, error.message, ((status.DETAILS_KEY, details),))


def limit(settings: ServiceSettings) -> Wrapper:
    """
    Refuse at once what exceeds the calls allowed in flight, so that the accepted stay fast.
    """
    allowed = {False: settings.max_in_flight, True: settings.max_streams}
    running = {False: 0, True: 0}

    @asynccontextmanager
    async def wrapper(call: Call) -> AsyncIterator[None]:
        kind = call.streaming
        if running[kind] >= allowed[kind]:
            raise errors.ResourceExhausted("too many calls at a time", reason="OVERLOADED", retry_after_s=1)
        gauge = IN_FLIGHT.labels("stream" if kind else "unary")
        running[kind] += 1
        gauge.inc()
        try:
            yield
        finally:
            running[kind] -= 1
            gauge.dec()

    return wrapper


def keep_deadline(settings: ServiceSettings) -> Wrapper:
    """
    Do not start what the caller can't wait for, and end unary calls at the caller's deadline.
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
async def take_request_id(call: Call) -> AsyncIterator[None]:
    """
    Fill an empty `request_id` from the header `idempotency-key`, which is the same thing (AIP-155).
    """
    if "request_id" in call.request.DESCRIPTOR.fields_by_name:
        key = dict(call.context.invocation_metadata() or ()).get(IDEMPOTENCY_KEY)
        if isinstance(key, str) and key:
            _merge_request_id(call.request, key)
    yield


def _merge_request_id(request: Any, key: str) -> None:
    if request.request_id not in ("", key):
        raise errors.InvalidArgument(
            "request_id and the header Idempotency-Key differ",
            fields=[errors.FieldViolation("request_id", "differs from the header Idempotency-Key")],
        )
    request.request_id = key


@asynccontextmanager
async def validate(call: Call) -> AsyncIterator[None]:
    """
    Hold the request against the contract's protovalidate rules.
    """
    check(call.request)
    yield


def check(request: Message) -> None:
    """
    Raise `InvalidArgument` with every field of *request* that breaks a rule of the contract.
    """
    violations = protovalidate.collect_violations(request)
    if not violations:
        return
    fields = [errors.FieldViolation(_path(each.proto.field), each.proto.message) for each in violations]
    first = fields[0]
    raise errors.InvalidArgument(f"{first.field}: {first.description}", fields=fields)


def _path(field: Any) -> str:
    """
    Return a field path as people write it: `order.lines[2].quantity`.
    """
    parts = []
    for element in field.elements if field is not None else ():
        subscript = element.subscript
        index = "" if subscript is None else f"[{subscript.value}]"
        parts.append(f"{element.field_name}{index}")
    return ".".join(parts)


UnaryBehaviour = Callable[..., Awaitable[Any]]
StreamBehaviour = Callable[..., AsyncIterator[Any]]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Interceptor(grpc.aio.ServerInterceptor):
    """Puts the wrappers around every call of the service's own methods."""

    def __init__(self, around: Sequence[Wrapper], *, prefix: str = "/shop.") -> None:
        self._around = around
        self._prefix = prefix

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """
        Return the method's handler inside the wrappers; health and reflection pass as they are.
        """
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or handler.request_streaming or not method.startswith(self._prefix):
            return handler
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(method, cast(StreamBehaviour, handler.unary_stream)),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(method, cast(UnaryBehaviour, handler.unary_unary)),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _unary(self, method: str, behaviour: UnaryBehaviour) -> UnaryBehaviour:
        async def wrapped(request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            async with self._enter(Call(method, request, context, streaming=False)):
                return await behaviour(request, context)

        return wrapped

    def _stream(self, method: str, behaviour: StreamBehaviour) -> StreamBehaviour:
        async def wrapped(request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            async with self._enter(Call(method, request, context, streaming=True)):
                async for response in behaviour(request, context):
                    yield response

        return wrapped

    @asynccontextmanager
    async def _enter(self, call: Call) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for wrapper in self._around:
                await stack.enter_async_context(wrapper(call))
            yield
