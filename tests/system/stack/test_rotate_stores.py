"""What a rotation of Redis's password leaves behind, on a real Redis."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from stack.progress import Progress
from stack.run import rotate_stores
from stack.run.rotation import Rotation, RotationFailed
from stack.settings import Settings
from stack.topology import passwords
from stack.topology.plan import Plan, Programs
from tests.support.redis_server import RedisServer


class OneRedis(Plan):
    """The plan of a stack whose Redis listens on a socket."""

    @property
    def redis_url(self):
        return f"unix://admin:{self.passwords.redis_admin}@{self.settings.state}/redis.sock"


class Looked(Rotation):
    """A rotation in which every replica, or none, uses the new password."""

    used = True

    def look(self, what, value, services):
        if not self.used:
            raise RotationFailed(what)


class NotUsed(Looked):
    used = False


@pytest.fixture
def plan(tmp_path):
    settings = Settings(checkout=Path("/checkout"), state=tmp_path, tools=tmp_path, network=77)
    for folder in (settings.conf, settings.secret_files):
        folder.mkdir(parents=True)
    unused = {each.name: Path("/unused") for each in fields(Programs) if each.name != "postgres_user"}
    programs = Programs(**unused, postgres_user=None)
    made = OneRedis(settings=settings, passwords=passwords.keep(settings.secrets), programs=programs)
    server = RedisServer(tmp_path)
    try:
        server.start()
        with Redis.from_url(f"unix://{tmp_path}/redis.sock") as client:
            client.acl_setuser(
                "admin", enabled=True, passwords=[f"+{made.passwords.redis_admin}"], categories=["+@all"]
            )
            client.acl_setuser(
                "default",
                reset=False,
                enabled=True,
                nopass=False,
                reset_passwords=True,
                passwords=[f"+{made.passwords.redis}"],
            )
        yield made
    finally:
        server.kill()


def accepted(plan, password):
    try:
        with Redis.from_url(f"unix://:{password}@{plan.settings.state}/redis.sock") as client:
            return client.ping()
    except AuthenticationError:
        return False


def known(plan):
    """The password that the stack knows now."""
    return passwords.read(plan.settings.secrets).redis


def test_the_password_before_is_refused_once_the_new_one_is_used(plan):
    rotate_stores.redis(Looked(plan, Progress()))
    assert accepted(plan, known(plan))
    assert not accepted(plan, plan.passwords.redis)
    assert passwords.values_in(plan.settings.secret_files / "redis") == [known(plan)]
    assert f">{known(plan)} " in (plan.settings.conf / "redis-0.conf").read_text()


def test_passwords_that_a_failed_rotation_left_are_refused_after_the_next(plan):
    first = plan.passwords.redis
    with pytest.raises(RotationFailed):
        rotate_stores.redis(NotUsed(plan, Progress()))
    second = known(plan)
    assert accepted(plan, first)
    assert accepted(plan, second)
    rotate_stores.redis(Looked(replace(plan, passwords=passwords.read(plan.settings.secrets)), Progress()))
    assert accepted(plan, known(plan))
    assert not accepted(plan, second)
    assert not accepted(plan, first)
