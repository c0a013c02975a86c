"""How this process reaches Kafka: the brokers' addresses, and who it is to them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from runtime.secret_file import LOOK_S, SecretFile

if TYPE_CHECKING:
    from confluent_kafka import KafkaError

Options = dict[str, Any]
"""librdkafka's settings of one client."""


class Client(Protocol):
    """What librdkafka's clients have in common."""

    def set_sasl_credentials(self, username: str, password: str) -> None:
        """
        Use these for every further connection.
        """


@dataclass(frozen=True)
class KafkaCluster:
    """The brokers and the security settings that every client of this process uses."""

    brokers: str
    """`HOST:PORT`, separated by commas."""
    security: Mapping[str, str] = field(default_factory=dict)
    """librdkafka's settings for TLS and SASL, without the password."""
    username: str = ""
    password: SecretFile | None = None
    """The password of *username* for SCRAM and PLAIN: every line is tried, so two are valid while it changes."""

    def options(self, own: Options) -> Options:
        """
        Return the settings of one short-lived client; *own* are its own.
        """
        return self.login().options(own)

    def login(self) -> Login:
        """
        Return the credentials of one client that lives for long.
        """
        return Login(self)


class Login:
    """One client's credentials: the next line of the password's file is used where the brokers refuse this one."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        self._values = () if cluster.password is None else cluster.password.values()
        self._current = 0
        self._refused = False
        self._look_at = 0.0

    def options(self, own: Options) -> Options:
        """
        Return the client's settings; *own* are its own.
        """
        options: Options = {"bootstrap.servers": self._cluster.brokers, **self._cluster.security}
        if self._values:
            options |= {"sasl.username": self._cluster.username, "sasl.password": self._values[0]}
            options["error_cb"] = self.failed
        return options | own

    def failed(self, error: KafkaError) -> None:
        """
        Note an *error* that the client reports; called from within a poll, where credentials cannot be changed.
        """
        if error.name() == "_AUTHENTICATION":
            self._refused = True

    def renew(self, client: Client) -> None:
        """
        Give *client* the password that is valid now; to be called between any two polls.
        """
        if (credentials := self.changed()) is not None:
            client.set_sasl_credentials(*credentials)

    def changed(self) -> tuple[str, str] | None:
        """
        Return the user and the password that the client must use from now on; None if it has them.
        """
        if self._cluster.password is None:
            return None
        now = time.monotonic()
        # A poll returns with every delivery; the file is read once in a while only.
        if now < self._look_at and not self._refused:
            return None
        self._look_at = now + LOOK_S
        values = self._cluster.password.values()
        if values != self._values:
            self._values, self._current = values, 0
        elif self._refused and len(values) > 1:
            self._current = (self._current + 1) % len(values)
        else:
            return None
        self._refused = False
        return self._cluster.username, self._values[self._current]
