"""
A real Envoy as the edge, with a fake shop behind it, configured like a stack's by our Istio files.

python -m tests.components.edge.rig FOLDER

Serves until SIGTERM; prints a line when it is ready.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
import sysconfig
from pathlib import Path

import httpx
import yaml

from gateway.edge import __main__ as gateway
from gateway.issuer.signing import AUDIENCE, Signer, key_in
from tests.components.edge import shop
from translator.__main__ import main as translator

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
# As in registry.yaml.
NETWORK = 43
EDGE, ADMIN = f"127.{NETWORK}.0.1:8080", f"127.{NETWORK}.0.1:15000"
ORDERS, INVENTORY = f"127.{NETWORK}.1.1:50061", f"127.{NETWORK}.2.1:50061"
ISSUER = "https://issuer.example.com"
START_S = 10


def signer(folder: Path) -> Signer:
    """
    Return the issuer whose tokens the edge accepts.
    """
    return Signer(key_in(folder), ISSUER)


def _authentication(signer: Signer) -> dict[str, object]:
    claims = {"sub": "x-customer-id", "operator": "x-operator", "exp": "x-token-exp"}
    rule = {
        "issuer": signer.issuer,
        "audiences": [AUDIENCE],
        "jwks": json.dumps({"keys": [signer.public]}),
        "outputClaimToHeaders": [{"claim": claim, "header": header} for claim, header in claims.items()],
    }
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "RequestAuthentication",
        "metadata": {"name": "customers", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"istio": "edge"}}, "jwtRules": [rule]},
    }


def configure(folder: Path) -> Path:
    """
    Write the edge's configuration under *folder* from the Istio files and return its bootstrap.
    """
    istio = folder / "istio"
    shutil.copytree(HERE / "mesh", istio)
    for name in ("gateway.yaml", "edge-filters.yaml"):
        shutil.copy(ROOT / "istio" / name, istio)
    (istio / "authentication.yaml").write_text(yaml.safe_dump(_authentication(signer(folder))))
    gateway.main(["--output", str(folder / "made"), "--openapi", str(folder / "openapi.json")])
    registry, certificates, out = str(HERE / "registry.yaml"), str(folder / "certificates"), folder / "envoy"
    folders = ["--istio", str(istio), "--istio", str(folder / "made")]
    for command in (
        ["certificates", "--registry", registry, "--out", certificates],
        ["write", *folders, "--registry", registry, "--certificates", certificates, "--out", str(out)],
    ):
        if translator(command):
            sys.exit("the translator refuses the files; see above")
    return out / "edge-0" / "bootstrap.json"


async def start(folder: Path) -> asyncio.subprocess.Process:
    """
    Start the edge's Envoy with its files in *folder* and wait until it serves.
    """
    program = str(Path(sysconfig.get_path("scripts")) / "envoy")
    options = ["--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
    log = folder / "envoy.log"
    with log.open("wb") as output:
        command = [program, "-c", str(configure(folder)), *options]
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)
    try:
        async with asyncio.timeout(START_S), httpx.AsyncClient() as client:
            while not await _serves(client):
                if process.returncode is not None:
                    raise RuntimeError(log.read_text())
                await asyncio.sleep(0.1)
    except TimeoutError:
        await stop(process)
        raise RuntimeError(log.read_text()) from None
    return process


async def _serves(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get(f"http://{EDGE}/healthz")).status_code == 200
    except httpx.TransportError:
        return False


async def stop(process: asyncio.subprocess.Process) -> None:
    """
    Stop *process* and wait until it has ended.
    """
    if process.returncode is None:
        process.terminate()
        await process.wait()


async def main(folder: Path) -> None:
    """
    Run the shop and the edge until SIGTERM.
    """
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    servers = [shop.server(shop.Orders(), ORDERS), shop.server(shop.Inventory(), INVENTORY)]
    for each in servers:
        await each.start()
    process = await start(folder)
    print("ready", flush=True)
    await stopped.wait()
    await stop(process)
    for each in servers:
        await each.stop(None)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
