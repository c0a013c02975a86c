"""Converts Prometheus series into the board's data: pure functions, one for each part of the board."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.pages.prometheus import Sample, Series
from runtime.breakers import Outbound, outbound, state

Json = dict[str, Any]


def calls(found: Mapping[str, Sequence[Sample]]) -> list[Json]:
    """
    Return who has called whom, with the total, and the recent calls, failures and retries a second and p99 in
    milliseconds.
    """
    lines: dict[tuple[str, str], Json] = {}
    for name, samples in found.items():
        for sample in samples:
            callee = service_of(sample.labels.get("cluster_name", ""))
            caller = sample.labels.get("service", "")
            if callee is None or caller == callee:
                continue
            line = lines.setdefault((caller, callee), {"from": caller, "to": callee})
            line[name] = line.get(name, 0.0) + sample.value
    return [lines[key] for key in sorted(lines) if lines[key].get("calls")]


def breakers(found: Mapping[str, Sequence[Sample]]) -> list[Json]:
    """
    Return each sidecar's view of each cluster that its service calls: hosts, ejected hosts, and the state.

    A subset has outlier detection of its own, so it may be open while the service's others are closed.
    """
    called = {_caller(each) for name in ("calls", "uncallable") for each in found.get(name, ()) if each.value}
    lines: dict[tuple[str, str, Outbound], Json] = {}
    for name in ("hosts", "ejected", "ejections"):
        for sample in found.get(name, ()):
            caller, target = _caller(sample)
            if target is None or caller == target.service or (caller, target) not in called:
                continue
            pod = sample.labels.get("pod", "")
            names = {"from": caller, "pod": pod, "to": target.service, "subset": target.subset}
            lines.setdefault((caller, pod, target), names)[name] = round(sample.value)
    # Counted over an hour, there are also pods that have been replaced.
    there = (lines[key] for key in sorted(lines) if "hosts" in lines[key])
    return [{**line, "state": state(hosts=line["hosts"], ejected=line.get("ejected", 0))} for line in there]


def _caller(sample: Sample) -> tuple[str, Outbound | None]:
    return sample.labels.get("service", ""), outbound(sample.labels.get("cluster_name", ""))


def pods(found: Mapping[str, Sequence[Sample]], outages: Mapping[str, Json]) -> list[Json]:
    """
    Return each replica that is scraped now: up or not, its restarts in the last hour, and its last outage.

    Series over an hour include pods that Kubernetes has replaced meanwhile.
    """
    lines: dict[tuple[str, str], Json] = {}
    for name, samples in found.items():
        for sample in samples:
            service, pod = sample.labels.get("service", ""), sample.labels.get("pod", "")
            if pod:
                lines.setdefault((service, pod), {"service": service, "pod": pod})[name] = round(sample.value, 3)
    there = (key for key, line in lines.items() if "up" in line or "proxy_up" in line)
    return [{**lines[key], "outage": outages.get(key[1])} for key in sorted(there)]


def outages(series: Iterable[Series]) -> dict[str, Json]:
    """
    Return the last outage of each pod: its start, and its duration in seconds; `until` is missing while it lasts.
    """
    found = {each.labels.get("pod", ""): _last_outage(each.points) for each in series}
    return {pod: outage for pod, outage in found.items() if outage is not None}


def _last_outage(points: Sequence[tuple[float, float]]) -> Json | None:
    since = until = None
    for at, up in points:
        if up < 1 and (since is None or until is not None):
            since, until = at, None
        elif up >= 1 and since is not None and until is None:
            until = at
    if since is None:
        return None
    end = until if until is not None else points[-1][0]
    return {"since": since, "until": until, "seconds": round(end - since, 1)}


def alerts(samples: Sequence[Sample]) -> list[Json]:
    """
    Return the firing alerts, pages first, then the oldest: severity, `since`, and their other labels.
    """
    lines = [_alert(sample) for sample in samples if "alertname" in sample.labels]
    return sorted(lines, key=lambda line: (line["severity"] != "page", line["since"], line["name"]))


def _alert(sample: Sample) -> Json:
    labels = dict(sample.labels)
    labels.pop("__name__", None)
    name, severity = labels.pop("alertname"), labels.pop("severity", "")
    return {"name": name, "severity": severity, "since": sample.value, "labels": labels}


def groups(samples: Sequence[Sample], label: str) -> dict[str, float]:
    """
    Return a number for each value of a label.
    """
    return {sample.labels[label]: sample.value for sample in samples if label in sample.labels}


def product(name: str, title: str, units: Mapping[str, int]) -> Json:
    """
    Return a product's units, and the deviation from the conservation law.
    """
    off = units["on_hand"] - units["available"] - units["held"] - units["sold"]
    return {"name": name, "title": title, **units, "off": off}


def service_of(cluster: str) -> str | None:
    """
    Return the service's name in an outbound cluster's: `orders` of `outbound|50051||orders.shop.svc.cluster.local`.
    """
    target = outbound(cluster)
    return target.service if target else None
