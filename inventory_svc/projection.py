"""Works out the stock from what is durable: the ledger and what the orders own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from inventory_svc.refusals import TooManyProducts
from inventory_svc.stock import MAX_PRODUCTS, Entry, Listing, Receipt, Stock


@dataclass
class StockProjection:
    """
    Listings and receipts, as they come in.

    *receipts* are by request: of two with one request the first counts, as it did
    when they came in.
    """

    listings: dict[str, tuple[Listing, int]] = field(default_factory=dict)
    receipts: dict[str, Receipt] = field(default_factory=dict)
    came_in: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> StockProjection:
        """
        Return what *entries* come to; raises `TooManyProducts`.
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
        Note a listing; the latest counts.
        """
        present = self.listings.get(listing.product)
        if present is None and len(self.listings) >= MAX_PRODUCTS:
            raise TooManyProducts(listing.product)
        if present is None or present[1] <= listed_ms:
            self.listings[listing.product] = (listing, listed_ms)

    def receive(self, receipt: Receipt) -> None:
        """
        Note what came in, once for each request.
        """
        if receipt.request not in self.receipts:
            self.receipts[receipt.request] = receipt
            self.came_in[receipt.product] += receipt.quantity

    def stock(self, product: str, owned: int = 0) -> Stock:
        """
        Return the stock of *product* of which orders own *owned*; what they own beyond what came in is short.
        """
        on_hand = self.came_in[product]
        sold = min(on_hand, owned)
        return Stock(on_hand, available=on_hand - sold, held=0, sold=sold, short=owned - sold)

    def unlisted(self, owned: Iterable[str]) -> set[str]:
        """
        Return products that came in or are *owned* though they were never listed.
        """
        return (set(self.came_in) | set(owned)) - set(self.listings)
