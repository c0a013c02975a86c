"""An additional service joins the mesh: what it gets, what is rejected, and that nothing remains."""

import json
import time

import pytest
import yaml

from stack.run import joined as joining
from stack.run.joined import CannotJoin, joined
from stack.topology import configuration


@pytest.fixture
def running(plan, monkeypatch):
    """Return a stack that counts as running, with its registry and a controller's status."""
    plan.settings.conf.mkdir(parents=True)
    plan.settings.run.mkdir()
    plan.settings.mesh.mkdir()
    (plan.settings.conf / "registry.yaml").write_text(configuration.registry(plan))
    monkeypatch.setattr(joining, "require_running", lambda _: None)
    return plan


def controller_reports(plan, *workloads, error=None):
    """Set the controller's response to every request."""
    status = {"attempted_at": time.time() + 60, "error": error, "workloads": {name: {} for name in workloads}}
    (plan.settings.mesh / "status.json").write_text(json.dumps(status))


def entries(plan):
    return sorted(file.name for file in plan.settings.joined.glob("*"))


def test_a_joined_service_has_its_own_address_and_leaves_nothing(running):
    controller_reports(running, "subscriptions-0", "coffee-club-0")
    with joined(running, "subscriptions") as one, joined(running, "coffee-club") as other:
        entry = yaml.safe_load((running.settings.joined / "subscriptions.yaml").read_text())["workloads"][0]
        assert (entry["name"], entry["serviceAccount"]) == ("subscriptions-0", "subscriptions")
        assert entry["outbound"] == [{"port": 50051, "listen": str(one.listens[1])}]
        assert one.listens[0].address == entry["address"] != other.listens[0].address
        assert f"{running.settings.mesh}/subscriptions-0/bootstrap.json" in one.command
    assert entries(running) == []


@pytest.mark.parametrize("name", ["", "edge", "orders", "Orders", "../orders", "a b", "a" * 43, "-a", "a-"])
def test_invalid_and_reserved_names_are_rejected(running, name):
    controller_reports(running)
    with pytest.raises(CannotJoin), joined(running, name):
        raise AssertionError("it joined")
    assert not running.settings.joined.exists()


def test_a_registration_that_the_mesh_rejects_is_reported_and_reverted(running):
    controller_reports(running, error="registry: no")
    with pytest.raises(CannotJoin, match="registry: no"), joined(running, "subscriptions"):
        raise AssertionError("it joined")
    assert entries(running) == []


@pytest.mark.usefixtures("virtual_sleep")
def test_the_wait_for_the_controller_is_bounded(running):
    with pytest.raises(CannotJoin, match="not taken"), joined(running, "subscriptions"):
        raise AssertionError("it joined")
    assert entries(running) == []
