"""Both services on stores that take TLS only and know who calls."""

import pytest

from tests.components.secured.stores import SecuredKafka, SecuredRedis, Tokens
from tests.support.authority import Authority

PASSWORD = "not-guessed-either"


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("secured")


@pytest.fixture(scope="session")
def authority(folder):
    return Authority(folder)


@pytest.fixture(scope="session")
def tokens(folder):
    tokens = Tokens(folder)
    yield tokens
    tokens.close()


@pytest.fixture(scope="session")
def kafka(folder, authority, tokens):
    """Start a broker; orders and inventory have the rights of `stores/access.yaml`, and `PASSWORD`."""
    kafka = SecuredKafka(folder, authority, tokens.keys)
    try:
        kafka.start()
        for user in ("orders", "inventory"):
            kafka.set_password(user, PASSWORD)
        yield kafka
    finally:
        kafka.process.kill()


@pytest.fixture(scope="session")
def redis(folder, authority):
    server = SecuredRedis(folder, authority, PASSWORD)
    yield server.start()
    server.kill()


@pytest.fixture
def password_file(tmp_path):
    """Return a file of a test's own with the password."""
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    return file


@pytest.fixture
def scram(kafka, authority, password_file):
    """Return the settings with which *user* reaches Kafka."""

    def settings(user, **other):
        return {
            "KAFKA_BROKERS": kafka.brokers,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_CA_FILE": str(authority.ca),
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA_USERNAME": user,
            "KAFKA_PASSWORD_FILE": str(password_file),
            **other,
        }

    return settings
