"""Works out the stock from what is durable: the ledger and what the orders own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from inventory_svc.stock import Line, Listing, Receipt, Sale, Stock


@dataclass
class Account:
    """
    Receipts and sales by product, as they come in.

    *receipts* are by request: of two with one request the first counts, as it did
    when they came in.
    """

    listings: dict[str, tuple[Listing, int]] = field(default_factory=dict)
    receipts: dict[str, Receipt] = field(default_factory=dict)
    came_in: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)

    def list_product(self, listing: Listing, listed_ms: int) -> None:
        """
        Note a listing; the latest counts.
        """
        present = self.listings.get(listing.product)
        if present is None or present[1] <= listed_ms:
            self.listings[listing.product] = (listing, listed_ms)

    def receive(self, receipt: Receipt) -> None:
        """
        Note what came in, once for each request.
        """
        if receipt.request not in self.receipts:
            self.receipts[receipt.request] = receipt
            self.came_in[receipt.product] += receipt.quantity

    def take(self, lines: Iterable[Line]) -> None:
        """
        Note what an order owns.
        """
        for line in lines:
            self.taken[line.product] += line.quantity

    def priced(self, sale: Sale) -> Sale:
        """
        Return *sale* with the present price wherever orders told none.
        """
        return replace(sale, lines=tuple(self._priced(line) for line in sale.lines))

    def _priced(self, line: Line) -> Line:
        if line.unit_price is not None or line.product not in self.listings:
            return line
        return replace(line, unit_price=self.listings[line.product][0].unit_price)

    def stock(self, product: str) -> Stock:
        """
        Return the stock of *product*; what orders own beyond what came in is short.
        """
        on_hand, taken = self.came_in[product], self.taken[product]
        sold = min(on_hand, taken)
        return Stock(on_hand, available=on_hand - sold, held=0, sold=sold, short=taken - sold)

    def strangers(self) -> set[str]:
        """
        Return products that came in or were taken though they were never listed.
        """
        return (set(self.came_in) | set(self.taken)) - set(self.listings)
