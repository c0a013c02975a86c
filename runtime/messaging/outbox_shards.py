"""The shards of the outbox that a relay publishes: a fair share of them, claimed by advisory locks."""

from __future__ import annotations

from typing import Any

from runtime.messaging.outbox import SHARDS

# Distinguishes our advisory locks from others of the same database.
LOCKS = 0x6F75
_MEMBERS = SHARDS
LOCK_SHARD = "SELECT pg_try_advisory_lock($1, $2)"
UNLOCK_SHARD = "SELECT pg_advisory_unlock($1, $2)"
JOIN_RELAYS = "SELECT pg_try_advisory_lock_shared($1, $2)"
COUNT_RELAYS = """
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND classid = $1::int::oid AND objid = $2::int::oid AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class Shards:
    """The shards of one relay; they end with the session that locked them."""

    def __init__(self) -> None:
        self._mine: set[int] = set()

    @property
    def mine(self) -> list[int]:
        """
        Return this relay's current shards.
        """
        return sorted(self._mine)

    def clear(self) -> None:
        """
        Forget them: their session was lost.
        """
        self._mine.clear()

    async def join(self, connection: Any) -> None:
        """
        Register as one of the relays.
        """
        await connection.fetchval(JOIN_RELAYS, LOCKS, _MEMBERS)

    async def balance(self, connection: Any, *, may_release: bool) -> None:
        """
        Keep a fair share: claim free shards below it and, if allowed now, release those above it.
        """
        relays = max(1, await connection.fetchval(COUNT_RELAYS, LOCKS, _MEMBERS))
        fair = -(-SHARDS // relays)
        for shard in self.mine[fair:] if may_release else ():
            await connection.fetchval(UNLOCK_SHARD, LOCKS, shard)
            self._mine.discard(shard)
        for shard in sorted(set(range(SHARDS)) - self._mine):
            if len(self._mine) >= fair:
                break
            if await connection.fetchval(LOCK_SHARD, LOCKS, shard):
                self._mine.add(shard)
