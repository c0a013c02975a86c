"""Settings from the environment."""

import pytest

from runtime.settings import ServiceSettings, load


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
