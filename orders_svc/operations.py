"""The gRPC servicer of operators' RPCs."""

# ruff: noqa: N802 - gRPC method names are the contract's

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from shop.orders.v1 import operations_service_pb2, operations_service_pb2_grpc, order_pb2

from orders_svc import wire
from orders_svc.backlog import Backlog, BacklogMonitor
from orders_svc.customer_data import CustomerData, Erased, Page
from orders_svc.discrepancies import Report
from orders_svc.operations_ports import Books, Version
from orders_svc.order import Order
from orders_svc.reconcile import Reconciler
from orders_svc.timeline import Entry, Timeline, Timelines
from runtime.caller import Caller, caller
from runtime.messaging.redrive import Redrive
from runtime.refusals import OperatorOnly

DEFAULT_REDRIVE = 1000
Context = grpc.aio.ServicerContext[Any, Any]


class OperationsService(operations_service_pb2_grpc.OperationsServiceServicer):
    """The RPCs of operators."""

    def __init__(
        self,
        backlog_monitor: BacklogMonitor,
        redrive: Redrive,
        reconciler: Reconciler,
        books: Books,
        timelines: Timelines,
        customers: CustomerData,
    ) -> None:
        self._backlog_monitor = backlog_monitor
        self._redrive = redrive
        self._reconciler = reconciler
        self._books = books
        self._timelines = timelines
        self._customers = customers

    async def GetBacklog(
        self, request: operations_service_pb2.GetBacklogRequest, context: Context
    ) -> operations_service_pb2.GetBacklogResponse:
        """
        Return the backlog.
        """
        _operator(context)
        return _backlog_message(await self._backlog_monitor.look())

    async def GetOrderTimeline(
        self, request: operations_service_pb2.GetOrderTimelineRequest, context: Context
    ) -> operations_service_pb2.GetOrderTimelineResponse:
        """
        Return one order's timeline.
        """
        _operator(context)
        return _timeline_message(await self._timelines.of(wire.order_id(request.name)))

    async def RedriveDeadLetters(
        self, request: operations_service_pb2.RedriveDeadLettersRequest, context: Context
    ) -> operations_service_pb2.RedriveDeadLettersResponse:
        """
        Redrive dead letters, and refused outbox rows unless one topic is given.
        """
        _operator(context)
        done = await self._redrive.run(request.limit or DEFAULT_REDRIVE, topic=request.topic)
        return operations_service_pb2.RedriveDeadLettersResponse(
            redriven=sum(done.sent.values()),
            passed_over=sum(done.passed_over.values()),
            outbox_rows=0 if request.topic else await self._books.redrive_rows(),
        )

    async def ReconcileOrders(
        self, request: operations_service_pb2.ReconcileOrdersRequest, context: Context
    ) -> operations_service_pb2.ReconcileOrdersResponse:
        """
        Compare everything, and repair it unless validate_only is set.
        """
        _operator(context)
        return _report_message(await self._reconciler.run(only_look=request.validate_only))

    async def ExportCustomer(
        self, request: operations_service_pb2.ExportCustomerRequest, context: Context
    ) -> operations_service_pb2.ExportCustomerResponse:
        """
        Return a page of what is stored about a customer.
        """
        who = _operator(context)
        page = await self._customers.export(who, request.name, size=request.page_size, token=request.page_token)
        return _page_message(page)

    async def EraseCustomer(
        self, request: operations_service_pb2.EraseCustomerRequest, context: Context
    ) -> operations_service_pb2.EraseCustomerResponse:
        """
        Erase a customer, or a part of a large one; only count if validate_only is set.
        """
        who = _operator(context)
        if request.validate_only:
            return _erased_message(await self._customers.count(request.name))
        return _erased_message(await self._customers.erase(who, request.name, reference=request.reference))


def _operator(context: Context) -> Caller:
    who = caller(context)
    if not who.operator:
        raise OperatorOnly("only operators may do this")
    return who


def _page_message(page: Page) -> operations_service_pb2.ExportCustomerResponse:
    return operations_service_pb2.ExportCustomerResponse(
        orders=[_order_with_history(order, page.versions[order.id]) for order in page.orders],
        requests=[
            operations_service_pb2.CustomerRequest(
                request_id=each.request_id,
                order=f"orders/{each.order_id}",
                version=each.version,
                create_time=wire.timestamp(each.time),
            )
            for each in page.requests
        ],
        next_page_token=page.next_token,
    )


def _order_with_history(order: Order, versions: Sequence[Version]) -> operations_service_pb2.CustomerOrder:
    return operations_service_pb2.CustomerOrder(
        order=wire.order_message(order),
        versions=[order_pb2.Order.FromString(each.snapshot) for each in versions],
        trace_ids=[each.trace_id for each in versions],
    )


def _erased_message(erased: Erased) -> operations_service_pb2.EraseCustomerResponse:
    return operations_service_pb2.EraseCustomerResponse(
        orders=erased.orders,
        requests=erased.requests,
        remaining_orders=erased.left.open + erased.left.final,
        remaining_requests=erased.left.requests,
        open_orders=erased.left.open,
        done=erased.done,
    )


def _backlog_message(backlog: Backlog) -> operations_service_pb2.GetBacklogResponse:
    response = operations_service_pb2.GetBacklogResponse
    return response(
        states=[
            response.StateCount(state=order_pb2.Order.State.Value(state), orders=orders)
            for state, orders in backlog.states.items()
        ],
        oldest_pending_age=_duration(backlog.oldest_pending_s),
        outbox_rows=backlog.outbox_rows,
        outbox_lag=_duration(backlog.outbox_lag_s),
        refused_rows=backlog.refused_rows,
        topics=_topic_lags(backlog.topics),
        dead_letters=sum(backlog.dead_letters.values()),
        dead_letter_topics=_topic_lags(backlog.dead_letters),
        unknown=backlog.unknown,
    )


def _topic_lags(counts: Mapping[str, int]) -> list[operations_service_pb2.GetBacklogResponse.TopicLag]:
    lag = operations_service_pb2.GetBacklogResponse.TopicLag
    return [lag(topic=topic, messages=count) for topic, count in counts.items()]


def _timeline_message(timeline: Timeline) -> operations_service_pb2.GetOrderTimelineResponse:
    before: list[Entry | None] = [None, *timeline.entries]
    return operations_service_pb2.GetOrderTimelineResponse(
        order=timeline.order,
        entries=[_entry_message(each, last) for each, last in zip(timeline.entries, before, strict=False)],
        unknown=timeline.unknown,
    )


def _entry_message(entry: Entry, before: Entry | None) -> operations_service_pb2.OrderTimelineEntry:
    message = operations_service_pb2.OrderTimelineEntry(
        kind=operations_service_pb2.OrderTimelineEntry.Kind.Value(entry.kind),
        version=entry.version,
        detail=entry.detail,
        replica=entry.replica,
        trace_id=entry.trace_id,
        topic=entry.topic,
        partition=entry.partition,
        offset=entry.offset,
        deliveries=entry.deliveries,
    )
    if entry.state is not None:
        message.state = order_pb2.Order.State.Value(entry.state)
    if entry.time is not None:
        message.time.CopyFrom(wire.timestamp(entry.time))
        if before is not None and before.time is not None:
            message.after.FromTimedelta(entry.time - before.time)
    return message


def _report_message(report: Report) -> operations_service_pb2.ReconcileOrdersResponse:
    return operations_service_pb2.ReconcileOrdersResponse(
        discrepancies=[
            operations_service_pb2.Discrepancy(
                kind=each.kind, subject=each.subject, detail=each.detail, repaired=each.repaired
            )
            for each in report.discrepancies
        ],
        orders=report.orders,
        holds=report.holds,
        repaired=report.repaired,
        unrepaired=report.unrepaired,
    )


def _duration(seconds: float) -> Duration:
    message = Duration()
    message.FromNanoseconds(int(seconds * 1e9))
    return message
