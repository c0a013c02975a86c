"""The format of every error of the edge."""

from __future__ import annotations

from typing import Any

import httpx

TYPE = "type.googleapis.com/google.rpc"
# Names that would reveal what is behind the edge.
TELLING = ("envoy", "upstream", "127.", "traceback", "grpc.aio", "hunter2")


def error(response: httpx.Response, status: int) -> dict[str, Any]:
    """
    Return the body's status after checking the format that all errors have.
    """
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) == {"code", "message", "details"}
    assert body["code"] > 0
    assert body["message"]
    info = detail(body, "ErrorInfo")
    assert info["reason"].isupper()
    assert info["domain"].endswith("shop.example.com")
    clean(response)
    return dict(body)


def clean(response: httpx.Response) -> None:
    """
    Check that neither headers nor body reveal internals.
    """
    # The realm is the address that the client requested.
    headers = {key: value for key, value in response.headers.items() if key != "www-authenticate"}
    answer = f"{headers} {response.text}".lower()
    assert not [word for word in TELLING if word in answer], answer
    internal = {"server", "grpc-status", "grpc-message", "grpc-status-details-bin", "x-http-code"}
    assert not internal & set(response.headers)


def detail(body: dict[str, Any], kind: str) -> dict[str, Any]:
    """
    Return the detail of this type.
    """
    found = [each for each in body["details"] if each["@type"] == f"{TYPE}.{kind}"]
    assert len(found) == 1, body
    return dict(found[0])


def fields(body: dict[str, Any]) -> list[str]:
    """
    Return the fields that the error names.
    """
    return [each["field"] for each in detail(body, "BadRequest")["fieldViolations"]]
