"""The development issuer: its key, its tokens, and its key set."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from starlette.testclient import TestClient

from gateway.issuer import token as program
from gateway.issuer.app import application
from gateway.issuer.signing import AUDIENCE, InvalidCustomer, Signer, UnusableKey, key_in

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
ISSUER = "https://issuer.example.com"


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(key_in(tmp_path), ISSUER)


def test_token_verifies_with_the_key_that_is_served(signer: Signer) -> None:
    client = TestClient(application(signer))
    metadata = client.get("/.well-known/openid-configuration").json()
    served = jwt.PyJWKSet.from_dict(client.get("/jwks.json").json())
    token = signer.token("ana", now=NOW, lifetime=HOUR)
    key = served[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["ES256"], audience=AUDIENCE, issuer=metadata["issuer"])
    assert (claims["sub"], "operator" in claims) == ("ana", False)
    assert claims["exp"] - claims["iat"] == HOUR.total_seconds()


def test_served_key_set_has_no_private_part(signer: Signer) -> None:
    assert "d" not in TestClient(application(signer)).get("/jwks.json").json()["keys"][0]


def test_operator_is_a_claim_of_the_token(signer: Signer) -> None:
    token = signer.token("ana", now=NOW, lifetime=HOUR, operator=True)
    assert jwt.decode(token, options={"verify_signature": False})["operator"] is True


def test_no_token_lives_longer_than_the_limit(signer: Signer) -> None:
    claims = jwt.decode(signer.token("ana", now=NOW, lifetime=timedelta(days=999)), options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == timedelta(days=30).total_seconds()


@pytest.mark.parametrize("customer", ["", "a b", "a\nb", "ñ", "a" * 129])
def test_customer_name_that_services_reject_gets_no_token(signer: Signer, customer: str) -> None:
    with pytest.raises(InvalidCustomer):
        signer.token(customer, now=NOW, lifetime=HOUR)


def test_key_is_kept_with_owner_only_permissions(tmp_path: Path) -> None:
    first, second = (Signer(key_in(tmp_path / "state"), ISSUER).public for _ in range(2))
    assert first == second
    assert stat.S_IMODE((tmp_path / "state" / "issuer.pem").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["issuer.pem"]


def test_invalid_key_file_raises_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "issuer.pem").write_text("nonsense")
    with pytest.raises(UnusableKey, match=r"issuer\.pem"):
        key_in(tmp_path)


def test_command_prints_the_token_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ISSUER_STATE", str(tmp_path))
    program.main(["ana", "--operator"])
    assert jwt.decode(capsys.readouterr().out.strip(), options={"verify_signature": False})["sub"] == "ana"


@pytest.mark.parametrize(("name", "value"), [("ISSUER_STATE", ""), ("ISSUER_URL", "nonsense"), ("ISSUER_LISTEN", "x")])
def test_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str) -> None:
    monkeypatch.setenv("ISSUER_STATE", str(tmp_path))
    if value:
        monkeypatch.setenv(name, value)
    else:
        monkeypatch.delenv(name)
    with pytest.raises(SystemExit, match=name):
        program.main(["ana"])
