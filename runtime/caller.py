"""
The caller's identity.

The edge sets these headers from the verified token and removes them from external requests; inside the mesh only its
identities reach a service.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import grpc

from runtime.errors import FieldViolation, InvalidArgument, Unauthenticated

CUSTOMER = "x-customer-id"
OPERATOR = "x-operator"
# When the caller's token expires, in seconds since 1970; absent without a token.
EXPIRY = "x-token-exp"
# The peer of the mesh's connection, from its certificate, as set by the sidecar.
WORKLOAD = "x-forwarded-client-cert"
_SPIFFE = re.compile(r"URI=(spiffe://[^;,\"]+)")
# Subjects of any issuer: 255 ASCII characters (OpenID Connect Core, section 2). No space at an end: HTTP strips it,
# which would make two customers one.
MAX_CUSTOMER = 255
_CUSTOMER_FORM = re.compile(rf"[!-~](?:[ -~]{{0,{MAX_CUSTOMER - 2}}}[!-~])?")
# Characters that need no escaping in a path segment, "pchar" of RFC 3986.
_PLAIN = "@|:!$&'()*+,;="


@dataclass(frozen=True)
class Caller:
    """A customer, and whether they act as an operator of the shop."""

    customer: str
    operator: bool = False

    @property
    def name(self) -> str:
        """Return the customer's resource name."""
        return customer_name(self.customer)


def customer_name(customer: str) -> str:
    """
    Return the resource name of *customer*, whose id is one segment of it (AIP-122, RFC 3986).
    """
    return f"customers/{quote(customer, safe=_PLAIN)}"


def customer_id(name: str) -> str:
    """
    Return the customer whose resource name is *name*.
    """
    return unquote(name.removeprefix("customers/"))


def is_customer(customer: str) -> bool:
    """
    Return whether *customer* has the form of a token's subject.
    """
    return _CUSTOMER_FORM.fullmatch(customer) is not None


def caller(context: grpc.aio.ServicerContext[Any, Any]) -> Caller:
    """
    Return the caller; `Unauthenticated` without one, `InvalidArgument` if the name is malformed.
    """
    customer, operator = single(context, CUSTOMER), single(context, OPERATOR)
    if customer is None:
        raise Unauthenticated("the call has no customer identity", reason="MISSING_CUSTOMER")
    if not is_customer(customer):
        raise InvalidArgument(
            "the caller's name is not a customer's id",
            reason="INVALID_CUSTOMER",
            fields=[FieldViolation(CUSTOMER, "1 to 255 visible ASCII characters, with spaces between them only")],
        )
    return Caller(customer, operator=is_operator(operator))


def single(context: grpc.aio.ServicerContext[Any, Any], *names: str) -> str | None:
    """
    Return the metadata that has one of *names*; `InvalidArgument` if it is duplicated.
    """
    found = [str(value) for key, value in context.invocation_metadata() or () if key in names]
    if len(found) > 1:
        raise InvalidArgument(
            f"{names[0]} comes {len(found)} times",
            reason="DOUBLED_FIELD",
            fields=[FieldViolation(names[0], "must not come more than once")],
        )
    return found[0] if found else None


def token_left_s(context: grpc.aio.ServicerContext[Any, Any]) -> float | None:
    """
    Return the remaining seconds of the caller's token, None without one.
    """
    try:
        return float(single(context, EXPIRY) or "") - time.time()
    except ValueError:
        return None


def is_operator(header: str | None) -> bool:
    """
    Return whether the edge found an operator in the token: its claim `operator` is true, or the text "true".

    The edge's own policies (istio/customers.yaml) check the same header in the same way.
    """
    return header == "true"


def share_of(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """
    Return the keys under which a call is counted for limits: the calling workload, and the customer.
    """
    metadata = _metadata(context)
    found = _SPIFFE.findall(metadata.get(WORKLOAD, ""))
    return f"{found[-1] if found else ''} {metadata.get(CUSTOMER, '')}"


def _metadata(context: grpc.aio.ServicerContext[Any, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in context.invocation_metadata() or ()}
