"""The rules as a PrometheusRule, the resource from which the Prometheus Operator loads them."""

from __future__ import annotations

from pathlib import Path

import yaml

from stack.settings import CHECKOUT
from tools.dashboards.alerts import RULES

FILE = CHECKOUT / "k8s" / "prometheus-operator" / "rules.yaml"
HEADER = "# Generated from monitoring/rules by `python -m tools.dashboards`; do not edit.\n"


def file() -> tuple[Path, str]:
    """
    Return the path and the expected content of the file.
    """
    groups = [group for path in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(path.read_text())["groups"]]
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "shop", "labels": {"stage": "foundation"}},
        "spec": {"groups": groups},
    }
    return FILE, HEADER + yaml.safe_dump(rule, sort_keys=False, width=120)
