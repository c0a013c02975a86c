"""
The stock's history, made whole from the present stock where the ledger lost entries.

Whatever took effect in Redis was in the ledger before. So what Redis has and the ledger lacks was lost with Kafka's
log, and is written there again, before anything is worked out from the ledger.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from typing import Protocol

import structlog

from inventory_svc.generation import Position
from inventory_svc.ports import History
from inventory_svc.projection import StockProjection
from inventory_svc.stock import Entry, Listing, Receipt
from runtime import errors

AT_A_TIME = 1000
log = structlog.get_logger()


class WritableHistory(History, Protocol):
    """A ledger that can be written; raises `Unavailable`."""

    async def record_receipts(self, receipts: Iterable[Receipt]) -> None:
        """Write that units came in; return once it can't be lost."""

    async def record_listings(self, listings: Iterable[Listing], at_ms: int) -> None:
        """Write that products were listed or changed."""


class Present(Protocol):
    """The stock that there is now; raises `Unavailable`."""

    async def entries(self) -> list[Entry]:
        """Return what took effect: listings with their time in ms, and receipts; none without a stock."""


class WholeHistory:
    """The port `History`."""

    def __init__(self, ledger: WritableHistory, present: Present) -> None:
        self._ledger = ledger
        self._present = present

    async def read(self) -> Sequence[Entry]:
        """
        Return every usable entry of the ledger, after what it lost was written to it again.
        """
        # Read first: what takes effect later is in the ledger that is read then.
        there = await self._present.entries()
        written = await self._ledger.read()
        lost = lacking(written, there)
        if not lost:
            return written
        log.error("ledger_entries_lost", lost=len(lost), left=len(written))
        await self._write(lost)
        log.warning("ledger_entries_restored", restored=len(lost))
        return await self._ledger.read()

    async def last_position(self) -> Position:
        """
        Return the last position in the published stock events.
        """
        return await self._ledger.last_position()

    async def _write(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if not isinstance(entry, Receipt):
                await self._each(self._ledger.record_listings([entry[0]], entry[1]), entry)
        receipts = [each for each in entries if isinstance(each, Receipt)]
        for start in range(0, len(receipts), AT_A_TIME):
            part = receipts[start : start + AT_A_TIME]
            try:
                await self._ledger.record_receipts(part)
            except errors.InvalidArgument:
                for receipt in part:
                    await self._each(self._ledger.record_receipts([receipt]), receipt)

    async def _each(self, writing: Awaitable[None], entry: Entry) -> None:
        try:
            await writing
        except errors.InvalidArgument as error:
            log.error("present_entry_unusable", entry=repr(entry)[:200], error=error.message)


async def read_anyhow(history: WholeHistory, ledger: History) -> Sequence[Entry]:
    """
    Return the whole history, or what *ledger* has while the present stock cannot be read.
    """
    try:
        return await history.read()
    except errors.Unavailable as error:
        log.warning("ledger_not_compared", error=error.message)
        return await ledger.read()


def lacking(written: Iterable[Entry], there: Iterable[Entry]) -> list[Entry]:
    """
    Return those of the entries that are *there* that what is *written* lacks, listings first.
    """
    known = StockProjection.of(written)
    listings: list[Entry] = []
    receipts: list[Entry] = []
    for entry in there:
        if isinstance(entry, Receipt):
            if entry.request not in known.receipts:
                receipts.append(entry)
        elif entry[0].product not in known.listings or known.listings[entry[0].product][1] < entry[1]:
            listings.append(entry)
    return listings + receipts
