"""Calls are counted by method and code."""

from prometheus_client import REGISTRY
from shop.inventory.v1 import inventory_service_pb2

from runtime.call_counts import count_from_zero


def test_error_counters_start_at_0():
    service = inventory_service_pb2.DESCRIPTOR.services_by_name["InventoryService"]
    count_from_zero([service.full_name])
    for method in service.methods:
        labels = {"grpc_method": f"/{service.full_name}/{method.name}", "grpc_code": "UNAVAILABLE"}
        assert REGISTRY.get_sample_value("grpc_server_handled_total", labels) == 0
