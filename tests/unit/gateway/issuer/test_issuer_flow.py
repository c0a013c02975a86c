"""Signing in at the development issuer: authorization code with PKCE."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from starlette.testclient import TestClient

from gateway.issuer import codes, flow
from gateway.issuer.app import application
from gateway.issuer.codes import challenge_of
from gateway.issuer.flow import BURST, MAX_BODY_BYTES, Flow
from gateway.issuer.signing import AUDIENCE, Signer, key_in
from tests.support.clock import Clock

ISSUER = "https://issuer.example.com"
EDGE = "http://127.0.0.1:8080"
VERIFIER = "v" * 50
BACK = f"{EDGE}/signed-in"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(key_in(tmp_path), ISSUER)


@pytest.fixture
def client(signer: Signer, clock: Clock) -> TestClient:
    flow = Flow.build(signer, (EDGE,), timedelta(hours=1), clock)
    return TestClient(application(signer, flow), base_url=EDGE, follow_redirects=False)


def parameters(**changed: str | None) -> dict[str, str]:
    every: dict[str, str | None] = {
        "client_id": flow.CLIENT_ID,
        "redirect_uri": BACK,
        "response_type": "code",
        "scope": "openid",
        "state": "the state",
        "nonce": "the nonce",
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
        **changed,
    }
    return {name: value for name, value in every.items() if value is not None}


def sign_in(client: TestClient, name: str = "ana", **changed: str | None) -> httpx.Response:
    return client.post("/issuer/authorize", data={**parameters(**changed), "name": name})


def answer(response: httpx.Response) -> dict[str, str]:
    assert response.status_code == 303
    target = urlsplit(response.headers["location"])
    assert f"{target.scheme}://{target.netloc}{target.path}" == BACK
    return {name: values[0] for name, values in parse_qs(target.query).items()}


def exchange(client: TestClient, code: str, **changed: str) -> httpx.Response:
    fields = {
        "grant_type": "authorization_code",
        "client_id": flow.CLIENT_ID,
        "code": code,
        "redirect_uri": BACK,
        "code_verifier": VERIFIER,
    }
    return client.post("/issuer/token", data=fields | changed)


def claims(client: TestClient, token: str, audience: str) -> dict[str, Any]:
    served = jwt.PyJWKSet.from_dict(client.get("/issuer/jwks.json").json())
    key = served[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, key, algorithms=["ES256"], audience=audience, issuer=ISSUER)


def test_metadata_uses_the_origin_of_the_request(client: TestClient) -> None:
    metadata = client.get("/issuer/.well-known/openid-configuration").json()
    assert metadata["issuer"] == ISSUER
    assert metadata["authorization_endpoint"] == f"{EDGE}/issuer/authorize"
    assert metadata["token_endpoint"] == f"{EDGE}/issuer/token"
    assert metadata["code_challenge_methods_supported"] == ["S256"]


def test_metadata_never_uses_an_unregistered_origin(client: TestClient) -> None:
    metadata = client.get("/issuer/.well-known/openid-configuration", headers={"host": "evil.example"}).json()
    assert "evil" not in str(metadata)


def test_signing_in_with_a_name_gives_a_token(client: TestClient) -> None:
    back = answer(sign_in(client))
    assert (back["state"], back["iss"]) == ("the state", ISSUER)
    response = exchange(client, back["code"])
    got = response.json()
    assert (got["token_type"], got["expires_in"], response.headers["cache-control"]) == ("Bearer", 3600, "no-store")
    access = claims(client, got["access_token"], AUDIENCE)
    assert (access["sub"], "operator" in access) == ("ana", False)
    identity = claims(client, got["id_token"], flow.CLIENT_ID)
    assert (identity["sub"], identity["nonce"]) == ("ana", "the nonce")


def test_an_id_token_is_not_accepted_as_a_token_for_the_shop(client: TestClient) -> None:
    got = exchange(client, answer(sign_in(client))["code"]).json()
    with pytest.raises(jwt.InvalidAudienceError):
        claims(client, got["id_token"], AUDIENCE)


def test_signing_in_as_operator_sets_the_claim(client: TestClient) -> None:
    response = client.post("/issuer/authorize", data={**parameters(), "name": "op", "operator": "true"})
    got = exchange(client, answer(response)["code"]).json()
    assert claims(client, got["access_token"], AUDIENCE)["operator"] is True


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/signed-in",
        "http://127.0.0.1:8080.evil.example/signed-in",
        "http://127.0.0.1:8080@evil.example/signed-in",
        f"{EDGE}/signed-in/",
        f"{EDGE}/signed-in?x=1",
        f"{EDGE}//evil.example",
        f"{EDGE}/",
        "//evil.example/signed-in",
        "",
        None,
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unregistered_redirect_uris_are_rejected(client: TestClient, target: str | None, method: str) -> None:
    if method == "GET":
        response = client.get("/issuer/authorize", params=parameters(redirect_uri=target))
    else:
        response = sign_in(client, redirect_uri=target)
    assert response.status_code == 400
    assert "location" not in response.headers


def test_unknown_clients_are_rejected(client: TestClient) -> None:
    assert sign_in(client, client_id="another").status_code == 400


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "email"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
    ],
)
def test_invalid_requests_redirect_with_an_error_and_no_code(
    client: TestClient, changed: dict[str, str | None], error: str
) -> None:
    for response in (client.get("/issuer/authorize", params=parameters(**changed)), sign_in(client, **changed)):
        back = answer(response)
        assert (back["error"], back["state"], "code" in back) == (error, "the state", False)


def test_a_code_is_single_use(client: TestClient) -> None:
    code = answer(sign_in(client))["code"]
    assert exchange(client, code).status_code == 200
    again = exchange(client, code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


def test_a_code_expires_after_a_minute(client: TestClient, clock: Clock) -> None:
    code = answer(sign_in(client))["code"]
    clock.now += codes.LIFETIME_S
    assert exchange(client, code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("changed", [{"code_verifier": "w" * 50}, {"code_verifier": ""}, {"redirect_uri": f"{EDGE}/"}])
def test_a_failed_exchange_consumes_the_code(client: TestClient, changed: dict[str, str]) -> None:
    code = answer(sign_in(client))["code"]
    assert exchange(client, code, **changed).json()["error"] == "invalid_grant"
    assert exchange(client, code).json()["error"] == "invalid_grant"


def test_a_guessed_code_gets_no_token(client: TestClient) -> None:
    assert exchange(client, "guessed").json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changed", "error"),
    [({"grant_type": "password"}, "unsupported_grant_type"), ({"client_id": "another"}, "invalid_client")],
)
def test_other_grant_types_are_rejected(client: TestClient, changed: dict[str, str], error: str) -> None:
    code = answer(sign_in(client))["code"]
    assert exchange(client, code, **changed).json()["error"] == error


def test_a_program_is_signed_in_by_its_name_and_is_no_operator(client: TestClient, signer: Signer) -> None:
    form = {"grant_type": "client_credentials", "client_id": "order-prober"}
    given = client.post(f"{EDGE}/issuer/token", data=form)
    assert (given.status_code, given.headers["cache-control"]) == (200, "no-store")
    claims = jwt.decode(given.json()["access_token"], signer.key.public_key(), ["ES256"], audience=AUDIENCE)
    assert (claims["sub"], claims["exp"] - claims["iat"]) == ("order-prober", given.json()["expires_in"])
    assert "operator" not in claims


def test_a_program_without_a_usable_name_gets_no_token(client: TestClient) -> None:
    for name in ("", "a b", "x" * 129):
        given = client.post(f"{EDGE}/issuer/token", data={"grant_type": "client_credentials", "client_id": name})
        assert (given.status_code, given.json()["error"]) == (401, "invalid_client")


def test_unused_codes_are_evicted(client: TestClient, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "MAX_CODES", 3)
    assert [sign_in(client).status_code for _ in range(4)] == [303, 303, 303, 503]
    clock.now += codes.LIFETIME_S
    assert sign_in(client).status_code == 303


def test_too_many_open_sign_ins_are_throttled(client: TestClient, clock: Clock) -> None:
    assert [sign_in(client).status_code for _ in range(BURST + 1)][-2:] == [303, 429]
    assert exchange(client, "any").status_code == 429
    clock.now += 1
    assert sign_in(client).status_code == 303


def test_cross_site_sign_ins_are_rejected(client: TestClient) -> None:
    response = client.post(
        "/issuer/authorize", data={**parameters(), "name": "ana"}, headers={"sec-fetch-site": "cross-site"}
    )
    assert response.status_code == 403


@pytest.mark.parametrize("path", ["/issuer/authorize", "/issuer/token"])
def test_bodies_are_limited_forms(client: TestClient, path: str) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert client.post(path, content=b"a=" + b"x" * MAX_BODY_BYTES, headers=form).status_code == 413
    assert client.post(path, content=b"&".join(b"a%d=1" % n for n in range(50)), headers=form).status_code == 400
    assert client.post(path, content=b"client_id=a&client_id=b", headers=form).status_code == 400
    assert client.post(path, content=b"\xff", headers=form).status_code == 400
    assert client.post(path, json={}).status_code == 415


@pytest.mark.parametrize("name", ["", "a b", "ñ", "a" * 129, '"><script>alert(1)</script>'])
def test_an_invalid_name_is_asked_for_again(client: TestClient, name: str) -> None:
    response = sign_in(client, name)
    assert response.status_code == 400
    assert 'role="alert"' in response.text
    assert "<script" not in response.text


def test_the_page_has_no_scripts_and_is_localized(client: TestClient) -> None:
    hostile = '"><script>alert(1)</script>'
    response = client.get("/issuer/authorize", params=parameters(state=hostile, ui_locales="es-ES en"))
    assert (response.status_code, '<html lang="es">' in response.text) == (200, True)
    assert "<script" not in response.text
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_without_an_origin_there_is_no_sign_in_page(signer: Signer, clock: Clock) -> None:
    client = TestClient(application(signer, Flow.build(signer, (), timedelta(hours=1), clock)))
    assert client.get("/issuer/authorize", params=parameters()).status_code == 400
    assert "authorization_endpoint" not in client.get("/.well-known/openid-configuration").json()
