"""The experiments' files: those of the repository are valid, invalid ones are rejected."""

import copy
import re

import pytest
import yaml

from chaos.lab import __main__ as lab
from chaos.lab import actions, draw
from chaos.lab.actions import Scene
from chaos.lab.experiment import FOLDER, Bound, WrongExperiment, load, names, parse
from stack.settings import CHECKOUT

ROLES = {"postgres-0": "leader", "postgres-1": "sync_standby"}

# The failures in the README's table, and the experiments for each.
TABLE = {
    "one replica of a service": ["inventory-replica-killed", "orders-replica-killed", "inventory-replica-frozen"],
    "all of inventory": ["inventory-gone", "inventory-stopped", "inventory-frozen"],
    "Redis loses its data": ["redis-emptied"],
    "Kafka": ["kafka-stopped", "kafka-frozen"],
    "the PostgreSQL primary": ["postgres-primary-killed", "postgres-primary-frozen", "postgres-switchover"],
    "a connection, after the request was sent": ["connections-lost-after-the-request"],
}


@pytest.mark.parametrize("name", names())
def test_every_file_is_an_experiment_whose_faults_can_be_made(name):
    experiment = load(name)
    for number, step in enumerate(experiment.method):
        fault = actions.fault(step, Scene(number, ROLES, CHECKOUT))
        assert fault.do or fault.factor > 1
        assert fault.undo or fault.factor > 1 or step.action in ("empty-redis", "switchover")
    assert experiment.recovery_limit_s <= 120
    # The duration of a fault must end before the run's time limit.
    assert experiment.seconds <= 180


def test_there_are_enough_and_each_row_of_the_readmes_table_has_one():
    assert len(names()) >= 24
    table = (CHECKOUT / "README.md").read_text().split("| failure |")[1].split("`make soak`")[0]
    rows = dict(re.findall(r"^\| ([^|]+) \| [^|]+ \| [^|]+ \| `([^|]+)` \|$", table, re.MULTILINE))
    assert list(rows) == list(TABLE)
    assert {name for row in TABLE.values() for name in row} <= set(names())
    tried = {row: command.partition("EXPERIMENT=")[2] for row, command in rows.items()}
    assert all(name in TABLE[row] for row, name in tried.items() if name), tried


def test_every_fault_of_the_mesh_has_an_experiment():
    files = {f"chaos/faults/{path.name}" for path in (CHECKOUT / "chaos" / "faults").glob("*.yaml")}
    tried = {step.arguments.get("file") for name in names() for step in load(name).method}
    assert files <= tried


@pytest.fixture
def document():
    return yaml.safe_load((FOLDER / "inventory-gone.yaml").read_text())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"title": None}, r"\$\.title"),
        ({"hypothesis": "short"}, "hypothesis"),
        ({"method": []}, "method"),
        ({"method": [{"at_s": 0, "action": "kill", "target": "orders"}]}, "method"),
        ({"method": [{"at_s": 0, "action": "kill", "target": "orders; reboot", "for_s": 1}]}, "method"),
        ({"method": [{"at_s": 0, "action": "mesh", "file": "/etc/passwd", "for_s": 1}]}, "method"),
        ({"method": [{"at_s": 0, "action": "explode", "for_s": 1}]}, "method"),
        ({"method": [{"at_s": -1, "action": "switchover"}]}, "method"),
        ({"recovery_limit_s": 500}, "recovery_limit_s"),
        ({"abort": []}, "abort"),
        ({"steady_state": [{"probe": "success"}]}, "steady_state"),
        ({"steady_state": [{"probe": "mood", "at_least": 1}]}, "steady_state"),
        ({"surprise": 1}, "surprise"),
        ({"meanwhile": {"answers": [200], "longest_silence_s": 1}}, "answers"),
    ],
)
def test_an_invalid_field_is_rejected_with_its_path(document, damage, message):
    damaged = {**copy.deepcopy(document), **damage}
    with pytest.raises(WrongExperiment, match=message):
        parse("damaged", damaged)


def mesh(name, at_s, for_s):
    return {"at_s": at_s, "action": "mesh", "file": f"chaos/faults/{name}.yaml", "for_s": for_s}


def test_two_faults_that_are_the_same_resource_may_not_overlap(document):
    method = [mesh("inventory-delay", 5, 8), mesh("edge-abort-http", 0, 30), mesh("inventory-down", 0, 8)]
    message = r"\$\.method: .*inventory-delay.* at 5 s .*inventory-down.* until 8 s.* VirtualService inventory-fault"
    with pytest.raises(WrongExperiment, match=message):
        parse("damaged", document | {"method": method})
    apart = [mesh("inventory-delay", 8, 8), *method[1:]]
    assert len(parse("good", document | {"method": apart}).method) == len(apart)


def test_a_file_of_the_mesh_must_be_there(document):
    with pytest.raises(WrongExperiment, match=r"none\.yaml: No such file"):
        parse("damaged", document | {"method": [mesh("none", 0, 1)]})


def test_required_fields_may_not_be_missing(document):
    for key in ("title", "hypothesis", "steady_state", "method", "meanwhile", "recovery_limit_s", "abort"):
        with pytest.raises(WrongExperiment, match=key):
            parse("damaged", {name: value for name, value in document.items() if name != key})


def test_an_unknown_name_is_rejected_with_the_known_ones():
    with pytest.raises(WrongExperiment, match="inventory-gone"):
        load("no-such")


@pytest.mark.parametrize(("value", "holds"), [(1.0, True), (2.0, True), (0.9, False), (2.1, False), (None, False)])
def test_a_bound_holds_within_its_limits_and_never_for_a_missing_value(value, holds):
    assert Bound("success", at_least=1, at_most=2).holds(value) is holds


def test_a_seed_determines_what_is_drawn():
    assert draw.experiment(7, 5) == draw.experiment(7, 5)
    assert draw.experiment(7, 5).method != draw.experiment(8, 5).method


@pytest.mark.parametrize("seed", range(30))
def test_drawn_faults_are_possible_fit_the_run_and_never_overlap_on_one_part(seed):
    experiment = draw.experiment(seed, 5)
    assert len(experiment.method) > 5
    ends = {}
    for number, step in enumerate(experiment.method):
        actions.fault(step, Scene(number, ROLES, CHECKOUT))
        assert 0 <= step.at_s < 300
        for part in draw._touched(step):
            assert ends.get(part, 0) <= step.at_s
            ends[part] = step.at_s + step.for_s


def test_what_would_be_done_is_printed_without_a_stack(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STATE", str(tmp_path / "none"))
    monkeypatch.delenv("ON", raising=False)
    assert lab.main(["run", "inventory-gone", "--dry-run"]) == 0
    assert "+ stack kill inventory\n             - stack start inventory" in capsys.readouterr().out


def test_a_role_is_resolved_when_the_fault_is_injected():
    assert actions.who("postgres-leader", ROLES) == "postgres-0"
    assert actions.who("postgres-replica", ROLES) == "postgres-1"
    third = {"postgres-0": "replica", "postgres-1": "leader", "postgres-2": "sync_standby"}
    assert actions.who("postgres-replica", third) == "postgres-2"
    assert actions.who("kafka", {}) == "kafka"
    with pytest.raises(LookupError, match="no member of PostgreSQL is the leader now"):
        actions.who("postgres-leader", {})
