"""A client's channel into the mesh."""

from __future__ import annotations

import grpc
from opentelemetry.instrumentation.grpc import aio_client_interceptors


def connect(address: str, *, authority: str) -> grpc.aio.Channel:
    """
    Return a channel to *authority* through the sidecar at *address*.

    gRPC's own retries are off: the mesh does them on this hop. The sidecar is on this machine, so reconnecting to it
    is quick and cheap.
    """
    return grpc.aio.insecure_channel(
        address,
        options=[
            ("grpc.default_authority", authority),
            ("grpc.enable_retries", 0),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.use_local_subchannel_pool", 1),
        ],
        interceptors=aio_client_interceptors(),  # type: ignore[no-untyped-call]
    )
