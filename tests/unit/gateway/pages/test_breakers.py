"""
The board and `make breakers` show the same states for the same moment.

recorded/outage.json was recorded from the Envoys of a real stack, in both formats, while orders' sidecars and then
inventory were killed: `/clusters?format=json`, and the series of `/stats/prometheus` that the board queries.
"""

import json
import re
from pathlib import Path

import pytest

from gateway.pages import queries, shape
from gateway.pages.prometheus import Sample
from runtime.breakers import State, outbound, state
from translator.control.breakers import breakers_in

RECORDED = json.loads((Path(__file__).parent / "recorded" / "outage.json").read_text())
SERIES = re.compile(r'(\w+)\{cluster_name="([^"]+)"\} (\d+)')


QUERIED = {name: re.search(r"envoy_\w+", query)[0] for name, query in queries.BREAKERS.items()}
LARGEST = ("envoy_cluster_upstream_rq_total", "envoy_cluster_outlier_detection_ejections_enforced_total")


def board(moment):
    """Return the board's lines at a moment; queries over an hour cover all earlier moments."""
    found = {name: {} for name in QUERIED}
    for recorded in RECORDED[: RECORDED.index(moment) + 1]:
        for pod, answers in recorded["envoys"].items():
            for line in answers["metrics"]:
                series, cluster, value = SERIES.fullmatch(line).groups()
                labels = {"cluster_name": cluster, "pod": pod, "service": pod.rpartition("-")[0]}
                for name, wanted in QUERIED.items():
                    if series != wanted or (recorded is not moment and series not in LARGEST):
                        continue
                    before = found[name].get((pod, cluster), Sample(labels, 0.0)).value
                    found[name][pod, cluster] = Sample(labels, max(before, float(value)))
    lines = shape.breakers({name: list(samples.values()) for name, samples in found.items()})
    return {(line["pod"], line["to"], line["subset"]): line["state"] for line in lines}


def make_breakers(envoys):
    """Return the lines of `make breakers` from the same Envoys."""
    found = [each for pod, answers in envoys.items() for each in breakers_in(pod, answers["clusters"], "")]
    return {(each.sidecar, *_target(each.service)): each.cluster for each in found}


def _target(service):
    host, subset = re.fullmatch(r"([^.]+)[^ ]*(?: \((\w+)\))?", service).groups()
    return host, subset or ""


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded["moment"])
def test_board_and_command_agree_at_every_moment_of_an_outage(recorded):
    shown, printed = board(recorded), make_breakers(recorded["envoys"])
    assert shown == {key: printed[key] for key in shown}
    # Every breaker that is not closed is on the board, except a service's clusters for itself.
    own = {key for key in printed if key[0].startswith(f"{key[1]}-")}
    left_out = {key: each for key, each in printed.items() if key not in {*shown, *own} and each is not State.CLOSED}
    assert left_out == {}


def test_a_subset_that_refuses_every_order_is_open_beside_the_closed_cluster_of_the_same_service():
    [refused] = [each for each in RECORDED if each["moment"].startswith("every order is refused")]
    shown = board(refused)
    assert shown["edge-0", "orders", "calls"] == "open"
    assert shown["edge-0", "orders", ""] == "closed"


def test_both_show_a_service_without_hosts():
    [gone] = [each for each in RECORDED if each["moment"].startswith("inventory is gone")]
    assert board(gone)["orders-0", "inventory", ""] == "empty"
    assert make_breakers(gone["envoys"])["orders-0", "inventory", ""] == "empty"


@pytest.mark.parametrize(
    ("hosts", "ejected", "expected"),
    [(2, 0, "closed"), (2, 1, "partly"), (2, 2, "open"), (0, 0, "empty"), (1, 2, "open"), (0, 1, "empty")],
)
def test_a_breaker_is_open_when_every_host_is_ejected(hosts, ejected, expected):
    assert state(hosts=hosts, ejected=ejected) == expected


@pytest.mark.parametrize("name", ["", "inbound|50051||", "xds-grpc", "outbound|x||orders", "outbound|1||a|b"])
def test_inbound_clusters_are_ignored(name):
    assert outbound(name) is None
