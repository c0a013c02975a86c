"""The edge over HTTPS, with a certificate of the local authority."""

import ssl

import httpx
import pytest


@pytest.fixture
def trusted(stack):
    return ssl.create_default_context(cafile=str(stack.settings.authority))


async def test_the_edges_certificate_is_trusted_and_http_2_is_negotiated(stack, trusted):
    async with httpx.AsyncClient(verify=trusted, http2=True) as client:
        answer = await client.get(f"https://localhost:{stack.settings.tls_port}/v1/products")
    assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
    assert answer.json()["products"]


async def test_a_client_without_the_authority_rejects_the_certificate(stack):
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.get(f"https://localhost:{stack.settings.tls_port}/v1/products")


async def test_errors_over_https_have_the_same_format(stack, trusted):
    async with httpx.AsyncClient(verify=trusted) as client:
        answer = await client.get(f"https://localhost:{stack.settings.tls_port}/v1/orders")
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (401, "MISSING_TOKEN")
