"""The number of calls that a service answered, by method and code."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf import descriptor_pool
from prometheus_client import Counter

HANDLED = Counter("grpc_server_handled", "Calls that ended, by code.", ["grpc_method", "grpc_code"])
FAULTS = ("UNAVAILABLE", "INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED", "DATA_LOSS")
"""Internal errors; everything else is a response."""


def count_from_zero(services: Iterable[str]) -> None:
    """
    Export every method's error counters from the start: of a counter that begins with the first error, Prometheus sees
    no increase.
    """
    pool = descriptor_pool.Default()
    for service in services:
        for method in pool.FindServiceByName(service).methods:
            for code in FAULTS:
                HANDLED.labels(f"/{service}/{method.name}", code)
