"""
Makes the fault files of this folder from the routes in istio/, so that only what is broken differs from them.

Run `python -m chaos.faults.make` after the routes have changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ISTIO = HERE.parents[1] / "istio"
HOLDS = tuple(f"/shop.inventory.v1.InventoryService/{method}" for method in ("HoldStock", "BatchHoldStock"))
CREATE = ("/shop.orders.v1.OrderService/CreateOrder",)
HEAD = "# Made by `python -m chaos.faults.make`; README.md beside this file says what happens and how it ends.\n"


@dataclass(frozen=True)
class Fault:
    """
    What is broken: calls of some methods, maybe with certain headers, of the routes in a file.
    """

    routes: str
    paths: tuple[str, ...]
    block: Mapping[str, Any]
    headers: Mapping[str, Any] = field(default_factory=dict)


def abort(percent: float, **how: Any) -> Mapping[str, Any]:
    """
    A call that fails.
    """
    return {"abort": {**how, "percentage": {"value": percent}}}


def delay(percent: float, length: str) -> Mapping[str, Any]:
    """
    A call that waits.
    """
    return {"delay": {"fixedDelay": length, "percentage": {"value": percent}}}


FAULTS: Mapping[str, Fault] = {
    "inventory-delay": Fault("inventory-routes.yaml", HOLDS, delay(50, "1s")),
    "inventory-abort-grpc": Fault("inventory-routes.yaml", HOLDS, abort(30, grpcStatus="UNAVAILABLE")),
    "inventory-abort-http": Fault("inventory-routes.yaml", HOLDS, abort(30, httpStatus=503)),
    "inventory-down": Fault("inventory-routes.yaml", HOLDS, abort(100, grpcStatus="UNAVAILABLE")),
    "edge-abort-http": Fault("edge-routes.yaml", CREATE, abort(10, httpStatus=503)),
    "edge-delay-one-customer": Fault(
        "edge-routes.yaml", CREATE, delay(100, "2s"), {"x-customer-id": {"exact": "customer-under-test"}}
    ),
}


def made(fault: Fault) -> str:
    """
    The file of a fault: its broken route first, then every route as it is.
    """
    [rules] = list(yaml.safe_load_all((ISTIO / fault.routes).read_text(encoding="utf-8")))
    routes = rules["spec"]["http"]
    like = next(route for route in routes if fault.paths[0] in _paths(route))
    matches = [
        {"uri": {"exact": path}, **({"headers": dict(fault.headers)} if fault.headers else {})} for path in fault.paths
    ]
    broken = {**like, "name": "fault", "match": matches, "fault": fault.block}
    rules["spec"]["http"] = [broken, *routes]
    return HEAD + yaml.dump(rules, Dumper=_Plain, sort_keys=False, width=120)


def _paths(route: Mapping[str, Any]) -> list[str]:
    return [match.get("uri", {}).get("exact", "") for match in route.get("match", ())]


class _Plain(yaml.SafeDumper):
    """
    YAML without anchors: what two routes share is written twice.
    """

    def ignore_aliases(self, _data: Any) -> bool:
        """
        Never refer, always write.
        """
        return True


def main() -> None:
    """
    Write every file.
    """
    for name, fault in FAULTS.items():
        (HERE / f"{name}.yaml").write_text(made(fault), encoding="utf-8")


if __name__ == "__main__":
    main()
