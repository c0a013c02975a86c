"""Migrates the schema and creates the Kafka topics."""

from __future__ import annotations

import asyncio
import subprocess
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import asyncpg
import structlog

from orders_svc import saga
from orders_svc.operations_store import OperationsStore
from orders_svc.rewind import publish_lost
from orders_svc.settings import Settings
from orders_svc.topics import DEAD_ORDERS, ORDER_EVENTS, ORDERS_RESTORED, PARTITIONS, PENDING_ORDERS
from runtime import database
from runtime.messaging.topics import Topic, dead_letter_topic, ensure_topics
from runtime.secret_file import SecretFile
from runtime.settings import secret

SCHEMA = Path(__file__).parent / "schema"
MIGRATION_S = 300
log = structlog.get_logger()
# Rows, and nothing that changes the schema or empties a table; months of the archive are made and dropped by functions
# of the owner. Which migrations were applied is the owner's to say.
GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM {role};
GRANT EXECUTE ON FUNCTION make_archive_month, drop_archive_month TO {role};
"""
# Refused to who is not a member, whose services would end at their first login.
ENTER = "SET LOCAL ROLE {role}"
INSIST_ON_TLS = ("require", "verify-ca", "verify-full")


def migrate(settings: Settings) -> None:
    """
    Bring the schema, the serving role's rights and the Kafka topics to this version; repeating it changes nothing.
    """
    apply_migrations(settings.database_url.get_secret_value(), secret(settings.database_password_file, "postgres"))
    if settings.database_role:
        asyncio.run(_grant(settings))
    names = [stage.topic for stage in saga.stages(settings.saga_retry_delays_s)[1:]]
    topics = [
        Topic(ORDER_EVENTS, PARTITIONS),
        Topic(PENDING_ORDERS, PARTITIONS),
        Topic(ORDERS_RESTORED, 1, compacted=True),
        *(dead_letter_topic(name, partitions=PARTITIONS) for name in (*names, DEAD_ORDERS)),
    ]
    created = ensure_topics(settings.kafka, topics)
    if created & {PENDING_ORDERS, *names}:
        # At the first start there is none. Later these topics were lost, with the messages in them.
        asyncio.run(_publish_pending(settings))


async def _grant(settings: Settings) -> None:
    async with _owner(settings) as pool:
        try:
            await pool.execute(f"{GRANTS}{ENTER}".format(role=settings.database_role))
        except (asyncpg.UndefinedObjectError, asyncpg.InsufficientPrivilegeError) as error:
            raise RuntimeError(
                f"orders cannot serve in the role {settings.database_role} ({error}): "
                "have a superuser create it and make orders a member, as stores/serving.sql does"
            ) from error


@asynccontextmanager
async def _owner(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    """
    Yield sessions of the database's owner, and close them.
    """
    url, password = settings.database_url.get_secret_value(), secret(settings.database_password_file, "postgres")
    pool = await database.connect(url, password=password, max_connections=settings.database_connections)
    try:
        yield pool
    finally:
        await pool.close()


async def _publish_pending(settings: Settings) -> None:
    async with _owner(settings) as pool:
        count = await publish_lost(OperationsStore(pool))
    if count:
        log.warning("pending_orders_published_again", orders=count)


def apply_migrations(url: str, password: SecretFile | None = None) -> None:
    """
    Apply the missing migrations; of several replicas dbmate lets one do it.
    """
    dbmate = Path(sysconfig.get_path("scripts")) / "dbmate"
    command = [str(dbmate), "--no-dump-schema", "--wait", "--migrations-dir", str(SCHEMA), "up"]
    environment = {"DATABASE_URL": asyncio.run(url_of_primary(url, password))}
    subprocess.run(command, check=True, env=environment, timeout=MIGRATION_S)


async def url_of_primary(url: str, password: SecretFile | None = None) -> str:
    """
    Return *url* for dbmate, which accepts only one host: of several, the primary, which is waited for.

    Its driver encrypts by default, so `sslmode=disable` is set unless *url* requires TLS.
    """
    parts = urlsplit(url)
    user, _, hosts = parts.netloc.rpartition("@")
    tls = {name: value for name, value in parse_qsl(parts.query) if name.startswith("ssl")}
    if tls.get("sslmode") not in INSIST_ON_TLS:
        tls = {"sslmode": "disable"}
    host = await database.host_of_primary(url, password=password) if "," in hosts or password else hosts
    if password is not None:
        user = f"{user.partition(':')[0]}:{quote(password.accepted, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{user}@{host}", query=urlencode(tls)))
