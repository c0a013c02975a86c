"""Follows the ledger, so that what a replica wrote there is applied also if it died in between."""

from __future__ import annotations

from collections.abc import Sequence

from inventory_svc.entries import set_aside, usable
from inventory_svc.ports import Supplied
from inventory_svc.stock import Entry, Receipt
from runtime import errors
from runtime.messaging.message import Message


class LedgerEntries:
    """Applies entries of the ledger that their writer did not apply."""

    def __init__(self, stock: Supplied) -> None:
        self._stock = stock

    async def handle(self, messages: Sequence[Message]) -> None:
        """
        Apply *messages* in their order; raise `Unavailable` if they should be redelivered, and nothing else.
        """
        for message in messages:
            entry = usable(message)
            try:
                await self._apply(entry)
            except errors.Unavailable:
                raise
            except errors.Error as error:
                set_aside(message, error)

    async def _apply(self, entry: Entry | None) -> None:
        if isinstance(entry, Receipt):
            await self._stock.receive(entry)
        elif entry is not None:
            await self._stock.list_product(*entry)
