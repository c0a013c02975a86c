"""
Generates monitoring/dashboards from `panels` and the alerts, and the rules' form for the Prometheus Operator.

    python -m tools.dashboards
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DashboardLinkType, DataSourceRef

from stack.settings import CHECKOUT
from tools.dashboards import alerts, operator_rules
from tools.dashboards.machine_panels import MACHINE
from tools.dashboards.panels import MESH, ORDERS, SLO, Board, Panel
from tools.dashboards.store_panels import STORES

FOLDER = CHECKOUT / "monitoring" / "dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
HEIGHT, ACROSS, GRID = 8, 3, 24
TAG = "shop"
# The histograms whose observations name their trace; Envoy's cannot.
WITH_EXEMPLARS = ("grpc_server_handling_seconds", "orders_saga_seconds", "consumed_batch_seconds")


def boards() -> list[Board]:
    """
    Return every dashboard.
    """
    return [ORDERS, MESH, STORES, MACHINE, SLO, *alerts.boards()]


def files() -> Iterator[tuple[Path, str]]:
    """
    Return the path and the expected content of each dashboard's file.
    """
    for board in boards():
        yield FOLDER / f"{board.uid.removeprefix('shop-')}.json", text(board)


def text(board: Board) -> str:
    """
    Return Grafana's JSON of a dashboard.
    """
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .tags([TAG])
        .readonly()
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("source").label("Prometheus").type("prometheus"))
        .link(dashboard.DashboardLink("Shop").type(DashboardLinkType.DASHBOARDS).tags([TAG]).as_dropdown(True))
    )
    for title, panels in board.rows.items():
        made = made.with_row(dashboard.Row(title))
        for panel in panels:
            made = made.with_panel(chart(panel))
    return JSONEncoder(sort_keys=True, indent=1).encode(made.build()) + "\n"


def chart(panel: Panel) -> timeseries.Panel:
    """
    Return one chart.
    """
    made = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.about)
        .datasource(SOURCE)
        .unit(panel.unit)
        .height(HEIGHT)
        .span(GRID // ACROSS)
    )
    if panel.unit not in ("short", "percentunit"):
        made = made.min(0)
    for name, expression in panel.queries.items():
        query = prometheus.Dataquery().expr(expression).legend_format(name).datasource(SOURCE)
        if any(f"{each}_bucket" in expression for each in WITH_EXEMPLARS):
            query = query.exemplar(True)
        made = made.with_target(query)
    return made


def main() -> None:
    """
    Write all files, and remove those of dashboards that no longer exist.
    """
    wanted = dict(files())
    FOLDER.mkdir(exist_ok=True)
    for path in set(FOLDER.glob("*.json")) - set(wanted):
        path.unlink()
    for path, content in [*wanted.items(), operator_rules.file()]:
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
