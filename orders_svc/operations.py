"""The gRPC servicer of what operators look after."""

# ruff: noqa: N802 - gRPC method names are the contract's

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from shop.orders.v1 import operations_service_pb2, operations_service_pb2_grpc, order_pb2

from orders_svc.backlog import Backlog, Watchman
from orders_svc.dead_letters import DeadLetters
from orders_svc.discrepancies import Report
from orders_svc.order import OperatorOnly
from orders_svc.reconcile import Reconciler
from runtime.caller import caller

DEFAULT_REDRIVE = 1000
RedriveRows = Callable[[], Awaitable[int]]
Context = grpc.aio.ServicerContext[Any, Any]


class OperationsService(operations_service_pb2_grpc.OperationsServiceServicer):
    """What operators call."""

    def __init__(
        self, watchman: Watchman, dead_letters: DeadLetters, reconciler: Reconciler, redrive_rows: RedriveRows
    ) -> None:
        self._watchman = watchman
        self._dead_letters = dead_letters
        self._reconciler = reconciler
        self._redrive_rows = redrive_rows

    async def GetBacklog(
        self, request: operations_service_pb2.GetBacklogRequest, context: Context
    ) -> operations_service_pb2.GetBacklogResponse:
        """
        Tell what waits, and where.
        """
        _operator(context)
        return _backlog_message(await self._watchman.look())

    async def RedriveDeadLetters(
        self, request: operations_service_pb2.RedriveDeadLettersRequest, context: Context
    ) -> operations_service_pb2.RedriveDeadLettersResponse:
        """
        Send dead letters and refused outbox rows on their way again.
        """
        _operator(context)
        redriven = await self._dead_letters.redrive(request.limit or DEFAULT_REDRIVE)
        return operations_service_pb2.RedriveDeadLettersResponse(
            redriven=redriven.sent, passed_over=redriven.passed_over, outbox_rows=await self._redrive_rows()
        )

    async def ReconcileOrders(
        self, request: operations_service_pb2.ReconcileOrdersRequest, context: Context
    ) -> operations_service_pb2.ReconcileOrdersResponse:
        """
        Compare everything, and repair it unless that is not wanted.
        """
        _operator(context)
        return _report_message(await self._reconciler.run(only_look=request.validate_only))


def _operator(context: Context) -> None:
    if not caller(context).operator:
        raise OperatorOnly("only operators may do this")


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
        topics=[response.TopicLag(topic=topic, messages=count) for topic, count in backlog.topics.items()],
        dead_letters=backlog.dead_letters,
    )


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
