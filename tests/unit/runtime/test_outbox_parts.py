"""The parts of the outbox: rows, a relay's shards, and the backlog; on a fake session."""

import json
import uuid

import pytest

from runtime.messaging import outbox, outbox_backlog
from runtime.messaging.message import Record
from runtime.messaging.outbox import SHARDS, named, shard_of, trace_id
from runtime.messaging.outbox_shards import COUNT_RELAYS, JOIN_RELAYS, LOCK_SHARD, UNLOCK_SHARD, Shards


class Session:
    """PostgreSQL's advisory locks: there are *relays* relays, and others hold the shards in *taken*."""

    def __init__(self, relays=1, taken=()):
        self.relays, self.taken = relays, set(taken)
        self.mine, self.given_up, self.joined = set(), [], 0
        self.executed = []
        self.rows = []

    async def fetchval(self, statement, _, shard):
        if statement == COUNT_RELAYS:
            return self.relays
        if statement == JOIN_RELAYS:
            self.joined += 1
        elif statement == LOCK_SHARD:
            if shard in self.taken:
                return False
            self.mine.add(shard)
        elif statement == UNLOCK_SHARD:
            self.mine.discard(shard)
            self.given_up.append(shard)
        return True

    async def execute(self, statement, *arguments):
        self.executed.append((statement, arguments))

    async def fetch(self, statement):
        assert statement == outbox_backlog.BACKLOG
        return self.rows


async def test_a_single_relay_owns_every_shard():
    session, shards = Session(), Shards()
    await shards.join(session)
    await shards.balance(session, may_release=True)
    assert session.joined == 1
    assert shards.mine == sorted(session.mine) == list(range(SHARDS))


@pytest.mark.parametrize(("relays", "fair"), [(0, SHARDS), (2, 4), (3, 3), (8, 1), (20, 1)])
async def test_a_relay_has_its_fair_share(relays, fair):
    session, shards = Session(relays), Shards()
    await shards.balance(session, may_release=True)
    assert shards.mine == list(range(fair))


async def test_shards_of_other_relays_are_not_taken():
    session, shards = Session(2, taken={0, 1, 2, 3}), Shards()
    await shards.balance(session, may_release=True)
    assert shards.mine == [4, 5, 6, 7]
    session.relays, session.taken = 1, {3}
    await shards.balance(session, may_release=True)
    assert shards.mine == [0, 1, 2, 4, 5, 6, 7]


async def test_excess_shards_are_released_when_possible():
    session, shards = Session(), Shards()
    await shards.balance(session, may_release=True)
    session.relays = 2
    await shards.balance(session, may_release=False)
    assert (shards.mine, session.given_up) == (list(range(SHARDS)), [])
    await shards.balance(session, may_release=True)
    assert (shards.mine, session.given_up) == ([0, 1, 2, 3], [4, 5, 6, 7])


async def test_shards_of_a_lost_session_are_forgotten():
    shards = Shards()
    await shards.balance(Session(), may_release=True)
    shards.clear()
    assert shards.mine == []


def test_the_shard_of_a_key_never_changes():
    assert [shard_of(key) for key in (b"", b"a", b"order 1", b"order 2")] == [0, 3, 2, 0]
    assert {shard_of(uuid.UUID(int=number).bytes) for number in range(200)} == set(range(SHARDS))


async def test_records_are_written_as_rows_in_their_order():
    session = Session()
    records = [Record("t", b"a", b"1", {"h": "ä"}), Record("u", b"b", None)]
    await outbox.put(session, records)
    [(statement, columns)] = session.executed
    assert statement == outbox.PUT
    assert columns[1:4] == (["t", "u"], [b"a", b"b"], [b"1", None])
    assert columns[0] == [shard_of(b"a"), shard_of(b"b")]
    assert [json.loads(each) for each in columns[4]] == [{"h": "ä"}, {}]
    assert list(named(records[0])) == outbox.COLUMNS.split(", ")


@pytest.mark.parametrize(
    ("headers", "trace"),
    [({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "0af7651916cd43dd8448eb211c80319c"),
     ({"traceparent": "00"}, None), ({}, None)],
)  # fmt: skip
def test_the_trace_of_a_record_is_in_its_header(headers, trace):
    found = trace_id(Record("t", b"", b"", headers))
    assert (found and found.hex()) == trace


def value(gauge, *labels):
    return (gauge.labels(*labels) if labels else gauge)._value.get()


async def test_the_backlog_is_counted_by_topic_and_in_total():
    session = Session()
    session.rows = [
        {"topic": "a", "waiting": 3, "refused": 1, "lag_s": 4.5},
        {"topic": "b", "waiting": 2, "refused": 2, "lag_s": -0.1},
    ]
    await outbox_backlog.measure(session)
    assert value(outbox_backlog.LAG) == 4.5
    assert (value(outbox_backlog.WAITING), value(outbox_backlog.REFUSED)) == (5, 3)
    assert [value(outbox_backlog.TOPIC_LAG, topic) for topic in "ab"] == [4.5, 0]
    assert [value(outbox_backlog.TOPIC_WAITING, topic) for topic in "ab"] == [3, 2]


async def test_a_topic_has_metrics_before_anything_waits():
    outbox_backlog.show(["d"])
    await outbox_backlog.measure(Session())
    exported = {sample.labels["topic"] for sample in outbox_backlog.TOPIC_LAG.collect()[0].samples}
    assert "d" in exported


async def test_a_topic_that_caught_up_has_lag_0():
    session = Session()
    session.rows = [{"topic": "c", "waiting": 3, "refused": 0, "lag_s": 4.5}]
    await outbox_backlog.measure(session)
    session.rows = []
    await outbox_backlog.measure(session)
    assert (value(outbox_backlog.TOPIC_LAG, "c"), value(outbox_backlog.TOPIC_WAITING, "c")) == (0, 0)
    assert (value(outbox_backlog.LAG), value(outbox_backlog.WAITING), value(outbox_backlog.REFUSED)) == (0, 0, 0)
