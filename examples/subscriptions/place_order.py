"""An internal service that orders for its subscribers; docs/internal-services.md tells how it joins the mesh."""

import os
import sys
import time
import uuid

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from shop.orders.v1 import order_pb2, order_service_pb2, order_service_pb2_grpc

ORDERS = "orders.shop.svc.cluster.local:50051"
TRIES = 3
TIMEOUT_S = 5
MAX_WAIT_S = 30.0
MAY_BE_REPEATED = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def place(orders, customer, product, quantity, request_id):
    """Place an order; the same *request_id* is the same order, so whatever may be repeated is."""
    line = order_pb2.OrderLine(product=product, quantity=quantity)
    request = order_service_pb2.CreateOrderRequest(order=order_pb2.Order(lines=[line]), request_id=request_id)
    tries_left = TRIES
    while True:
        try:
            return orders.CreateOrder(request, timeout=TIMEOUT_S, metadata=(("x-customer-id", customer),))
        except grpc.RpcError as error:
            tries_left -= 1
            if error.code() not in MAY_BE_REPEATED or not tries_left:
                raise
            time.sleep(wait_s(error))


def reason(error):
    """Why a call was refused, a word for programs such as OUT_OF_STOCK; empty if nobody said."""
    info = detail(error, error_details_pb2.ErrorInfo)
    return info.reason if info else ""


def wait_s(error):
    """How long to wait before the next try: as long as the answer says, or a second."""
    retry = detail(error, error_details_pb2.RetryInfo)
    return min(retry.retry_delay.ToMilliseconds() / 1000, MAX_WAIT_S) if retry else 1.0


def detail(error, kind):
    """The detail of this kind in the call's google.rpc.Status, or None."""
    status = rpc_status.from_call(error)
    for packed in status.details if status else ():
        if packed.Is(kind.DESCRIPTOR):
            unpacked = kind()
            packed.Unpack(unpacked)
            return unpacked
    return None


def main():
    # On a cluster the address is ORDERS itself, and Istio's sidecar takes the call on its way.
    address = os.environ.get("ORDERS_ADDRESS", ORDERS)
    with grpc.insecure_channel(address, options=[("grpc.default_authority", ORDERS)]) as channel:
        orders = order_service_pb2_grpc.OrderServiceStub(channel)
        try:
            order = place(orders, "ana", "products/enamel-mug", 1, str(uuid.uuid4()))
            print(order.name, order_pb2.Order.State.Name(order.state))
            place(orders, "ana", "products/nothing-of-ours", 1, str(uuid.uuid4()))
        except grpc.RpcError as error:
            print(error.code().name, reason(error), error.details())
            # What the second order is for: a product that nobody lists.
            return 0 if reason(error) == "UNKNOWN_PRODUCT" else 1
    return 1


if __name__ == "__main__":
    sys.exit(main())
