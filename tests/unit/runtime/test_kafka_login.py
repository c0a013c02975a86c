"""The credentials of a client of Kafka, while its password changes."""

from dataclasses import dataclass

import pytest

from runtime.messaging.cluster import KafkaCluster
from runtime.secret_file import SecretFile


@dataclass
class Refused:
    kind: str = "_AUTHENTICATION"

    def name(self):
        return self.kind


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "password"
    file.write_text("old\n")
    return file


@pytest.fixture
def login(file):
    login = KafkaCluster("k:1", {}, "orders", SecretFile(file, name="kafka")).login()
    assert login.options({})["sasl.password"] == "old"
    return login


def test_nothing_changes_while_the_file_does_not(login):
    assert login.changed() is None


def test_a_changed_file_is_used(login, file):
    file.write_text("new\nold\n")
    assert login.changed() == ("orders", "new")
    assert login.changed() is None


def test_the_file_is_not_read_at_every_poll(login, file, monkeypatch):
    reads = []
    monkeypatch.setattr(SecretFile, "values", lambda _: reads.append(1) or ("old",))
    assert [login.changed() for _ in range(1000)] == [None] * 1000
    assert len(reads) < 5


def test_a_refused_password_gives_way_to_the_next_line_and_that_to_the_first(login, file):
    file.write_text("new\nold\n")
    login.changed()
    found = []
    for _ in range(3):
        login.failed(Refused())
        found.append(login.changed())
    assert found == [("orders", "old"), ("orders", "new"), ("orders", "old")]


def test_a_refused_password_without_another_is_kept(login):
    login.failed(Refused())
    assert login.changed() is None


def test_other_errors_change_no_password(login, file):
    file.write_text("new\nold\n")
    login.changed()
    login.failed(Refused("_TRANSPORT"))
    assert login.changed() is None


def test_a_client_without_a_password_has_no_credentials():
    login = KafkaCluster("k:1").login()
    assert login.options({"client.id": "c"}) == {"bootstrap.servers": "k:1", "client.id": "c"}
    assert login.changed() is None
