"""The edge's HTTPS port, with the certificate of the cluster."""

from __future__ import annotations

import base64
import ssl

import httpx

from k8s import edge as deployed
from k8s.credentials import EDGE
from k8s.kubectl import get

HOST = "localhost"


async def test_the_edge_speaks_https_with_the_certificate_of_its_secret(shop):
    [secret] = get("secret", EDGE)
    trusted = ssl.create_default_context(cadata=base64.b64decode(secret["data"]["tls.crt"]).decode())
    address = deployed.address_of("https")
    async with httpx.AsyncClient(base_url=address, verify=trusted, http2=True, timeout=15) as client:
        # The certificate is for this host name, whichever address the node has.
        answer = await client.get("/v1/products", headers={"host": HOST}, extensions={"sni_hostname": HOST})
    assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
