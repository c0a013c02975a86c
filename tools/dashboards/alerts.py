"""One dashboard for each file of alerts: the firing ones, and the meaning of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from stack.settings import CHECKOUT
from tools.dashboards.panels import Board, Panel

RULES = CHECKOUT / "monitoring" / "rules"


def boards() -> list[Board]:
    """
    Return the dashboards, in the order of the files.
    """
    found = ((path.stem, _alerts(path)) for path in sorted(RULES.glob("*.yml")))
    return [_board(name, alerts) for name, alerts in found if alerts]


def _alerts(path: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load(path.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def _board(name: str, alerts: list[dict[str, Any]]) -> Board:
    panels = [
        Panel(
            rule["alert"],
            {"{{alertstate}} {{service}} {{pod}}": f'ALERTS{{alertname="{rule["alert"]}"}}'},
            about=f"{rule['labels']['severity']}: {_words(rule['annotations']['summary'])} See "
            f"{rule['annotations']['runbook']}",
        )
        for rule in alerts
    ]
    return Board(f"shop-alerts-{name}", f"Shop: alerts of {name}", {name.capitalize(): panels})


def _words(summary: str) -> str:
    # Grafana would interpret Prometheus's templates as its own.
    return summary.replace("{{ $labels.", "").replace("{{ $value | humanize", "").replace(" }}", "") + "."
