"""
Turns over the passwords of PostgreSQL and Redis, and the key of page tokens.
"""

import secrets
from collections.abc import Callable

from redis import Redis

from stack.run import database
from stack.run.rotation import Rotation
from stack.topology import configuration
from stack.topology.passwords import values_in, write_private

BYTES = 24
TIMEOUT_S = 5.0


def postgres(rotation: Rotation) -> None:
    """
    Change the password of the role orders; open sessions stay, and each later login tries both.
    """
    plan, new = rotation.plan, secrets.token_hex(BYTES)
    old = plan.passwords.orders_database
    rotation.give("orders_database", old, new)
    rotation.progress.say("postgres: services know the old and the new password")
    database.change_password(plan.postgres_hosts, plan.passwords.postgres_superuser, new)
    rotation.keep("orders_database", new)
    rotation.give("orders_database", new, old)
    rotation.progress.say("postgres: the role orders has the new password")
    rotation.look("postgres", new, ["orders"])
    rotation.give("orders_database", new)


def redis(rotation: Rotation) -> None:
    """
    Add a second password to Redis's user, wait until it is used, and remove every other one.

    Others than the first are there if an earlier rotation was not used everywhere.
    """
    plan, new = rotation.plan, secrets.token_hex(BYTES)
    old, file = plan.passwords.redis, plan.settings.conf / "redis-0.conf"
    with Redis.from_url(plan.redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S) as client:
        # A Redis that is started anew meanwhile must take both as well.
        write_private(file, configuration.redis(plan, further=(new,)))
        client.acl_setuser("default", reset=False, enabled=True, passwords=[f"+{new}"])
        rotation.progress.say("redis: the user has two passwords")
        rotation.give("redis", new, old)
        rotation.keep("redis", new)
        rotation.look("redis", new, ["inventory"])
        client.acl_setuser("default", reset=False, enabled=True, reset_passwords=True, passwords=[f"+{new}"])
    rotation.give("redis", new)
    write_private(file, configuration.redis(plan, instead=new))
    rotation.progress.say("redis: the old password is refused")


def page_token(rotation: Rotation) -> None:
    """
    Sign page tokens with another key once every replica accepts it; the key before is accepted until the next time.
    """
    new = secrets.token_hex(BYTES)
    old = values_in(rotation.plan.settings.secret_files / "page_token_key")[0]
    services = ("orders", "inventory")
    for values, done in (((old, new), "every replica accepts the new key"), ((new, old), "the new key signs")):
        rotation.give("page_token_key", *values)
        rotation.look("page-token", "\n".join(values), services)
        rotation.progress.say(f"page-token: {done}")
    rotation.keep("page_token_key", new)


KINDS: dict[str, Callable[[Rotation], None]] = {"postgres": postgres, "redis": redis, "page-token": page_token}
