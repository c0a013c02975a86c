"""
Who calls.

The edge sets these headers from the verified token and strips them from what
comes from outside; inside the mesh only its identities reach a service at all.
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
# When the caller's token ends, in seconds since 1970; absent where there is no token.
EXPIRY = "x-token-exp"
# Who is at the other end of the mesh's connection, as the sidecar found in its certificate.
WORKLOAD = "x-forwarded-client-cert"
_SPIFFE = re.compile(r"URI=(spiffe://[^;,\"]+)")
# What an issuer may call a subject: 255 ASCII characters (OpenID Connect Core, section 2). No space at an end: HTTP
# takes it away there, which makes two customers one.
MAX_CUSTOMER = 255
_CUSTOMER_FORM = re.compile(rf"[!-~](?:[ -~]{{0,{MAX_CUSTOMER - 2}}}[!-~])?")
# Stands for itself in a segment of a path, as "pchar" of RFC 3986 does.
_PLAIN = "@|:!$&'()*+,;="


@dataclass(frozen=True)
class Caller:
    """A customer, and whether they act as an operator of the shop."""

    customer: str
    operator: bool = False

    @property
    def name(self) -> str:
        """The customer's resource name."""
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


def caller(context: grpc.aio.ServicerContext[Any, Any]) -> Caller:
    """
    Return who calls; `Unauthenticated` if no caller is named, `InvalidArgument` if the name has no valid form.
    """
    customer, operator = single(context, CUSTOMER), single(context, OPERATOR)
    if customer is None:
        raise Unauthenticated("this is done for a customer, and none is named", reason="MISSING_CUSTOMER")
    if not _CUSTOMER_FORM.fullmatch(customer):
        raise InvalidArgument(
            "the caller's name is not a customer's id",
            reason="INVALID_CUSTOMER",
            fields=[FieldViolation(CUSTOMER, "1 to 255 visible ASCII characters, with spaces between them only")],
        )
    return Caller(customer, operator=is_operator(operator))


def single(context: grpc.aio.ServicerContext[Any, Any], *names: str) -> str | None:
    """
    Return the metadata that has one of *names*; `InvalidArgument` if there is more than one.
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
    Return the seconds that the caller's token lasts, None for a caller without one.
    """
    try:
        return float(single(context, EXPIRY) or "") - time.time()
    except ValueError:
        return None


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
