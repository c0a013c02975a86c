"""Settings from the environment: read once, checked before anything starts."""

from __future__ import annotations

import re
import sys
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


def _host_and_port(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not re.fullmatch(r"\d{1,5}", port) or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not HOST:PORT")
    return text


def _hosts_and_ports(text: str) -> str:
    for part in text.split(","):
        _host_and_port(part)
    return text


Address = Annotated[str, AfterValidator(_host_and_port)]
"""One `HOST:PORT`."""
Addresses = Annotated[str, AfterValidator(_hosts_and_ports)]
"""Several `HOST:PORT`, separated by commas."""


class ProcessSettings(BaseSettings):
    """What every process needs to know; each field is the variable of the same name in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    metrics_listen: Address = "127.0.0.1:9464"
    """Where `/metrics` is served."""
    pod_name: str = Field(default="local", pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")
    """Which replica this is; in every log line."""
    log_level: str = Field(default="INFO", pattern=r"^(DEBUG|INFO|WARNING|ERROR)$")
    """The least level that is logged."""
    otel_exporter_otlp_endpoint: str | None = None
    """Where spans go; without it they only give the logs their trace ids."""


class ServiceSettings(ProcessSettings):
    """What every gRPC service needs to know besides."""

    grpc_listen: Address = "127.0.0.1:50061"
    """Where the service serves gRPC, behind its sidecar."""
    kafka_brokers: Addresses
    """Kafka's bootstrap servers."""
    max_in_flight: int = Field(default=128, ge=1, le=100_000)
    """Unary calls at a time; more are refused at once."""
    max_in_flight_per_caller: int = Field(default=64, ge=1, le=100_000)
    """Of those, one customer's or one workload's."""
    max_batches: int = Field(default=64, ge=1, le=100_000)
    """Batches at a time; more are refused at once."""
    max_batches_per_caller: int = Field(default=64, ge=1, le=100_000)
    """Of those, one customer's or one workload's."""
    max_streams: int = Field(default=1024, ge=1, le=100_000)
    """Streaming calls at a time; more are refused at once."""
    max_streams_per_caller: int = Field(default=64, ge=1, le=100_000)
    """Of those, one customer's or one workload's."""
    max_message_bytes: int = Field(default=64 * 1024, ge=1024, le=64 * 1024 * 1024)
    """The largest request, but for those of batches."""
    max_batch_message_bytes: int = Field(default=1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    """The largest request of a batch; a MiB of empty lines takes 0.1 s to parse."""
    default_deadline_s: float = Field(default=10.0, gt=0, le=300)
    """For calls without a deadline, and the longest that any gets."""
    drain_wait_s: float = Field(default=2.5, ge=0, le=300)
    """From saying NOT_SERVING to refusing calls, so that callers have noticed."""
    drain_limit_s: float = Field(default=15.0, gt=0, le=300)
    """What calls in flight get to finish."""


SettingsType = TypeVar("SettingsType", bound=BaseSettings)


def load(kind: type[SettingsType]) -> SettingsType:
    """
    Read *kind* from the environment, or end the program naming every wrong variable.
    """
    try:
        return kind()
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        sys.exit("wrong settings:\n" + "\n".join(lines))
