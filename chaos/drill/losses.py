"""The three losses: how each is made, how the system comes back, and what must be true then."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping

import psycopg

from chaos.drill import proof
from chaos.drill.customers import CONFIRMED, Customers, Taken
from chaos.drill.failures import DrillFailed
from chaos.drill.measured import Measured
from stack.commands import restore, up
from stack.describe import describe
from stack.progress import Progress
from stack.run import end, pgbackrest
from stack.run.lock import exclusive
from stack.settings import Settings
from stack.topology import backups, system

ORDERS = 20
ORDERS_S = 60.0
BACK_S = 180.0
SETTLE_S = 120.0
ARCHIVE_SLACK_S = 15.0
"""Beyond what `backups.ARCHIVE_S` says, on a busy machine."""
INVENTORY = ("inventory-0", "inventory-1")


class Drill:
    """The losses of one running stack whose customers order meanwhile."""

    def __init__(self, chosen: Settings, customers: Customers, progress: Progress) -> None:
        self._chosen = chosen
        self._customers = customers
        self._progress = progress
        self._plan = describe(chosen)

    def postgres(self) -> Measured:
        """
        Lose the data of both members of PostgreSQL, and restore from the backups.
        """
        with exclusive(self._chosen, "backups"):
            kind = pgbackrest.take(self._plan)
        self._say(f"a {kind} backup was taken")
        self._some_orders()
        waiting = self._leave_orders_pending()
        self._wait_for_wal(time.time())
        archived = time.time()
        self._say(f"WAL up to now is archived; {len(waiting)} orders are pending in it")
        self._customers.wait_for(ORDERS, since=archived, within_s=ORDERS_S)
        lost_at = self._lose(("postgres-0", "postgres-1"))
        acknowledged = self._customers.taken()
        end.down(self._chosen, system.steps(self._plan), self._progress)
        restore.whole(self._chosen, None, self._progress)
        first = self._customers.wait_for(1, since=lost_at, within_s=BACK_S, status=CONFIRMED)
        gone = self._given_up(acknowledged)
        rpo = lost_at - min((each.at for each in gone), default=lost_at)
        self._require_bounded(gone, archived, rpo)
        for order in gone:
            if self._customers.again(order) != order.name:
                raise DrillFailed(f"the repeat of {order.name} became another order")
        self._say(f"{len(gone)} orders were given up; each repeated request placed it again under its name")
        return self._proven("both copies of PostgreSQL", lost_at, first, waiting, rpo=rpo, lost=len(gone))

    def kafka(self) -> Measured:
        """
        Lose Kafka's whole log, and start it with an empty one.
        """
        self._some_orders()
        waiting = self._leave_orders_pending()
        ledger = proof.ledger(self._plan)
        lost_at = self._lose(("kafka-0",))
        self._customers.wait_for(ORDERS, since=lost_at, within_s=ORDERS_S)
        self._say("orders are taken without Kafka")
        up.up(self._chosen, self._progress)
        first = self._customers.wait_for(1, since=lost_at, within_s=BACK_S, status=CONFIRMED)
        missing = ledger - proof.ledger(self._plan)
        if missing:
            raise DrillFailed(f"{len(missing)} entries of the stock's ledger are gone, such as {min(missing)!r}")
        self._say(f"the stock's ledger has its {len(ledger)} entries again")
        return self._proven("Kafka's whole log", lost_at, first, waiting)

    def redis(self) -> Measured:
        """
        Lose Redis's data, and have the stock rebuilt.
        """
        self._some_orders()
        before = proof.on_hand(f"127.0.0.1:{self._chosen.port}")
        lost_at = self._lose(("redis-0",))
        waiting = {self._customers.wait_for(1, since=lost_at, within_s=ORDERS_S).name}
        up.up(self._chosen, self._progress)
        first = self._customers.wait_for(1, since=lost_at, within_s=BACK_S, status=CONFIRMED)
        after = proof.on_hand(f"127.0.0.1:{self._chosen.port}")
        if before != after:
            raise DrillFailed(f"the units on hand were {before}, and are {after}")
        self._say("every product has the units on hand that it had")
        return self._proven("Redis's files", lost_at, first, waiting)

    def _some_orders(self) -> None:
        self._customers.wait_for(ORDERS, since=time.time(), within_s=ORDERS_S, status=CONFIRMED)
        self._say(f"{ORDERS} orders were confirmed")

    def _leave_orders_pending(self) -> set[str]:
        """
        Stop inventory until orders wait for it; return their names.
        """
        end.stop(self._chosen, INVENTORY)
        began = time.time()
        self._customers.wait_for(ORDERS // 2, since=began, within_s=ORDERS_S)
        found = proof.pending(self._plan)
        if not found:
            raise DrillFailed("no order is pending although inventory is stopped")
        return found

    def _wait_for_wal(self, moment: float) -> None:
        """
        Wait until WAL that was written after *moment* is archived.
        """
        query = "SELECT last_archived_time > to_timestamp(%s) FROM pg_stat_archiver"

        def archived() -> bool:
            with psycopg.connect(self._plan.database_url.replace("=primary", "=read-write")) as connection:
                row = connection.execute(query, [moment]).fetchone()
            return row is not None and row[0] is True

        proof.wait("WAL was archived", archived, within_s=backups.ARCHIVE_S + ARCHIVE_SLACK_S + ORDERS_S)

    def _lose(self, names: tuple[str, ...]) -> float:
        """
        Kill processes and remove all their data; return when, in s since 1970.
        """
        end.kill(self._chosen, names)
        for name in names:
            shutil.rmtree(self._chosen.data / name)
        self._say(f"killed, with all their files gone: {', '.join(names)}")
        return time.time()

    def _given_up(self, acknowledged: list[Taken]) -> list[Taken]:
        there = proof.stored(self._plan)
        return [each for each in acknowledged if each.name not in there]

    @staticmethod
    def _require_bounded(gone: list[Taken], archived: float, rpo: float) -> None:
        early = [each for each in gone if each.at < archived - backups.ARCHIVE_S - ARCHIVE_SLACK_S]
        if early or rpo > 2 * backups.ARCHIVE_S + ARCHIVE_SLACK_S:
            raise DrillFailed(f"{len(gone)} orders are gone, the first {rpo:.0f} s before the loss")

    def _proven(
        self, loss: str, lost_at: float, first: Taken, waiting: set[str], *, rpo: float = 0.0, lost: int = 0
    ) -> Measured:
        """
        Check what every loss has in common, and return what was measured.
        """
        states: Mapping[str, str] = {}

        def ended() -> bool:
            nonlocal states
            states = proof.stored(self._plan)
            return not any(states.get(name) == "PENDING" for name in waiting)

        proof.wait("the pending orders ended", ended, within_s=SETTLE_S)
        self._say(f"the {len(waiting)} pending orders have ended")
        names = [each.name for each in self._customers.taken()]
        proof.require_stored(self._plan, names)
        self._say(f"all {len(names)} acknowledged orders are there")
        repaired, left = proof.reconcile(self._plan)
        self._say(f"reconcile: {repaired} differences repaired, {left} left")
        return Measured(
            loss=loss,
            rpo_s=round(rpo, 1),
            lost=lost,
            rto_s=round(first.at - lost_at, 1),
            silence_s=round(self._customers.longest_silence_s(lost_at), 1),
            kept=len(names),
            ended=len(waiting),
            repaired=repaired,
            left=left,
        )

    def _say(self, text: str) -> None:
        self._progress.say(f"drill: {text}")


LOSSES: Mapping[str, Callable[[Drill], Measured]] = {
    "postgres": Drill.postgres,
    "kafka": Drill.kafka,
    "redis": Drill.redis,
}
