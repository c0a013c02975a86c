"""The example shop: ten products and their first stock, so that a newcomer has something to buy."""

from __future__ import annotations

from inventory_svc.stock import Listing, Receipt
from runtime.money import Money

FIRST_STOCK = 1000
"""Units of each product."""
LISTED_MS = 1_767_225_600_000
"""When the shop opened, 2026-01-01 UTC: the same in every run, so that later changes of a listing win."""


def _listing(product: str, name: str, description: str, price: str) -> Listing:
    units, cents = price.split(".")
    return Listing(product, name, description, Money.of("EUR", int(units), int(cents) * 10_000_000), low_stock=50)


LISTINGS = (
    _listing("beeswax-candle", "Beeswax candle", "Burns for 40 hours and smells of summer.", "9.80"),
    _listing("bread-knife", "Bread knife", "A serrated 22 cm blade with a handle of plum wood.", "39.00"),
    _listing("coffee-grinder", "Coffee grinder", "A hand grinder with steel burrs, for 30 g at a time.", "64.50"),
    _listing("enamel-mug", "Enamel mug", "Holds 0.35 l and survives the campfire.", "12.90"),
    _listing("field-notebook", "Field notebook", "96 squared pages that take rain and pencil.", "8.50"),
    _listing("linen-towel", "Linen towel", "50 by 70 cm, softer with every wash.", "14.20"),
    _listing("olive-oil", "Olive oil", "Half a litre, cold-pressed last November.", "16.75"),
    _listing("table-lamp", "Table lamp", "Brass and milk glass, dimmed by touch.", "119.00"),
    _listing("tea-kettle", "Tea kettle", "Copper-bottomed, 1.2 l, whistles in tune.", "54.00"),
    _listing("wool-blanket", "Wool blanket", "140 by 200 cm of undyed merino.", "98.00"),
)

RECEIPTS = tuple(Receipt(f"seed {each.product}", each.product, FIRST_STOCK) for each in LISTINGS)
