"""Conversion of amounts to `google.type.Money` and back."""

from __future__ import annotations

from google.type.money_pb2 import Money as MoneyMessage

from runtime.money import Money


def money_message(money: Money) -> MoneyMessage:
    """
    Return *money* as a message.
    """
    units, nanos = money.split()
    return MoneyMessage(currency_code=money.currency, units=units, nanos=nanos)


def money(message: MoneyMessage) -> Money:
    """
    Return the amount in *message*.
    """
    return Money.of(message.currency_code, message.units, message.nanos)
