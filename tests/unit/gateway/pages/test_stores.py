"""The state of the data stores on the board."""

import pytest

from gateway.pages.prometheus import Sample
from gateway.pages.stores import postgres


def found(**series):
    """Return series by name: the value of each member, postgres-0 first."""
    every = {
        "up": (1, 1),
        "primary": (1, 0),
        "running": (1, 1),
        "in_sync": (0, 1),
        "streaming": (0, 1),
        "agreed_s": (1, 2),
    }
    every.update(series)
    return {
        name: [Sample({"pod": f"postgres-{n}"}, value) for n, value in enumerate(values)]
        for name, values in every.items()
    }


def test_a_leader_and_a_synchronous_replica_are_healthy():
    store = postgres(found())
    assert store["state"] == "up"
    assert [(each["name"], each["role"], each["up"]) for each in store["members"]] == [
        ("postgres-0", "leader", True),
        ("postgres-1", "copy in sync", True),
    ]


@pytest.mark.parametrize(
    ("series", "state", "word"),
    [
        ({"primary": (0, 0)}, "down", "no leader"),
        ({"up": (0, 0)}, "down", "no leader"),
        ({"in_sync": (0, 0)}, "degraded", "no copy in sync"),
        ({"up": (1, 0)}, "degraded", "no copy in sync"),
        ({"agreed_s": (1, 60)}, "degraded", "cannot agree"),
    ],
)
def test_missing_members_are_named(series, state, word):
    store = postgres(found(**series))
    assert store["state"] == state
    assert word in store["text"]


def test_a_leader_that_is_down_is_not_the_leader():
    store = postgres(found(up=(0, 1)))
    assert [each["role"] for each in store["members"]] == ["down", "copy in sync"]
