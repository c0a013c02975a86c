"""
`make slo`: the availability and recovery times that Prometheus has recorded.
"""

import argparse
import json
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stack.commands.columns import table
from stack.commands.status import span
from stack.describe import describe
from stack.errors import StackError
from stack.run.running import require_running
from stack.settings import Settings
from stack.topology.addresses import Host, Port

WINDOWS = {"1h": "1 h", "1d": "1 d", "7d": "7 d", "30d": "30 d"}
ASK_S = 10
NOTHING = "-"
CALLS = ("CALLS", "", *WINDOWS.values())
OUTAGES = ("EDGE", *WINDOWS.values())
# One query: the recorded series of monitoring/rules, and how long they have been recorded.
QUERY = (
    '{__name__=~"sli:availability:.*|slo:.*|edge:.*"} '
    'or label_replace(sum(count_over_time(edge:outage[30d])) * 5, "watched", "s", "", "")'
)
Values = Mapping[str, float]


class PrometheusAway(StackError):
    """Prometheus does not answer, or not with the expected result."""


@dataclass(frozen=True)
class Records:
    """The recorded values: per SLI, for the edge as a whole, and the seconds of observation."""

    calls: Mapping[str, Values]
    edge: Values
    watched_s: float


def run(chosen: Settings, _options: argparse.Namespace) -> int:
    """Print the objectives and the measured values."""
    plan = describe(chosen)
    require_running(chosen)
    address = str(plan.network.at(Host.PROMETHEUS, Port.PROMETHEUS))
    print(report(read(ask(address, QUERY))))
    return 0


def ask(address: str, query: str) -> list[dict[str, Any]]:
    """
    Return the current samples of *query*.

    Raises `PrometheusAway`.
    """
    url = f"http://{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    try:
        with urllib.request.urlopen(url, timeout=ASK_S) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    except (OSError, ValueError, LookupError) as error:
        raise PrometheusAway(f"Prometheus at {address}: {error}") from error
    return result


def read(samples: list[dict[str, Any]]) -> Records:
    """Parse a query result of Prometheus."""
    calls: dict[str, dict[str, float]] = {}
    edge: dict[str, float] = {}
    watched = 0.0
    for sample in samples:
        labels, value = sample["metric"], float(sample["value"][1])
        name = labels.get("__name__", "")
        if "sli" in labels:
            calls.setdefault(f"{labels['service']} ({labels['sli']})", {})[name] = value
        elif "watched" in labels:
            watched = value
        else:
            edge[name] = value
    return Records(calls, edge, watched)


def report(records: Records) -> str:
    """
    Format the records as text; a missing measurement is a dash.
    """
    rows = [CALLS]
    for kind, values in sorted(records.calls.items()):
        rows.append((kind, "available", *_each(values, "sli:availability", _percent)))
        rows.append(("", "budget left", *_each(values, "slo:error_budget_remaining", _share)))
    edge = [
        OUTAGES,
        ("completed outages", *_each(records.edge, "edge:recoveries", "{:.0f}".format)),
        ("time out", *_each(records.edge, "edge:outage_seconds", span)),
        ("mean time to recover", *_each(records.edge, "edge:time_to_recovery_seconds", span)),
        ("longest outage", *_each(records.edge, "edge:longest_outage_seconds", span)),
    ]
    watched = f"Objective: 99.95 % of all calls, two minutes to recover. Watched for {span(records.watched_s)} of 30 d."
    return "\n\n".join((table(rows), table(edge), watched))


def _each(values: Values, name: str, text: Callable[[float], str]) -> list[str]:
    found = [values.get(f"{name}:{window}") for window in WINDOWS]
    return [NOTHING if value is None else text(value) for value in found]


def _percent(value: float) -> str:
    # Less than 100 % must not be rounded up to 100 %.
    return "100 %" if value == 1 else f"{min(value * 100, 99.999):.3f} %"


def _share(value: float) -> str:
    return f"{value * 100:.0f} %"
