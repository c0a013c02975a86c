"""Who is an operator: edge, services and pages agree on each token."""

import uuid
from datetime import UTC, datetime, timedelta

import grpc
import jwt
import pytest
from shop.orders.v1 import operations_service_pb2, operations_service_pb2_grpc

from gateway.issuer.settings import IssuerSettings
from gateway.issuer.signing import ALGORITHM, AUDIENCE, Signer, key_in
from shop_client import rest

OPERATORS = [True, "true"]
OTHERS = [
    False,
    "false",
    "True",
    "TRUE",
    " true",
    "true,true",
    "yes",
    "1",
    1,
    1.0,
    None,
    "",
    ["true"],
    [True],
    {"a": 1},
]


def token(settings, claim):
    """Return a token of the stack's issuer whose claim `operator` is *claim*."""
    issuer = IssuerSettings(state=settings.secrets / "issuer")
    signer = Signer(key_in(issuer.state), issuer.url)
    now = datetime.now(UTC)
    claims = {"iss": issuer.url, "aud": AUDIENCE, "sub": f"c-{uuid.uuid4()}", "iat": now, "operator": claim}
    claims["exp"] = now + timedelta(hours=1)
    return jwt.encode(claims, signer.key, algorithm=ALGORITHM, headers={"kid": signer.public["kid"]})


@pytest.fixture
async def somebodys_order(edge, load):
    answer = await rest.place(edge, load.basket)
    return answer.json()["name"]


async def readings(stack, claim, order):
    """Return whether each place that checks accepts the token's subject as an operator."""
    bearer = f"Bearer {token(stack.settings, claim)}"
    async with stack.client() as client:
        client.headers["authorization"] = bearer
        found = {
            "edge, REST": (await client.get("/v1/backlog")).status_code == 200,
            "orders": (await client.get(f"/v1/{order}")).status_code == 200,
            "pages": (await client.get("/ops/api/board")).status_code == 200,
            "orders in lists": order in (await client.get("/v1/orders", params={"pageSize": 500})).text,
        }
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stack.settings.port}") as channel:
        backlog = operations_service_pb2_grpc.OperationsServiceStub(channel).GetBacklog
        call = backlog(operations_service_pb2.GetBacklogRequest(), metadata=(("authorization", bearer),), timeout=10)
        found["edge, gRPC"] = await call.code() is grpc.StatusCode.OK
    return found


@pytest.mark.parametrize("claim", OPERATORS, ids=repr)
async def test_the_operator_claim_true_is_an_operator_everywhere(stack, somebodys_order, claim):
    found = await readings(stack, claim, somebodys_order)
    assert set(found.values()) == {True}, found


@pytest.mark.parametrize("claim", OTHERS, ids=repr)
async def test_any_other_operator_claim_is_no_operator_anywhere(stack, somebodys_order, claim):
    found = await readings(stack, claim, somebodys_order)
    assert set(found.values()) == {False}, found
