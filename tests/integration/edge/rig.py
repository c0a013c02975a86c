"""
A real Envoy as the edge with a shop behind it: what Istio's gateway has, and our EnvoyFilters.

    python -m tests.integration.edge.rig FOLDER

Serves until SIGTERM; prints a line when it is ready.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import yaml

from gateway import contract, filters
from tests.integration.edge import shop

ROOT = Path(__file__).resolve().parents[3]
NETWORK = 43
EDGE, ADMIN = f"127.{NETWORK}.0.1:8080", f"127.{NETWORK}.0.1:15000"
ORDERS, INVENTORY, NOBODY = (f"127.{NETWORK}.{service}.1:50061" for service in (1, 2, 3))
HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
FILTERS = "type.googleapis.com/envoy.extensions.filters.http"
CORS = {
    "@type": f"{FILTERS}.cors.v3.CorsPolicy",
    "allow_origin_string_match": [{"exact": "https://shop.example.com"}],
    "allow_methods": "GET,POST",
    "allow_headers": "content-type,idempotency-key",
    "expose_headers": "etag,location,retry-after,x-request-id",
    "max_age": "600",
}


def edge_filters() -> list[dict[str, Any]]:
    """
    Return the EnvoyFilters of the edge, by name, as Istio applies them.
    """
    made = filters.edge_api(contract.load(ROOT / "build" / "descriptors.binpb"), namespace="shop")
    written = yaml.safe_load_all((ROOT / "istio" / "edge-filters.yaml").read_text())
    return sorted([made, *written], key=lambda each: each["metadata"]["name"])


def connection_manager(applied: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """
    Return the connection manager of an Istio gateway after *applied*; insertions go before merges, as in Istio.
    """
    manager: dict[str, Any] = {
        "@type": HCM,
        "stat_prefix": "edge",
        "normalize_path": True,
        "use_remote_address": True,
        "route_config": {"name": "edge", "virtual_hosts": [_virtual_host()]},
        "http_filters": [
            {"name": "envoy.filters.http.fault", "typed_config": {"@type": f"{FILTERS}.fault.v3.HTTPFault"}},
            {"name": "envoy.filters.http.cors", "typed_config": {"@type": f"{FILTERS}.cors.v3.Cors"}},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{FILTERS}.router.v3.Router"}},
        ],
    }
    for patch in (patch for each in applied for patch in each["spec"]["configPatches"]):
        _apply(manager, patch)
    return manager


def _apply(manager: dict[str, Any], patch: dict[str, Any]) -> None:
    value, chain = patch["patch"]["value"], manager["http_filters"]
    match patch["patch"]["operation"]:
        case "INSERT_FIRST":
            chain.insert(0, value)
        case "INSERT_BEFORE":
            wanted = patch["match"]["listener"]["filterChain"]["filter"]["subFilter"]["name"]
            chain.insert([each["name"] for each in chain].index(wanted), value)
        case "MERGE":
            manager.update(value["typed_config"])
        case other:
            raise ValueError(other)


def _virtual_host() -> dict[str, Any]:
    routes = [
        _route("/v1/", "orders"),
        {"match": {"path": "/healthz"}, "direct_response": {"status": 200, "body": {"inline_string": "ok"}}},
        _route("/shop.orders.v1.OrderService/FulfilOrder", "nobody"),
        _route("/shop.orders.v1.OrderService/WatchOrder", "orders", timeout="0s"),
        _route("/shop.orders.v1.OrderService/", "orders"),
        _route("/shop.inventory.v1.InventoryService/", "inventory"),
    ]
    return {"name": "shop", "domains": ["*"], "routes": routes}


def _route(prefix: str, cluster: str, timeout: str = "0.5s") -> dict[str, Any]:
    return {
        "match": {"prefix": prefix},
        "route": {"cluster": cluster, "timeout": timeout},
        "typed_per_filter_config": {"envoy.filters.http.cors": CORS, "envoy.filters.http.fault": _fault()},
    }


def _fault() -> dict[str, Any]:
    """
    A fault with a gRPC status for who asks for it.
    """
    return {
        "@type": f"{FILTERS}.fault.v3.HTTPFault",
        "headers": [{"name": "x-fault", "string_match": {"exact": "abort"}}],
        "abort": {"grpc_status": 14, "percentage": {"numerator": 100}},
    }


def _address(text: str) -> dict[str, Any]:
    host, port = text.split(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


def _cluster(name: str, address: str) -> dict[str, Any]:
    protocol = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    endpoint = {"endpoint": {"address": _address(address)}}
    options = {"@type": protocol, "explicit_http_config": {"http2_protocol_options": {}}}
    return {
        "name": name,
        "connect_timeout": "1s",
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }


def bootstrap() -> dict[str, Any]:
    """
    Return the whole configuration of the edge's Envoy.
    """
    network = {"name": filters.HCM, "typed_config": connection_manager(edge_filters())}
    listener = {"name": "edge", "address": _address(EDGE), "filter_chains": [{"filters": [network]}]}
    clusters = [_cluster("orders", ORDERS), _cluster("inventory", INVENTORY), _cluster("nobody", NOBODY)]
    return {
        "admin": {"address": _address(ADMIN)},
        "static_resources": {"listeners": [listener], "clusters": clusters},
    }


async def start(folder: Path) -> asyncio.subprocess.Process:
    """
    Start the edge's Envoy with its files in *folder* and wait until it serves.
    """
    (folder / "envoy.json").write_text(json.dumps(bootstrap()))
    program = str(Path(sysconfig.get_path("scripts")) / "envoy")
    command = [
        program,
        "-c",
        str(folder / "envoy.json"),
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "-l",
        "warning",
    ]
    with (folder / "envoy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
    async with httpx.AsyncClient() as client:
        for _ in range(100):
            if process.returncode is not None:
                raise RuntimeError((folder / "envoy.log").read_text())
            try:
                if (await client.get(f"http://{ADMIN}/ready")).status_code == 200:
                    return process
            except httpx.TransportError:
                await asyncio.sleep(0.1)
    raise RuntimeError("envoy did not get ready in 10 s")


async def stop(process: asyncio.subprocess.Process) -> None:
    """
    End *process* and wait for it.
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
