"""Settings from the environment."""

import pytest

from runtime.settings import KafkaSettings, ServiceSettings, load


def test_a_missing_variable_stops_the_start_and_is_named(monkeypatch):
    monkeypatch.delenv("KAFKA_BROKERS", raising=False)
    with pytest.raises(SystemExit, match="KAFKA_BROKERS"):
        load(ServiceSettings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KAFKA_BROKERS", "localhost"),
        ("KAFKA_BROKERS", "a:1,b"),
        ("GRPC_LISTEN", "127.0.0.1:99999"),
        ("MAX_IN_FLIGHT", "0"),
        ("MAX_IN_FLIGHT", "many"),
        ("LOG_LEVEL", "LOUD"),
        ("DEFAULT_DEADLINE_S", "-1"),
    ],
)
def test_a_wrong_variable_stops_the_start_and_is_named(monkeypatch, variable, value):
    monkeypatch.setenv("KAFKA_BROKERS", "127.0.0.1:9092")
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit, match=variable):
        load(ServiceSettings)


def test_every_wrong_variable_is_named_at_once(monkeypatch):
    monkeypatch.setenv("KAFKA_BROKERS", "nowhere")
    monkeypatch.setenv("MAX_STREAMS", "none")
    with pytest.raises(SystemExit, match=r"(?s)KAFKA_BROKERS.*MAX_STREAMS|MAX_STREAMS.*KAFKA_BROKERS"):
        load(ServiceSettings)


def test_settings_cannot_be_changed(monkeypatch):
    monkeypatch.setenv("KAFKA_BROKERS", "127.0.0.1:9092")
    settings = load(ServiceSettings)
    with pytest.raises(ValueError, match="frozen"):
        settings.max_in_flight = 1


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "KAFKA_SASL_MECHANISM"),
        ({"KAFKA_SASL_MECHANISM": "PLAIN"}, "KAFKA_SECURITY_PROTOCOL"),
        ({"KAFKA_CA_FILE": "/no/such/file"}, "KAFKA_CA_FILE"),
        ({"KAFKA_CERTIFICATE_FILE": __file__}, "KAFKA_KEY_FILE"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "PLAIN"}, "KAFKA_PASSWORD_FILE"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "OAUTHBEARER"}, "KAFKA_OAUTH_TOKEN_URL"),
    ],
)
def test_incomplete_security_settings_stop_the_start_and_are_named(monkeypatch, given, problem):
    monkeypatch.setenv("KAFKA_BROKERS", "127.0.0.1:9092")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=problem):
        load(KafkaSettings)


def test_without_security_settings_kafka_is_plain_text(monkeypatch):
    monkeypatch.setenv("KAFKA_BROKERS", "127.0.0.1:9092")
    options = load(KafkaSettings).kafka.options({"client.id": "c"})
    assert options == {
        "bootstrap.servers": "127.0.0.1:9092",
        "security.protocol": "PLAINTEXT",
        "client.id": "c",
    }
