"""Who calls is what the token says, and nothing else."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from shop.orders.v1 import order_service_pb2_grpc

from gateway.issuer.signing import Signer, key_in
from tests.integration.edge import rig
from tests.integration.edge.conftest import Buyer
from tests.integration.edge.statuses import error
from tests.integration.edge.test_grpc import order_request

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def signer(own_shop: str, folder: Path) -> Signer:
    """
    The issuer that the edge believes.
    """
    return rig.signer(folder)


def bearer(token: str) -> dict[str, str]:
    """
    The header that carries the token.
    """
    return {"authorization": f"Bearer {token}"}


def test_customer_is_the_tokens_subject(buyer: Buyer, signer: Signer) -> None:
    token = signer.token("ana", now=NOW, lifetime=HOUR)
    assert buyer.buy(**bearer(token)).json()["customer"] == "customers/ana"


def test_header_beside_a_token_changes_nothing(buyer: Buyer, signer: Signer) -> None:
    token = signer.token("ana", now=NOW, lifetime=HOUR)
    order = buyer.buy(**bearer(token), **{"x-customer-id": "eva", "x-operator": "true"}).json()
    assert order["customer"] == "customers/ana"


def test_operator_is_who_the_token_makes_one(buyer: Buyer, signer: Signer) -> None:
    plain = buyer.buy(**bearer(signer.token("ana", now=NOW, lifetime=HOUR))).json()
    operator = buyer.buy(**bearer(signer.token("eva", now=NOW, lifetime=HOUR, operator=True))).json()
    assert (plain["stateReason"], operator["stateReason"]) == ("", "OPERATOR")


def test_token_counts_for_grpc_too(channel: grpc.Channel, signer: Signer) -> None:
    stub = order_service_pb2_grpc.OrderServiceStub(channel)
    metadata = list(bearer(signer.token("ana", now=NOW, lifetime=HOUR)).items())
    assert stub.CreateOrder(order_request("products/tea-1"), metadata=metadata).customer == "customers/ana"


def wrong_tokens(signer: Signer, folder: Path) -> dict[str, str]:
    """
    Tokens that the edge must refuse.
    """
    good = signer.token("ana", now=NOW, lifetime=HOUR)
    forger = dataclasses.replace(signer, key=key_in(folder / "forger"))
    stranger = dataclasses.replace(signer, issuer="https://elsewhere.example.com")
    return {
        "expired": signer.token("ana", now=NOW - 3 * HOUR, lifetime=HOUR),
        "forged": forger.token("ana", now=NOW, lifetime=HOUR),
        "from elsewhere": stranger.token("ana", now=NOW, lifetime=HOUR),
        "cut": good[:-10],
        "unsigned": good.rpartition(".")[0] + ".",
        "no token": "x",
    }


@pytest.mark.parametrize("case", ["expired", "forged", "from elsewhere", "cut", "unsigned", "no token"])
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
