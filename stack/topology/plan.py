"""
The plan, from which every description of a process is derived.
"""

from dataclasses import dataclass
from pathlib import Path

from stack.settings import Settings
from stack.topology.addresses import Endpoint, Host, Network, Port
from stack.topology.passwords import Passwords
from stores import files

# Of each service; how many members a store has is a matter of the profile.
REPLICAS = range(2)


@dataclass(frozen=True, kw_only=True)
class Programs:
    """The paths of programs that are not in the virtual environment."""

    postgres_bin: Path
    redis: Path
    etcd: Path
    prometheus: Path
    alertmanager: Path
    postgres_exporter: Path
    redis_exporter: Path
    node_exporter: Path
    java: Path
    postgres_user: str | None  # PostgreSQL refuses to run as root


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One stack: its settings, its passwords and the machine's programs."""

    settings: Settings
    passwords: Passwords
    programs: Programs

    @property
    def network(self) -> Network:
        """Return the stack's addresses."""
        return Network(self.settings.network)

    def tool(self, name: str) -> str:
        """Return the path of a program in the virtual environment."""
        return str(self.settings.venv / "bin" / name)

    @property
    def members(self) -> range:
        """Return the numbers of PostgreSQL's members."""
        return range(self.settings.profile.members)

    @property
    def brokers(self) -> range:
        """Return the numbers of Kafka's brokers."""
        return range(self.settings.profile.brokers)

    @property
    def postgres_hosts(self) -> str:
        """Return the addresses of PostgreSQL's members without their port, separated by commas."""
        return postgres_hosts(self.settings)

    @property
    def database_url(self) -> str:
        """Return the PostgreSQL URL of orders: all members, whichever is primary."""
        members = ",".join(str(self.network.at(Host.POSTGRES, Port.POSTGRES, member)) for member in self.members)
        password = self.passwords.orders_database
        return f"postgresql://orders:{password}@{members}/orders?target_session_attrs=primary"

    @property
    def database_url_without_password(self) -> str:
        """Redis, for inventory, which reads the default user's password in a file."""
        return self.database_url.replace(f":{self.passwords.orders_database}@", "@")

    @property
    def patroni(self) -> tuple[Endpoint, ...]:
        """Return the addresses of Patroni's REST API, which knows the leader."""
        return tuple(self.network.at(Host.POSTGRES, Port.PATRONI, replica) for replica in self.members)

    @property
    def redis_url(self) -> str:
        """Redis, for its administrator; inventory's account is the default user."""
        return f"redis://{files.ADMINISTRATOR}:{self.passwords.redis_admin}@{self.network.at(Host.REDIS, Port.REDIS)}/0"

    @property
    def redis_url_without_password(self) -> str:
        """Redis, for inventory, which reads the default user's password in a file."""
        return f"redis://{self.network.at(Host.REDIS, Port.REDIS)}/0"

    @property
    def kafka_brokers(self) -> str:
        """Return the bootstrap addresses of Kafka, separated by commas."""
        return ",".join(str(self.network.at(Host.KAFKA, Port.KAFKA, broker)) for broker in self.brokers)


def postgres_hosts(settings: Settings) -> str:
    """Return the addresses of the members of PostgreSQL in the stack with *settings*, separated by commas."""
    network = Network(settings.network)
    return ",".join(network.address(Host.POSTGRES, member) for member in range(settings.profile.members))
