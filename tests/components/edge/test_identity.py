"""The caller's identity comes from the token only."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
import jwt
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from shop.orders.v1 import order_service_pb2_grpc

from gateway.issuer.signing import ALGORITHM, AUDIENCE, Signer, key_in
from tests.components.edge import rig
from tests.components.edge.conftest import Buyer
from tests.components.edge.statuses import error
from tests.components.edge.test_grpc import order_request

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def signer(own_shop: str, folder: Path) -> Signer:
    """
    Return the issuer that the edge trusts.
    """
    return rig.signer(folder)


def bearer(token: str) -> dict[str, str]:
    """
    Return the header with the token.
    """
    return {"authorization": f"Bearer {token}"}


def test_customer_is_the_tokens_subject(buyer: Buyer, signer: Signer) -> None:
    token = signer.token("ana", now=NOW, lifetime=HOUR)
    assert buyer.buy(**bearer(token)).json()["customer"] == "customers/ana"


def test_identity_header_beside_a_token_is_ignored(buyer: Buyer, signer: Signer) -> None:
    token = signer.token("ana", now=NOW, lifetime=HOUR)
    order = buyer.buy(**bearer(token), **{"x-customer-id": "eva", "x-operator": "true"}).json()
    assert order["customer"] == "customers/ana"


def test_operator_is_determined_by_the_claim(buyer: Buyer, signer: Signer) -> None:
    plain = buyer.buy(**bearer(signer.token("ana", now=NOW, lifetime=HOUR))).json()
    operator = buyer.buy(**bearer(signer.token("eva", now=NOW, lifetime=HOUR, operator=True))).json()
    assert (plain["stateReason"], operator["stateReason"]) == ("", "OPERATOR")


def test_token_is_verified_for_grpc_too(channel: grpc.Channel, signer: Signer) -> None:
    stub = order_service_pb2_grpc.OrderServiceStub(channel)
    metadata = list(bearer(signer.token("ana", now=NOW, lifetime=HOUR)).items())
    assert stub.CreateOrder(order_request("products/tea-1"), metadata=metadata).customer == "customers/ana"


def wrong_tokens(signer: Signer, folder: Path) -> dict[str, str]:
    """
    Return tokens that the edge must refuse.
    """
    good = signer.token("ana", now=NOW, lifetime=HOUR)
    forger = dataclasses.replace(signer, key=key_in(folder / "forger"))
    other_issuer = dataclasses.replace(signer, issuer="https://elsewhere.example.com")
    return {
        "expired": signer.token("ana", now=NOW - 3 * HOUR, lifetime=HOUR),
        "forged": forger.token("ana", now=NOW, lifetime=HOUR),
        "of another issuer": other_issuer.token("ana", now=NOW, lifetime=HOUR),
        "truncated": good[:-10],
        "unsigned": good.rpartition(".")[0] + ".",
        "not a JWT": "x",
    }


@pytest.mark.parametrize("case", ["expired", "forged", "of another issuer", "truncated", "unsigned", "not a JWT"])
def test_wrong_token_is_refused(buyer: Buyer, signer: Signer, tmp_path: Path, case: str) -> None:
    response = buyer.buy(**bearer(wrong_tokens(signer, tmp_path)[case]))
    assert error(response, 401)["code"] == 16
    assert "Bearer" in response.headers["www-authenticate"]


def test_wrong_token_is_unauthenticated_for_grpc(channel: grpc.Channel, signer: Signer, tmp_path: Path) -> None:
    stub = order_service_pb2_grpc.OrderServiceStub(channel)
    metadata = list(bearer(wrong_tokens(signer, tmp_path)["expired"]).items())
    with pytest.raises(grpc.RpcError) as caught:
        stub.CreateOrder(order_request("products/tea-1"), metadata=metadata)
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED


def reason_of(error: grpc.RpcError) -> str:
    """
    Return the reason of a failed call.
    """
    info = error_details_pb2.ErrorInfo()
    assert rpc_status.from_call(error).details[0].Unpack(info)
    return info.reason


def signed(signer: Signer, *, head: dict[str, Any] | None = None, **claims: Any) -> str:
    """
    Return a token with these claims instead of the defaults; None omits a claim.
    """
    usual = {"iss": signer.issuer, "aud": AUDIENCE, "sub": "ana", "exp": NOW + HOUR}
    kept = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    return jwt.encode(kept, signer.key, algorithm=ALGORITHM, headers={"kid": signer.public["kid"], **(head or {})})


SUBJECTS = {
    "f:0c3e5f2a-1111-2222-3333-444455556666:jane.doe": "f:0c3e5f2a-1111-2222-3333-444455556666:jane.doe",
    "q83vEjRW+/8=": "q83vEjRW+%2F8=",
    "spiffe://cluster.local/ns/shop/sa/robot": "spiffe:%2F%2Fcluster.local%2Fns%2Fshop%2Fsa%2Frobot",
    "https://id.example.com/users?id=7": "https:%2F%2Fid.example.com%2Fusers%3Fid=7",
    "Jane Doe": "Jane%20Doe",
    "x" * 255: "x" * 255,
}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_subject_of_any_issuer_is_a_customer(buyer: Buyer, signer: Signer, subject: str) -> None:
    order = buyer.buy(**bearer(signed(signer, sub=subject))).json()
    assert order["customer"] == f"customers/{SUBJECTS[subject]}"


@pytest.mark.parametrize("subject", SUBJECTS)
def test_subject_of_any_issuer_is_a_customer_for_grpc(channel: grpc.Channel, signer: Signer, subject: str) -> None:
    stub = order_service_pb2_grpc.OrderServiceStub(channel)
    metadata = list(bearer(signed(signer, sub=subject)).items())
    order = stub.CreateOrder(order_request("products/tea-1"), metadata=metadata)
    assert order.customer == f"customers/{SUBJECTS[subject]}"


UNUSABLE: dict[str, dict[str, Any]] = {
    "a NUL in the subject": {"sub": "an\0a"},
    "a line break in the subject": {"sub": "ana\r\nx-operator: true"},
    "a subject that is not ASCII": {"sub": "Ñandú"},
    "a space before the subject": {"sub": " ana"},
    "a space after the subject": {"sub": "ana "},
    "a subject that is too long": {"sub": "x" * 256},
    "an empty subject": {"sub": ""},
    "no expiry": {"exp": None},
    "an expiry of zero": {"exp": 0},
    "an expiry in more than 31 days": {"exp": NOW + timedelta(days=32)},
    "another audience": {"aud": "elsewhere"},
    "an unknown extension": {"head": {"crit": ["x-unheard-of"], "x-unheard-of": True}},
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_token_is_401_with_its_reason(buyer: Buyer, signer: Signer, case: str) -> None:
    response = buyer.buy(**bearer(signed(signer, **UNUSABLE[case])))
    refused = error(response, 401)
    assert refused["details"][0]["reason"] == "INVALID_TOKEN"
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_token_is_unauthenticated_for_grpc(channel: grpc.Channel, signer: Signer, case: str) -> None:
    stub = order_service_pb2_grpc.OrderServiceStub(channel)
    metadata = list(bearer(signed(signer, **UNUSABLE[case])).items())
    with pytest.raises(grpc.RpcError) as caught:
        stub.CreateOrder(order_request("products/tea-1"), metadata=metadata)
    assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.UNAUTHENTICATED, "INVALID_TOKEN")


@pytest.mark.parametrize("before", ["", "a", "aa"])
def test_critical_extension_is_found_anywhere_in_the_jwt_header(buyer: Buyer, signer: Signer, before: str) -> None:
    head = {"kid": f"{signer.public['kid']}", "x5t": before, "crit": ["x-unheard-of"], "x-unheard-of": 1}
    assert error(buyer.buy(**bearer(signed(signer, head=head))), 401)["message"].endswith(
        "(crit) that are not known here"
    )


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer ", "bEaReR"])
def test_authorization_scheme_is_case_insensitive(client: httpx.Client, signer: Signer, scheme: str) -> None:
    headers = {"authorization": f"{scheme} {signed(signer)}", "idempotency-key": scheme.strip() + "-key"}
    body = {"lines": [{"product": "products/tea-1", "quantity": 1}]}
    assert client.post("/v1/orders", json=body, headers=headers).json()["customer"] == "customers/ana"


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR"])
def test_authorization_scheme_is_case_insensitive_for_grpc(channel: grpc.Channel, signer: Signer, scheme: str) -> None:
    stub = order_service_pb2_grpc.OrderServiceStub(channel)
    metadata = [("authorization", f"{scheme} {signed(signer)}")]
    assert stub.CreateOrder(order_request("products/tea-1"), metadata=metadata).customer == "customers/ana"
