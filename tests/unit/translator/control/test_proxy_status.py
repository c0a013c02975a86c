"""
What `proxy-status` says of an Envoy is what that Envoy has, not what it was given.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.translator.control.envoy import UPDATED_MS, discovered, loaded_of, sections_of
from tests.unit.translator.rig import mesh
from translator.config.discovery import files_of
from translator.control.admin import Loaded, loaded_in
from translator.control.files import read_files, write_files
from translator.control.proxy_difference import difference_in
from translator.control.proxy_status import Status, age, status_in, table

TIMEOUT = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: inventory, namespace: shop}
spec:
  hosts: [inventory]
  http: [{timeout: 7s, route: [{destination: {host: inventory}}]}]
"""
BEFORE, AFTER = mesh()["orders-0"], mesh(TIMEOUT)["orders-0"]
CHANGED = sorted(path for path, file in discovered(AFTER).items() if discovered(BEFORE)[path] != file)
ROUTES = CHANGED[0]


def words(status: Status) -> dict[str, str]:
    return {kind: state.word for kind, state in status.states.items()}


def test_an_envoy_that_loaded_everything_is_synced() -> None:
    status = status_in(BEFORE.workload, discovered(BEFORE), loaded_of(BEFORE), sections_of(BEFORE))
    assert words(status) == {**dict.fromkeys(("CDS", "EDS", "LDS", "RDS", "SDS"), "SYNCED"), "ECDS": "IGNORED"}
    assert status.lacking == ()


def test_an_older_version_is_stale() -> None:
    status = status_in(AFTER.workload, discovered(AFTER), loaded_of(BEFORE), sections_of(BEFORE))
    assert {kind for kind, word in words(status).items() if word == "STALE"} == {"RDS"}
    assert [tuple(each) for each in status.lacking] == [(path, "STALE") for path in CHANGED]


def test_a_refused_update_is_an_error() -> None:
    refused = {discovered(AFTER)[ROUTES].subscription: 1}
    status = status_in(AFTER.workload, discovered(AFTER), loaded_of(BEFORE, refused=refused), sections_of(BEFORE))
    assert words(status)["RDS"] == "ERROR"


def test_an_update_refused_before_the_last_one_is_no_error() -> None:
    refused = {discovered(AFTER)[ROUTES].subscription: 1}
    status = status_in(AFTER.workload, discovered(AFTER), loaded_of(AFTER, refused=refused), sections_of(AFTER))
    assert words(status)["RDS"] == "SYNCED"


def test_another_content_under_the_same_version_is_stale() -> None:
    status = status_in(AFTER.workload, discovered(AFTER), loaded_of(AFTER), sections_of(BEFORE))
    assert words(status)["RDS"] == "STALE"


def test_a_subscription_for_which_there_is_nothing_is_not_sent() -> None:
    state = loaded_of(BEFORE)
    waiting = replace(state, versions={**state.versions, "http.outbound;.rds.9999": ""})
    status = status_in(BEFORE.workload, discovered(BEFORE), waiting, sections_of(BEFORE))
    assert words(status)["RDS"] == "NOT SENT"
    assert [tuple(each) for each in status.lacking] == [("http.outbound;.rds.9999", "NOT SENT")]


def test_statistics_count_what_is_refused_and_what_cannot_be_parsed() -> None:
    text = """
listener_manager.lds.version_text: "a1"
listener_manager.lds.update_failure: 2
listener_manager.lds.update_rejected: 1
listener_manager.lds.update_time: 1795783143856
"""
    name = "listener_manager.lds"
    assert loaded_in(text) == Loaded({name: "a1"}, {name: 3}, {name: 1795783143856})


def test_files_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_files(tmp_path, files_of(BEFORE))
    assert read_files(tmp_path) == discovered(BEFORE)


def test_table_has_istioctls_columns_and_shows_what_is_missing() -> None:
    found = [
        status_in(AFTER.workload, discovered(AFTER), loaded_of(BEFORE), sections_of(BEFORE)),
        Status(mesh()["inventory-0"].workload, running=False),
    ]
    header, row, *more = table(found, now_ms=UPDATED_MS + 125_000)
    assert header.split() == ["NAME", "CLUSTER", "CDS", "ECDS", "EDS", "LDS", "RDS", "SDS", "ISTIOD", "VERSION"]
    assert row.split("  ")[0] == "orders-0.shop"
    assert ("SYNCED (2m5s)" in row, "STALE (2m5s)" in row, row.endswith("1.40.0")) == (True, True, True)
    assert more == [*(f"orders-0.shop: {path}: STALE" for path in CHANGED), "inventory-0.shop is not running"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (599, "9m59s"), (600, "10m"), (10800, "3h"), (11700, "3h15m"), (2e5, "2d")],
)
def test_age_is_written_as_kubernetes_does(seconds: float, text: str) -> None:
    assert age(seconds) == text


def test_difference_of_an_envoy_says_what_matches_and_what_does_not() -> None:
    given, has = discovered(AFTER), sections_of(BEFORE)
    assert list(difference_in("cds", given, has)) == ["Clusters Match"]
    assert list(difference_in("rds", discovered(BEFORE), has)) == [
        "Routes Match (RDS last loaded at Fri, 27 Nov 2026 12:39:03 UTC)"
    ]
    first, *lines = difference_in("rds", given, has)
    assert first == "Routes Don't Match (RDS)"
    assert any(line.startswith("-") and '"timeout": "7s"' in line for line in lines)
