"""
Who calls.

The edge sets these headers from the verified token and strips them from what
comes from outside; inside the mesh only its identities reach a service at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import grpc

from runtime.errors import FieldViolation, InvalidArgument

CUSTOMER = "x-customer-id"
OPERATOR = "x-operator"
_CUSTOMER_FORM = re.compile(r"[A-Za-z0-9._@|-]{1,128}")


@dataclass(frozen=True)
class Caller:
    """A customer, and whether they act as an operator of the shop."""

    customer: str
    operator: bool = False

    @property
    def name(self) -> str:
        """The customer's resource name."""
        return f"customers/{self.customer}"


ANONYMOUS = Caller("anonymous")


def caller(context: grpc.aio.ServicerContext[Any, Any]) -> Caller:
    """
    Return who calls; `InvalidArgument` if the identity has no valid form.
    """
    metadata = {key: str(value) for key, value in context.invocation_metadata() or ()}
    customer = metadata.get(CUSTOMER, ANONYMOUS.customer)
    if not _CUSTOMER_FORM.fullmatch(customer):
        raise InvalidArgument(
            f"{CUSTOMER} is not a customer's id",
            reason="INVALID_CUSTOMER",
            fields=[FieldViolation(CUSTOMER, "1 to 128 of A-Z a-z 0-9 . _ @ | -")],
        )
    return Caller(customer, operator=metadata.get(OPERATOR) == "true")
