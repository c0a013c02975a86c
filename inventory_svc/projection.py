"""Computes the stock from durable data: the ledger and the units that orders own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from inventory_svc.refusals import TooManyProducts
from inventory_svc.stock import MAX_PRODUCTS, Entry, Listing, Receipt, Stock


@dataclass
class StockProjection:
    """
    Listings and receipts, in their order.

    *receipts* are by request id: of two with one id the first wins, as it did when it was applied.
    """

    listings: dict[str, tuple[Listing, int]] = field(default_factory=dict)
    receipts: dict[str, Receipt] = field(default_factory=dict)
    came_in: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> StockProjection:
        """
        Return the projection of *entries*; raise `TooManyProducts`.
        """
        projection = cls()
        for entry in entries:
            if isinstance(entry, Receipt):
                projection.receive(entry)
            else:
                projection.list_product(*entry)
        return projection

    def list_product(self, listing: Listing, listed_ms: int) -> None:
        """
        Add a listing; the latest wins.
        """
        present = self.listings.get(listing.product)
        if present is None and len(self.listings) >= MAX_PRODUCTS:
            raise TooManyProducts(listing.product)
        if present is None or present[1] <= listed_ms:
            self.listings[listing.product] = (listing, listed_ms)

    def receive(self, receipt: Receipt) -> None:
        """
        Add a receipt, once for each request id.
        """
        if receipt.request not in self.receipts:
            self.receipts[receipt.request] = receipt
            self.came_in[receipt.product] += receipt.quantity

    def stock(self, product: str, owned: int = 0) -> Stock:
        """
        Return the stock of *product* of which orders own *owned*; owned units beyond the received ones are short.
        """
        on_hand = self.came_in[product]
        sold = min(on_hand, owned)
        return Stock(on_hand, available=on_hand - sold, held=0, sold=sold, short=owned - sold)

    def unlisted(self, owned: Iterable[str]) -> set[str]:
        """
        Return products that were received or are *owned* though they were never listed.
        """
        return (set(self.came_in) | set(owned)) - set(self.listings)
