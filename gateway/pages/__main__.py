"""Serve the pages: `python -m gateway.pages`."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from functools import partial

import httpx
import uvicorn
from prometheus_client import REGISTRY
from starlette.applications import Starlette

from gateway.pages import files, queries, runbooks
from gateway.pages.app import Help, application
from gateway.pages.backups import Backups
from gateway.pages.board import Board
from gateway.pages.catalogue import Catalogue
from gateway.pages.cluster_faults import ClusterFaults
from gateway.pages.faults import FaultFiles
from gateway.pages.faults_in_force import keep_counting
from gateway.pages.history import History
from gateway.pages.kubernetes import Kubernetes, api_server
from gateway.pages.prometheus import Prometheus
from gateway.pages.settings import Settings
from gateway.pages.stock import Stock
from gateway.pages.stores import Stores
from runtime import background, channel, server, settings, telemetry

SERVICE = "pages"
MAX_CONNECTIONS = 200
BOARD_CONNECTIONS = 16


async def serve() -> None:
    """
    Serve until SIGTERM or SIGINT, then complete the requests in flight.
    """
    chosen = settings.load(Settings)
    telemetry.start(chosen, SERVICE)
    if chosen.backups_folder is not None:
        REGISTRY.register(Backups(chosen.backups_folder))
    issuer = chosen.issuer
    try:
        pages = files.load(chosen.pages_folder, chosen.openapi_file, issuer.origins if issuer else ())
    except files.NoPages as error:
        sys.exit(f"PAGES_FOLDER: {error}")
    async with AsyncExitStack() as open_until_stopped:
        client = await open_until_stopped.enter_async_context(prometheus_client(chosen))
        inventory = channel.connect(chosen.inventory_address, authority=chosen.inventory_authority)
        await open_until_stopped.enter_async_context(inventory)
        faults: FaultFiles | ClusterFaults = FaultFiles(chosen.istio_folders, chosen.applied_folder)
        if chosen.kubernetes_service_host:
            kubernetes = Kubernetes(await open_until_stopped.enter_async_context(api_server()))
            faults = ClusterFaults(kubernetes, chosen.namespace)
        stock = Stock(inventory)
        prometheus = Prometheus(client)
        board = Board(prometheus, stock, faults, Stores(prometheus, chosen.stores))
        catalogue = Catalogue(stock)
        web = application(
            pages,
            board,
            History(prometheus),
            faults,
            catalogue,
            operators_only=chosen.operators_only,
            issuer=issuer,
            help_texts=Help(
                runbooks.load(chosen.runbooks_file),
                chosen.prometheus_link,
                chosen.traces_link,
                chosen.graph_link,
                queries.FIGURES,
            ),
        )
        keeping = asyncio.create_task(background.keep_going("catalogue", catalogue.keep))
        open_until_stopped.callback(keeping.cancel)
        counting = asyncio.create_task(background.keep_going("faults", partial(keep_counting, faults)))
        open_until_stopped.callback(counting.cancel)
        await uvicorn.Server(configuration(chosen, web)).serve()


def prometheus_client(chosen: Settings) -> httpx.AsyncClient:
    """
    Return the HTTP client for Prometheus, with limits on time and connections.
    """
    return httpx.AsyncClient(
        base_url=str(chosen.prometheus_url),
        timeout=chosen.prometheus_timeout_s,
        limits=httpx.Limits(max_connections=BOARD_CONNECTIONS),
        trust_env=False,
    )


def configuration(chosen: Settings, web: Starlette) -> uvicorn.Config:
    """
    Return uvicorn's configuration for *web*; its access log is off, because the sidecar logs requests.
    """
    host, _, port = chosen.http_listen.rpartition(":")
    return uvicorn.Config(
        web,
        host=host,
        port=int(port),
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=chosen.stop_limit_s,
        lifespan="off",
    )


if __name__ == "__main__":
    server.run(serve)
