"""Place an order from outside every few seconds and cancel it: `python -m gateway.prober`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx

from gateway.prober.calls import Calls
from gateway.prober.credentials import Credentials
from gateway.prober.probe import Probe
from gateway.prober.settings import Settings
from runtime import settings, telemetry
from runtime.secret_file import SecretFile

MAX_CONNECTIONS = 2


async def serve() -> None:
    """
    Probe until SIGTERM.
    """
    chosen = settings.load(Settings)
    telemetry.start(chosen, "prober")
    async with _client(chosen) as issuer, _client(chosen, chosen.shop_url, chosen.shop_ca_file) as shop:
        credentials = Credentials(
            Calls(issuer, chosen.probe_timeout_s), chosen.token_url, _fields(chosen), _secret(chosen)
        )
        calls = Calls(shop, chosen.probe_timeout_s, credentials.token)
        probe = Probe(calls, chosen.shop_url, refused=credentials.forget)
        keeping = asyncio.create_task(probe.keep(chosen.probe_interval_s))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, keeping.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await keeping


def _client(chosen: Settings, url: str = "", ca_file: Path | None = None) -> httpx.AsyncClient:
    # A new connection for each call would be another customer's; a kept one alone would not notice an edge that takes
    # no new ones, so it is kept for less than a round.
    limits = httpx.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=1.0)
    context = ssl.create_default_context(cafile=ca_file)
    return httpx.AsyncClient(
        base_url=url, verify=context, limits=limits, timeout=chosen.probe_timeout_s, trust_env=False
    )


def _fields(chosen: Settings) -> dict[str, str]:
    further = {"scope": chosen.token_scope, "audience": chosen.token_audience}
    return {"client_id": chosen.client_id, **{name: value for name, value in further.items() if value}}


def _secret(chosen: Settings) -> Callable[[], str]:
    file = chosen.client_secret_file
    if file is None:
        return lambda: ""
    return lambda: SecretFile(file, name="client_secret").accepted if file.exists() else ""


if __name__ == "__main__":
    asyncio.run(serve())
