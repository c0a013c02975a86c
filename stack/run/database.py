"""
Creates the database and the roles of orders on the PostgreSQL primary, and the role that it is measured with.

Run as `python -m stack.run.database`; a repeated run changes nothing but the password.
"""

import os

import psycopg
from psycopg import sql
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from stack import settings
from stack.settings import CHECKOUT
from stack.topology import passwords
from stack.topology.addresses import Port
from stack.topology.plan import postgres_hosts
from stores import files

TIMEOUT_S = 90
Connection = psycopg.Connection[tuple[object, ...]]


def main() -> None:
    """Create what is missing; raises if no primary accepts it within 90 seconds."""
    chosen = settings.read(os.environ, checkout=CHECKOUT)
    known = passwords.keep(chosen.secrets)
    with _connect(postgres_hosts(chosen), known.postgres_superuser) as connection:
        connection.autocommit = True
        _role(connection, "orders", known.orders_database)
        if connection.execute("SELECT FROM pg_database WHERE datname = 'orders'").fetchone() is None:
            connection.execute("CREATE DATABASE orders OWNER orders")
        connection.execute((files.FOLDER / "serving.sql").read_text(encoding="utf-8"))
        _monitor(connection, known.monitor)


@retry(
    retry=retry_if_exception_type(psycopg.OperationalError),
    stop=stop_after_delay(TIMEOUT_S),
    wait=wait_fixed(0.3),
    reraise=True,
)
def _connect(hosts: str, password: str) -> Connection:
    return psycopg.connect(
        host=hosts,
        port=Port.POSTGRES.value,
        user="postgres",
        password=password,
        dbname="postgres",
        target_session_attrs="read-write",
        connect_timeout=2,
    )


def change_password(hosts: str, superuser: str, password: str) -> None:
    """Set the password of the role orders on the primary among *hosts*; open sessions stay."""
    with _connect(hosts, superuser) as connection:
        connection.autocommit = True
        _role(connection, "orders", password)


def _role(connection: Connection, name: str, password: str) -> None:
    exists = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone() is not None
    statement = "ALTER ROLE {} LOGIN PASSWORD {}" if exists else "CREATE ROLE {} LOGIN PASSWORD {}"
    connection.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Literal(password)))


def _monitor(connection: Connection, password: str) -> None:
    """Create the exporters' role as stores/monitor.sql has it, which cannot read any table."""
    _role(connection, files.MONITOR, password)
    connection.execute((files.FOLDER / "monitor.sql").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
