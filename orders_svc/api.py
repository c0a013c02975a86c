"""The gRPC servicers: from requests to use cases to responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Any

import grpc
import structlog
from google.rpc.status_pb2 import Status
from shop.orders.v1 import (
    allocation_service_pb2,
    allocation_service_pb2_grpc,
    order_pb2,
    order_service_pb2,
    order_service_pb2_grpc,
)

from orders_svc import wire
from orders_svc.checkout import Checkout
from orders_svc.listing import Listing
from orders_svc.order import Draft, Line, State
from orders_svc.ports import Allocations, Answer
from orders_svc.settings import DOMAIN
from orders_svc.watch import End, Subscriptions, Version, events
from runtime.caller import Caller, caller, token_left_s
from runtime.errors import Error, FieldViolation, Internal
from runtime.reply import set_http_code
from runtime.status import to_status
from runtime.validation import Turns

HEARTBEAT_S = 15.0
# Orders of one batch that share a statement; other calls wait for no more than that one.
MAX_SLICE = 100
log = structlog.get_logger()
Context = grpc.aio.ServicerContext[Any, Any]


class OrderService(order_service_pb2_grpc.OrderServiceServicer):
    """The RPCs of customers and operators."""

    def __init__(
        self, checkout: Checkout, listing: Listing, subscriptions: Subscriptions, *, max_watch_s: float
    ) -> None:
        self._checkout = checkout
        self._listing = listing
        self._subscriptions = subscriptions
        self._max_watch_s = max_watch_s
        self._turns = Turns()

    async def CreateOrder(self, request: order_service_pb2.CreateOrderRequest, context: Context) -> order_pb2.Order:
        """
        Place an order.
        """
        return _reply(context, await self._place(caller(context), request), placed=True)

    async def _place(self, who: Caller, request: order_service_pb2.CreateOrderRequest) -> Answer:
        try:
            return await self._checkout.place(_draft(who, request))
        except Error as error:
            # Inventory's field paths are those of its own request.
            error.fields = tuple(_prefixed(each) for each in error.fields)
            raise

    async def GetOrder(self, request: order_service_pb2.GetOrderRequest, context: Context) -> order_pb2.Order:
        """
        Return one of the caller's orders.
        """
        order = wire.order_message(await self._checkout.get(caller(context), wire.order_id(request.name)))
        context.set_trailing_metadata((("etag", order.etag),))
        return order

    async def ListOrders(
        self, request: order_service_pb2.ListOrdersRequest, context: Context
    ) -> order_service_pb2.ListOrdersResponse:
        """
        Return a page of the caller's orders.
        """
        state = State(order_pb2.Order.State.Name(request.state)) if request.state else None
        orders, token = await self._listing.page(caller(context), state, request.page_size, request.page_token)
        messages = [wire.order_message(order) for order in orders]
        return order_service_pb2.ListOrdersResponse(orders=messages, next_page_token=token)

    async def CancelOrder(self, request: order_service_pb2.CancelOrderRequest, context: Context) -> order_pb2.Order:
        """
        Cancel an order.
        """
        order_id = wire.order_id(request.name)
        answer = await self._checkout.cancel(
            caller(context), order_id, request_id=request.request_id, etag=request.etag
        )
        return _reply(context, answer)

    async def FulfilOrder(self, request: order_service_pb2.FulfilOrderRequest, context: Context) -> order_pb2.Order:
        """
        Mark an order as fulfilled.
        """
        order_id = wire.order_id(request.name)
        answer = await self._checkout.fulfil(
            caller(context), order_id, request_id=request.request_id, etag=request.etag
        )
        return _reply(context, answer)

    async def BatchCreateOrders(
        self, request: order_service_pb2.BatchCreateOrdersRequest, context: Context
    ) -> order_service_pb2.BatchCreateOrdersResponse:
        """
        Place up to 1,000 orders, each with its own outcome.
        """
        who, outcomes = caller(context), []
        for at in range(0, len(request.requests), MAX_SLICE):
            outcomes += await self._slice(who, request.requests[at : at + MAX_SLICE])
        return order_service_pb2.BatchCreateOrdersResponse(outcomes=outcomes)

    async def _slice(
        self, who: Caller, requests: Sequence[order_service_pb2.CreateOrderRequest]
    ) -> list[order_service_pb2.CreateOrderOutcome]:
        """
        Place some orders of a batch.

        They start together once all are validated, and so stay together: one lookup of earlier responses, one call to
        inventory and one commit for all of them.
        """
        problems = [await self._problem(each) for each in requests]
        return await asyncio.gather(
            *(self._outcome(who, each, problem) for each, problem in zip(requests, problems, strict=True))
        )

    async def _problem(self, request: order_service_pb2.CreateOrderRequest) -> Error | None:
        try:
            await self._turns.check(request)
        except Error as error:
            return error
        return None

    async def _outcome(
        self, who: Caller, request: order_service_pb2.CreateOrderRequest, problem: Error | None
    ) -> order_service_pb2.CreateOrderOutcome:
        if problem is not None:
            return order_service_pb2.CreateOrderOutcome(error=to_status(problem, DOMAIN))
        try:
            answer = await self._place(who, request)
            return order_service_pb2.CreateOrderOutcome(order=order_pb2.Order.FromString(answer.snapshot))
        except Error as error:
            return order_service_pb2.CreateOrderOutcome(error=to_status(error, DOMAIN))
        except Exception:
            log.exception("batch_order_failed")
            return order_service_pb2.CreateOrderOutcome(error=to_status(Internal("internal error"), DOMAIN))

    async def WatchOrder(
        self, request: order_service_pb2.WatchOrderRequest, context: Context
    ) -> AsyncIterator[order_service_pb2.WatchOrderResponse]:
        """
        Stream an order's changes until it is final.
        """
        order = await self._checkout.get(caller(context), wire.order_id(request.name))
        end = End.of(self._max_watch_s, token_left_s(context))
        first = request.from_version or order.version
        if order.final and first > order.version:
            yield _end(Status())
            return
        # The next version is read in any case: it may be the last, also for a client that waits for a version that
        # never comes.
        with self._subscriptions.watch(order.id, min(first, order.version + 1)) as subscription:
            # At once, so that a client that resumes knows that the stream works. Later failures are sent as an event.
            await context.send_initial_metadata(())
            if first > order.version:
                # The transcoder holds headers back until a message follows them.
                yield _event(None)
            try:
                async for event in events(subscription, HEARTBEAT_S, end):
                    response = _event(event)
                    if event is None or event[0] >= first:
                        yield response
                    if response.HasField("order") and _final(response.order):
                        yield _end(Status())
                        return
            except Error as error:
                yield _end(to_status(error, DOMAIN))


class AllocationService(allocation_service_pb2_grpc.AllocationServiceServicer):
    """The RPCs that inventory calls for a rebuild."""

    def __init__(self, allocations: Allocations) -> None:
        self._allocations = allocations

    async def StartGeneration(
        self, request: allocation_service_pb2.StartGenerationRequest, context: Context
    ) -> allocation_service_pb2.StartGenerationResponse:
        """
        Start a stock generation and fence the previous one.
        """
        started = await self._allocations.start_generation(above=request.above)
        log.info("stock_generation_started", generation=started.generation, above=request.above)
        sold = [allocation_service_pb2.SoldUnits(product=name, units=units) for name, units in started.sold.items()]
        return allocation_service_pb2.StartGenerationResponse(generation=started.generation, sold=sold)

    async def GetGeneration(
        self, request: allocation_service_pb2.GetGenerationRequest, context: Context
    ) -> allocation_service_pb2.GetGenerationResponse:
        """
        Return the generation whose holds are accepted.
        """
        return allocation_service_pb2.GetGenerationResponse(generation=await self._allocations.generation())

    async def CheckAllocations(
        self, request: allocation_service_pb2.CheckAllocationsRequest, context: Context
    ) -> allocation_service_pb2.CheckAllocationsResponse:
        """
        Return which of some orders own what they hold.
        """
        order_ids = [wire.order_id(name) for name in request.orders]
        owners = await self._allocations.owners(order_ids, generation=request.generation)
        return allocation_service_pb2.CheckAllocationsResponse(orders=[f"orders/{owner}" for owner in owners])


def _draft(who: Caller, request: order_service_pb2.CreateOrderRequest) -> Draft:
    lines = tuple(Line(each.product, each.quantity) for each in request.order.lines)
    return Draft(who.customer, request.request_id, lines)


def _prefixed(violation: FieldViolation) -> FieldViolation:
    if not violation.field.startswith("lines"):
        return violation
    return FieldViolation(f"order.{violation.field}", violation.description)


def _reply(context: Context, answer: Answer, *, placed: bool = False) -> order_pb2.Order:
    order = order_pb2.Order.FromString(answer.snapshot)
    headers = [("location", f"/v1/{order.name}"), ("etag", order.etag)]
    if answer.replayed:
        headers.append(("idempotency-replayed", "true"))
    set_http_code(context, http_code(order) if placed else HTTPStatus.OK, headers)
    return order


def http_code(placed: order_pb2.Order) -> HTTPStatus:
    """
    Return the HTTP status for a placed order: 202 while its stock is still to be held.
    """
    return HTTPStatus.ACCEPTED if placed.state == order_pb2.Order.PENDING else HTTPStatus.CREATED


def _event(event: Version | None) -> order_service_pb2.WatchOrderResponse:
    if event is None:
        return order_service_pb2.WatchOrderResponse(heartbeat=order_service_pb2.WatchOrderResponse.Heartbeat())
    return order_service_pb2.WatchOrderResponse(order=order_pb2.Order.FromString(event[1]))


def _final(order: order_pb2.Order) -> bool:
    return wire.order(order).final


def _end(status: Status) -> order_service_pb2.WatchOrderResponse:
    return order_service_pb2.WatchOrderResponse(end=order_service_pb2.WatchOrderResponse.End(status=status))
