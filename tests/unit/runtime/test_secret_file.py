"""Secrets in files: reloaded when they change; an unusable one never replaces a working one."""

import asyncio
import contextlib

import asyncpg
import pytest
from prometheus_client import REGISTRY

from runtime import database
from runtime.errors import InvalidArgument
from runtime.page_token import PageTokens
from runtime.secret_file import MAX_VALUES, SecretFile, fingerprint, watch


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "secret"
    made.write_text("old\n")
    return made


def test_a_file_is_read_again(path):
    secret = SecretFile(path, name="a")
    path.write_text(" new \n\nold\nold\n")
    assert secret.values() == ("new", "old")


@pytest.mark.parametrize("content", ["", "\n \n", "x" * 5000, "\n".join(map(str, range(MAX_VALUES + 1)))])
def test_an_unusable_secret_is_rejected_at_the_start_and_ignored_later(path, content):
    secret = SecretFile(path, name="a")
    path.write_text(content)
    assert secret.values() == ("old",)
    with pytest.raises(ValueError, match=r"secret: must have 1 to"):
        SecretFile(path, name="a")


def test_a_deleted_file_keeps_its_last_values(path):
    secret = SecretFile(path, name="a")
    path.unlink()
    assert secret.values() == ("old",)


def test_the_metrics_describe_the_value_in_use(path):
    secret = SecretFile(path, name="told")
    for value in ("old", "new"):
        secret.used(value)
    in_use = {value: REGISTRY.get_sample_value("secret_in_use", {"secret": "told", "fingerprint": fingerprint(value)})
            for value in ("old", "new")}  # fmt: skip
    assert in_use == {"old": None, "new": 1}


async def test_a_change_is_reported_once(path):
    acted = asyncio.Queue()
    watching = asyncio.create_task(watch({SecretFile(path, name="a"): lambda: acted.put(1)}, every_s=0.001))
    await asyncio.sleep(0.01)
    assert acted.empty()
    path.write_text("new\n")
    await asyncio.wait_for(acted.get(), 5)
    await asyncio.sleep(0.01)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    assert acted.empty()


class Server:
    """Accepts one password."""

    def __init__(self, taken):
        self.taken, self.passwords = taken, []

    async def connect(self, *, password):
        self.passwords.append(password)
        if password != self.taken:
            raise asyncpg.InvalidPasswordError("no")
        return self


async def test_a_login_tries_each_password_and_logs_which_one_worked(path, monkeypatch):
    path.write_text("new\nold\n")
    server, secret = Server("old"), SecretFile(path, name="postgres")
    monkeypatch.setattr(asyncpg, "connect", server.connect)
    assert await database.login(secret) is server
    assert (server.passwords, secret.accepted) == (["new", "old"], "old")


async def test_a_login_with_wrong_passwords_fails(path, monkeypatch):
    monkeypatch.setattr(asyncpg, "connect", Server("other").connect)
    monkeypatch.setattr(database, "LOGIN_PAUSE_S", 0)
    with pytest.raises(asyncpg.InvalidPasswordError, match="postgres"):
        await database.login(SecretFile(path, name="postgres"))


def test_tokens_of_the_previous_key_are_accepted_and_new_ones_use_the_current_key():
    keys = [b"old"]
    tokens = PageTokens(lambda: keys, method="ListHolds")
    before = tokens.write(b"mug")
    keys.insert(0, b"new")
    after = tokens.write(b"mug")
    assert tokens.read(before) == tokens.read(after) == b"mug"
    keys.remove(b"old")
    assert tokens.read(after) == b"mug"
    with pytest.raises(InvalidArgument):
        tokens.read(before)
