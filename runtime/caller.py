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

from runtime.errors import FieldViolation, InvalidArgument, Unauthenticated

CUSTOMER = "x-customer-id"
OPERATOR = "x-operator"
# Who is at the other end of the mesh's connection, as the sidecar found in its certificate.
WORKLOAD = "x-forwarded-client-cert"
_SPIFFE = re.compile(r"URI=(spiffe://[^;,\"]+)")
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


def caller(context: grpc.aio.ServicerContext[Any, Any]) -> Caller:
    """
    Return who calls; `Unauthenticated` if nobody is named, `InvalidArgument` if the name has no valid form.
    """
    metadata = _metadata(context)
    customer = metadata.get(CUSTOMER)
    if customer is None:
        raise Unauthenticated("this is done for a customer, and none is named", reason="MISSING_CUSTOMER")
    if not _CUSTOMER_FORM.fullmatch(customer):
        raise InvalidArgument(
            f"{CUSTOMER} is not a customer's id",
            reason="INVALID_CUSTOMER",
            fields=[FieldViolation(CUSTOMER, "1 to 128 of A-Z a-z 0-9 . _ @ | -")],
        )
    return Caller(customer, operator=is_operator(metadata.get(OPERATOR)))


def is_operator(header: str | None) -> bool:
    """
    Return whether the edge found an operator in the token: its claim `operator` is true, or the text "true".

    The edge's own policies (istio/customers.yaml) look at the same header in the same way.
    """
    return header == "true"


def share_of(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """
    Return whose share of a limit a call takes: the workload that sends it, and the customer that it is for.
    """
    metadata = _metadata(context)
    found = _SPIFFE.findall(metadata.get(WORKLOAD, ""))
    return f"{found[-1] if found else ''} {metadata.get(CUSTOMER, '')}"


def _metadata(context: grpc.aio.ServicerContext[Any, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in context.invocation_metadata() or ()}
