"""Stock as the Lua scripts read and write it: texts and flat lists."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from inventory_svc.stock import Basket, Hold, Line, Listing, Product, Return, Sale, State, Stock
from runtime import errors
from runtime.money import Money

Item = TypeVar("Item", Basket, Sale, Return)
Anything = TypeVar("Anything")


def price_text(price: Money | None) -> str:
    """
    Return *price* in the scripts' format: `EUR 12 990000000`; empty for none.
    """
    if price is None:
        return ""
    units, nanos = price.split()
    return f"{price.currency} {units} {nanos}"


def price(text: str) -> Money | None:
    """
    Parse the result of `price_text`.
    """
    if not text:
        return None
    currency, units, nanos = text.split(" ")
    return Money.of(currency, int(units), int(nanos))


def lines(text: str) -> tuple[Line, ...]:
    """
    Parse a hold's lines: `[[product, quantity, price], ...]`.
    """
    found = json.loads(text)
    # Lua has one kind of table, so its empty list may come as an empty object.
    return tuple(Line(name, int(quantity), price(text)) for name, quantity, text in found or ())


def hold(order: str, generation: int, state: str, text: str, expire_ms: str = "", *, late: bool = False) -> Hold:
    """
    Return the hold in a script's reply.
    """
    end = int(expire_ms) if expire_ms else None
    return Hold(order, lines(text), State(state), generation, end, late)


def product(row: Sequence[Any]) -> Product:
    """
    Return the product in a row of `browse.lua`.
    """
    name, *numbers = row[:6]
    display_name, description, amount, low = row[6:]
    unit_price = price(amount)
    if unit_price is None:
        raise errors.Internal(f"products/{name} has no price")
    listing = Listing(name, display_name, description, unit_price, int(low))
    return Product(listing, Stock(*(int(number) for number in numbers)))


def stock(numbers: Sequence[Any]) -> Stock:
    """
    Return stock from on hand, available, held, sold.
    """
    return Stock(*(int(number) for number in numbers))


def basket_arguments(basket: Basket) -> Iterator[str | int]:
    """
    Yield the arguments of `hold.lua` for a basket.
    """
    yield basket.order
    yield from _line_arguments(basket.lines)


def sale_arguments(sale: Sale) -> Iterator[str | int]:
    """
    Yield the arguments of `commit.lua` for an order.
    """
    yield from (sale.order, sale.generation, int(not sale.handed_over), sale.at_ms)
    yield from _line_arguments(sale.lines)


def return_arguments(back: Return) -> Iterator[str | int]:
    """
    Yield the arguments of `release.lua` for an order.
    """
    yield from (back.order, back.generation, back.held_in, back.at_ms, back.created_ms)
    yield from _line_arguments(back.lines)


def _line_arguments(lines: Sequence[Line]) -> Iterator[str | int]:
    yield len(lines)
    for line in lines:
        yield from (line.product, line.quantity)


def chunks(items: Sequence[Item], max_lines: int) -> Iterator[list[Item]]:
    """
    Split *items* so that each part has at most *max_lines* lines (or one item).

    Redis does nothing else while a script runs, so each script call is limited.
    """
    part: list[Item] = []
    size = 0
    for item in items:
        if part and size + len(item.lines) > max_lines:
            yield part
            part, size = [], 0
        part.append(item)
        size += len(item.lines) + 1
    if part:
        yield part


def slices(items: Sequence[Anything], max_items: int) -> Iterator[Sequence[Anything]]:
    """
    Split *items* into parts of at most *max_items*.
    """
    for start in range(0, len(items), max_items):
        yield items[start : start + max_items]
