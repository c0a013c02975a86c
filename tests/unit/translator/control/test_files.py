"""
Configuration files: which are written, which are kept, and which resources are applied in addition.
"""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from runtime.breakers import State
from tests.unit.translator.rig import mesh
from translator.checks.validation import Checker
from translator.config.discovery import files_of
from translator.control.apply import apply, delete
from translator.control.breakers import Breaker, Watch, table
from translator.control.files import remove_files, write_files
from translator.control.places import Places, configurations, mesh_of
from translator.control.show import diff
from translator.model.problems import InvalidMesh

RULES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: inventory, namespace: shop}
spec: {hosts: [inventory], http: [{route: [{destination: {host: inventory}}], timeout: 1s}]}
"""
FAULT = RULES.replace("timeout: 1s", "timeout: 7s")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "istio").mkdir()
    (tmp_path / "istio" / "inventory.yaml").write_text(RULES)
    registry = Path(__file__).parents[1] / "registry.yaml"
    return Places((tmp_path / "istio",), registry, tmp_path / "certificates", tmp_path / "out")


@pytest.fixture
def fault(tmp_path: Path) -> Path:
    path = tmp_path / "fault.yaml"
    path.write_text(FAULT)
    return path


def timeout(places: Places) -> int:
    [orders] = [one for one in configurations(places, mesh_of(places, Checker())) if one.workload.name == "orders-0"]
    [routes] = [one for one in orders.routes if one.name == "50051"]
    [host] = [one for one in routes.virtual_hosts if one.name.startswith("inventory")]
    return int(host.routes[0].route.timeout.seconds)


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    before = files_of(mesh()["orders-0"])
    write_files(tmp_path, before)
    touched = {path: (tmp_path / path).stat().st_mtime_ns for path in before}
    after = files_of(mesh(RULES)["orders-0"])
    # On port 80 Istio serves every host of a VirtualService, if no service has it there.
    assert write_files(tmp_path, after) == ["rds/50051.json", "rds/80.json"]
    same = [path for path in before if (tmp_path / path).stat().st_mtime_ns == touched[path]]
    assert sorted({*before} - {*same}) == ["rds/50051.json", "rds/80.json"]


def test_keys_and_endpoints_are_written_before_clusters_and_clusters_before_routes(tmp_path: Path) -> None:
    order = [path.split("/")[0] for path in write_files(tmp_path, files_of(mesh()["orders-0"]))]
    assert list(dict.fromkeys(order)) == ["sds", "eds", "cds.json", "rds", "lds.json", "bootstrap.json"]


def test_stale_files_are_removed(tmp_path: Path) -> None:
    write_files(tmp_path, files_of(mesh()["orders-0"]))
    fewer = files_of(mesh()["orders-0"])
    del fewer["rds/80.json"]
    assert remove_files(tmp_path, fewer) == ["rds/80.json"]


def test_applied_resource_overrides_the_file_until_it_is_deleted(places: Places, fault: Path) -> None:
    assert timeout(places) == 1
    assert "VirtualService shop/inventory applied" in apply(places, fault, wait_s=0)
    assert timeout(places) == 7
    assert "VirtualService shop/inventory deleted" in delete(places, fault, wait_s=0)
    assert timeout(places) == 1


def test_shadowed_resource_is_reported(places: Places, fault: Path) -> None:
    assert not [line for line in apply(places, fault, wait_s=0) if "WARNING" in line]
    fault.write_text(FAULT.replace("name: inventory, n", "name: my-fault, n"))
    [warning] = [line for line in apply(places, fault, wait_s=0) if line.startswith("WARNING")]
    assert "VirtualService shop/my-fault does nothing for inventory.shop.svc.cluster.local" in warning
    assert "VirtualService shop/inventory comes first" in warning
    # An applied resource is newer than the files', whatever its name.
    fault.write_text(FAULT.replace("name: inventory, n", "name: a-fault, n"))
    assert [line for line in apply(places, fault, wait_s=0) if line.startswith("WARNING")]


def test_applied_resource_counts_as_newer_than_files(places: Places, fault: Path) -> None:
    fault.write_text(FAULT.replace("name: inventory", "name: a"))
    apply(places, fault, wait_s=0)
    assert timeout(places) == 1


def test_dangling_references_are_reported_on_apply(places: Places, fault: Path) -> None:
    fault.write_text(FAULT.replace("destination: {host: inventory}", "destination: {host: nobody}"))
    [line] = [line for line in diff(places, fault) if "IST0101" in line]
    assert line.startswith("Error [IST0101] (VirtualService shop/inventory ")
    assert line in apply(places, fault, wait_s=0)


def test_invalid_file_changes_nothing(places: Places, fault: Path) -> None:
    fault.write_text(FAULT.replace("7s", "soon"))
    with pytest.raises(InvalidMesh, match=r"spec\.http\[0\]\.timeout"):
        apply(places, fault, wait_s=0)
    assert not list(places.applied.glob("*"))


def test_resource_that_was_not_applied_cannot_be_deleted(places: Places, fault: Path) -> None:
    with pytest.raises(InvalidMesh, match="is not applied"):
        delete(places, fault, wait_s=0)


def test_diff_shows_what_a_file_would_change_and_what_was_applied_did(places: Places, fault: Path) -> None:
    would = list(diff(places, fault))
    assert '+        "timeout": "7s"' in [line.rstrip(",") for line in would]
    assert not any(line.startswith("+++ edge-0") for line in would)
    assert list(diff(places, None)) == []
    apply(places, fault, wait_s=0)
    assert [line for line in diff(places, None) if "7s" in line]
    assert list(diff(places, fault)) == []


def test_wrong_yaml_is_named(places: Places) -> None:
    (places.istio[0] / "broken.yaml").write_text("a: [")
    with pytest.raises(InvalidMesh, match=r"broken\.yaml: is not valid YAML"):
        configurations(places, mesh_of(places, Checker()))


def test_resource_defined_twice_is_refused(places: Places) -> None:
    (places.istio[0] / "other.yaml").write_text(RULES)
    with pytest.raises(InvalidMesh, match="is already defined in"):
        configurations(places, mesh_of(places, Checker()))


def test_kustomization_file_is_not_a_resource(places: Places) -> None:
    (places.istio[0] / "kustomization.yaml").write_text(yaml.safe_dump({"kind": "Kustomization"}))
    assert timeout(places) == 1


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def breaker(
    *,
    ejected: bool = False,
    requests: int = 0,
    failed: int = 0,
    cluster: State = State.CLOSED,
    host: str = "127.0.0.1:1",
) -> Breaker:
    return Breaker("orders-0", "inventory:50051", host, ejected, cluster, 0, 0, 0, requests, failed)


def test_consecutive_errors_reset_on_success() -> None:
    watch = Watch()
    watch.look([breaker()], NOON)
    [after] = watch.look([breaker(requests=3, failed=3)], NOON)
    assert after.errors == 3
    [later] = watch.look([breaker(requests=5, failed=4)], NOON)
    assert later.errors == 1


def test_ejection_is_remembered_from_when_it_was_first_seen() -> None:
    watch = Watch()
    watch.look([breaker(ejected=True)], NOON)
    [later] = watch.look([breaker(ejected=True)], NOON.replace(hour=13))
    assert later.since.startswith("2026-01-01T12:00:00")
    [back] = watch.look([breaker()], NOON.replace(hour=14))
    assert back.since == ""


def test_breaker_without_a_healthy_host_is_open() -> None:
    lines = table(
        [
            breaker(ejected=True, cluster=State.OPEN),
            breaker(ejected=True, cluster=State.PARTLY),
            breaker(cluster=State.PARTLY),
            breaker(cluster=State.EMPTY, host=""),
        ]
    )
    assert "OPEN" in lines[1]
    assert "ejected" in lines[2]
    assert "closed" in lines[3]
    assert "no hosts" in lines[4]
