"""Settings from the environment: read once, checked before anything starts."""

from __future__ import annotations

import re
import sys
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, FilePath, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from runtime.messaging.cluster import KafkaCluster
from runtime.page_token import Keys, derived_key
from runtime.secret_file import SecretFile


def _host_and_port(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not re.fullmatch(r"\d{1,5}", port) or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not HOST:PORT")
    return text


def _hosts_and_ports(text: str) -> str:
    for part in text.split(","):
        _host_and_port(part)
    return text


def _readable(path: Path) -> Path:
    SecretFile(path, name=path.name)
    return path


SecretPath = Annotated[Path, AfterValidator(_readable)]
"""A file with a secret, one value a line, which is read again when it changes."""
Address = Annotated[str, AfterValidator(_host_and_port)]
"""One `HOST:PORT`."""
Addresses = Annotated[str, AfterValidator(_hosts_and_ports)]
"""Several `HOST:PORT`, separated by commas."""


class ProcessSettings(BaseSettings):
    """The settings of every process; each field is the variable of the same name in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    metrics_listen: Address = "127.0.0.1:9464"
    """Where `/metrics` is served."""
    pod_name: str = Field(default="local", pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")
    """This replica's name; in every log line."""
    log_level: str = Field(default="INFO", pattern=r"^(DEBUG|INFO|WARNING|ERROR)$")
    """The minimum level that is logged."""
    otel_exporter_otlp_endpoint: str | None = None
    """The endpoint for spans; without it they only give the logs their trace ids."""


class KafkaSettings(BaseSettings):
    """How a process reaches Kafka; each field is the variable of the same name in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    kafka_brokers: Addresses
    """Kafka's bootstrap servers."""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Whether connections are encrypted, and whether the client says who it is by SASL."""
    kafka_ca_file: FilePath | None = None
    """Certificates (PEM) of those who may sign the brokers'; the system's if missing. The name is verified as well."""
    kafka_certificate_file: FilePath | None = None
    """This client's certificate (PEM), where the brokers ask for one."""
    kafka_key_file: FilePath | None = None
    """Its private key (PEM)."""
    kafka_sasl_mechanism: Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN", "OAUTHBEARER"] | None = None
    """OAUTHBEARER fetches tokens from KAFKA_OAUTH_TOKEN_URL (OpenID Connect's client credentials)."""
    kafka_username: str = ""
    """The user for SCRAM and PLAIN."""
    kafka_password_file: SecretPath | None = None
    """A file with that user's password: every line is tried, so two are valid while it changes."""
    kafka_oauth_token_url: str = Field(default="", pattern=r"^(https?://.*)?$")
    """Where tokens are fetched."""
    kafka_oauth_client_id: str = ""
    """The client's id there."""
    kafka_oauth_client_secret_file: SecretPath | None = None
    """A file with the client's secret in its first line, read when a client of Kafka starts."""
    kafka_oauth_scope: str = ""
    """The scope that is asked for, if any."""

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        sasl, mechanism = self.kafka_security_protocol.startswith("SASL"), self.kafka_sasl_mechanism
        if sasl != (mechanism is not None):
            raise ValueError("KAFKA_SASL_MECHANISM belongs to KAFKA_SECURITY_PROTOCOL SASL_SSL or SASL_PLAINTEXT")
        if (self.kafka_certificate_file is None) != (self.kafka_key_file is None):
            raise ValueError("KAFKA_CERTIFICATE_FILE and KAFKA_KEY_FILE belong together")
        token = (self.kafka_oauth_token_url, self.kafka_oauth_client_id, self.kafka_oauth_client_secret_file)
        if mechanism == "OAUTHBEARER" and not all(token):
            raise ValueError(
                "OAUTHBEARER needs KAFKA_OAUTH_TOKEN_URL, KAFKA_OAUTH_CLIENT_ID and KAFKA_OAUTH_CLIENT_SECRET_FILE"
            )
        if mechanism not in (None, "OAUTHBEARER") and not (self.kafka_username and self.kafka_password_file):
            raise ValueError(f"{mechanism} needs KAFKA_USERNAME and KAFKA_PASSWORD_FILE")
        return self

    @cached_property
    def kafka(self) -> KafkaCluster:
        """Return the brokers, and who this process is to them."""
        password = None if self.kafka_username == "" else secret(self.kafka_password_file, "kafka")
        return KafkaCluster(self.kafka_brokers, self._kafka_security(), self.kafka_username, password)

    def _kafka_security(self) -> dict[str, str]:
        oauth_secret = secret(self.kafka_oauth_client_secret_file, "kafka-oauth")
        options: dict[str, object] = {
            "security.protocol": self.kafka_security_protocol,
            "ssl.ca.location": self.kafka_ca_file,
            "ssl.certificate.location": self.kafka_certificate_file,
            "ssl.key.location": self.kafka_key_file,
            "sasl.mechanism": self.kafka_sasl_mechanism,
        }
        if oauth_secret is not None:
            options |= {
                "sasl.oauthbearer.method": "oidc",
                "sasl.oauthbearer.token.endpoint.url": self.kafka_oauth_token_url,
                "sasl.oauthbearer.client.id": self.kafka_oauth_client_id,
                "sasl.oauthbearer.client.secret": oauth_secret.values()[0],
                "sasl.oauthbearer.scope": self.kafka_oauth_scope or None,
            }
        return {name: str(value) for name, value in options.items() if value is not None}


class ServiceSettings(ProcessSettings, KafkaSettings):
    """The further settings of every gRPC service."""

    grpc_listen: Address = "127.0.0.1:50061"
    """Where the service serves gRPC, behind its sidecar."""
    page_token_key: SecretStr | None = None
    """Signs page tokens; the same for all replicas. Derived from the store's password if missing."""
    page_token_key_file: SecretPath | None = None
    """A file with that key in its first line; tokens signed with the keys in further lines are still accepted."""
    max_in_flight: int = Field(default=128, ge=1, le=100_000)
    """Unary calls at a time; more are rejected at once."""
    max_in_flight_per_caller: int = Field(default=64, ge=1, le=100_000)
    """Of those, one customer's or one workload's."""
    max_batches: int = Field(default=64, ge=1, le=100_000)
    """Batches at a time; more are rejected at once."""
    max_batches_per_caller: int = Field(default=64, ge=1, le=100_000)
    """Of those, one customer's or one workload's."""
    max_streams: int = Field(default=1024, ge=1, le=100_000)
    """Streaming calls at a time; more are rejected at once."""
    max_streams_per_caller: int = Field(default=64, ge=1, le=100_000)
    """Of those, one customer's or one workload's."""
    max_message_bytes: int = Field(default=64 * 1024, ge=1024, le=64 * 1024 * 1024)
    """The largest request, except for batches."""
    max_batch_message_bytes: int = Field(default=1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    """The largest request of a batch; a MiB of empty lines takes 0.1 s to parse."""
    default_deadline_s: float = Field(default=10.0, gt=0, le=300)
    """The deadline of calls without one, and the longest of any."""
    drain_wait_s: float = Field(default=2.5, ge=0, le=300)
    """From NOT_SERVING to rejecting calls, so that callers have noticed; longer while they still begin calls."""
    drain_limit_s: float = Field(default=15.0, gt=0, le=300)
    """How long after that calls in flight may take to finish; callers may begin further calls for half of it."""

    def page_keys(self, keys: SecretFile | None, *, store_url: str, purpose: bytes) -> Keys:
        """
        Return the keys of page tokens, the same in every replica: those of the file, the one given, or a derived one.
        """
        if keys is not None:
            return lambda: [value.encode() for value in keys.last_read()]
        given = self.page_token_key
        key = derived_key(store_url, purpose) if given is None else given.get_secret_value().encode()
        return lambda: [key]


def secret(path: Path | None, name: str) -> SecretFile | None:
    """
    Return the secret in the file *path*; None if there is none.
    """
    return None if path is None else SecretFile(path, name=name)


def check_page_key(settings: ServiceSettings, password_file: Path | None) -> None:
    """
    Raise `ValueError` if a page token's key would have to be derived from a password that is not in the URL.
    """
    if password_file is not None and settings.page_token_key is None and settings.page_token_key_file is None:
        raise ValueError("PAGE_TOKEN_KEY_FILE or PAGE_TOKEN_KEY is needed where the password is in a file")


SettingsType = TypeVar("SettingsType", bound=BaseSettings)


def load(kind: type[SettingsType]) -> SettingsType:
    """
    Read *kind* from the environment, or end the program with the names of all invalid variables.
    """
    try:
        return kind()
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        sys.exit("wrong settings:\n" + "\n".join(lines))
