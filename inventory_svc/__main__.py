"""
The inventory service.

    python -m inventory_svc            serve
    python -m inventory_svc migrate    create Kafka topics; list the example shop's products once
"""

from __future__ import annotations

import argparse

from shop.inventory.v1.inventory_service_pb2_grpc import add_InventoryServiceServicer_to_server

from inventory_svc.api import InventoryService
from inventory_svc.migrations import migrate
from inventory_svc.schedule import background
from inventory_svc.settings import DOMAIN, SERVICES, Settings
from inventory_svc.wiring import built
from runtime import telemetry
from runtime.server import Server, run
from runtime.settings import load


def main() -> None:
    """
    Do what the command line says.
    """
    options = argparse.ArgumentParser(prog="inventory_svc", description="The inventory service.")
    options.add_argument("command", nargs="?", choices=["serve", "migrate"], default="serve")
    chosen = options.parse_args()
    settings = load(Settings)
    if chosen.command == "migrate":
        migrate(settings)
    else:
        telemetry.start(settings, "inventory")
        run(lambda: serve(settings))


async def serve(settings: Settings) -> None:
    """
    Build the service and serve until SIGTERM.
    """
    async with built(settings) as parts:
        inventory = InventoryService(parts.inventory, parts.store, page_key=parts.page_keys)
        server = Server(
            settings,
            domain=DOMAIN,
            services=SERVICES,
            servicers=[(add_InventoryServiceServicer_to_server, inventory)],
            work=background(settings, parts, lambda ready: server.set_ready(ready)),
            ready=False,
        )
        await server.run()


if __name__ == "__main__":
    main()
