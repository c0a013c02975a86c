"""The settings of orders that would break an order's way."""

import pytest

from orders_svc.settings import Settings
from runtime.settings import load

GIVEN = {"DATABASE_URL": "postgresql://h/d", "KAFKA_BROKERS": "h:1", "INVENTORY_ADDRESS": "h:1"}


@pytest.mark.parametrize(
    ("delays", "accepted"), [("[1, 2, 3]", True), ("[5]", True), ("[1, 1]", False), ("[1.0000001, 1]", False)]
)
def test_a_delay_that_is_there_twice_stops_the_start(monkeypatch, delays, accepted):
    """Both would be the same topic, and a failing message would stay in it for ever."""
    for name, value in {**GIVEN, "SAGA_RETRY_DELAYS_S": delays}.items():
        monkeypatch.setenv(name, value)
    if accepted:
        load(Settings)
        return
    with pytest.raises(SystemExit, match=r"SAGA_RETRY_DELAYS_S.*twice"):
        load(Settings)


def test_orders_cannot_be_forgotten_before_they_are_archived(monkeypatch):
    for name, value in {**GIVEN, "ORDERS_KEPT_DAYS": "400", "ARCHIVE_KEPT_DAYS": "400"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match="ARCHIVE_KEPT_DAYS must be more than ORDERS_KEPT_DAYS"):
        load(Settings)
