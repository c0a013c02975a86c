"""How the alerts caused by a trial are recorded."""

import argparse
import inspect
import signal
import subprocess
import sys
import types
from pathlib import Path

import psutil
import pytest
import yaml
from confluent_kafka import KafkaError, KafkaException

from chaos.alerts import measured
from chaos.alerts.__main__ import KEPT, TRIALS, Cause, Trials, injected, trials
from chaos.alerts.causes import kafka, machine, memory, mesh
from chaos.alerts.causes.__main__ import CAUSES
from chaos.alerts.measured import Measured
from chaos.alerts.watch import FIRING, PENDING, Wanted, Watch
from chaos.lab.actions import ACTIONS, Scene
from chaos.lab.experiment import Step
from stack.errors import StackError
from stack.settings import CHECKOUT
from stack.topology.addresses import Network
from tests.support.alerts import ALERTS

REDIS = Wanted("InventoryWithoutStock")
EDGE = Wanted("ServiceDown", (("service", "edge"),))


def chosen(only=""):
    return argparse.Namespace(only=only, hold_s=1, end_s=2)


def reported(*alerts):
    return [{"labels": {"alertname": name, **labels}, "state": state} for name, state, labels in alerts]


def test_the_times_of_firing_and_resolving_are_recorded():
    watch = Watch("http://127.0.0.1:1")
    for at, alerts in (
        (1, []),
        (2, reported(("InventoryWithoutStock", PENDING, {}))),
        (3, reported(("InventoryWithoutStock", PENDING, {}))),
        (9, reported(("InventoryWithoutStock", FIRING, {}), ("ServiceDown", FIRING, {"service": "orders"}))),
        (12, reported(("ServiceDown", FIRING, {"service": "edge"}))),
    ):
        watch.take(alerts, (REDIS, EDGE), at)
    assert watch.first == {(REDIS, PENDING): 2, (REDIS, FIRING): 9, (EDGE, FIRING): 12}
    assert (watch.over(REDIS), watch.over(EDGE)) == (12, None)
    assert (watch.state(REDIS), watch.state(EDGE)) == ("", FIRING)
    watch.begin([REDIS])
    assert (watch.first, watch.over(REDIS)) == ({(EDGE, FIRING): 12}, None)


def test_a_new_measurement_replaces_the_old_one(tmp_path):
    path = tmp_path / "measured.json"
    first = Measured("KafkaAway", "stop kafka", 12.0, 132.0, 8.0, 400)
    other = Measured("ServiceDown edge", "kill edge", 5.0, 65.0, None, 400)
    measured.keep(path, [first, other])
    again = Measured("KafkaAway", "stop kafka", 10.0, 130.0, 6.0, 400)
    measured.keep(path, [again])
    assert measured.load(path) == [again, other]
    assert measured.table([again, other]).splitlines() == [
        "| alert | caused by | pending after | fires after | ends after |",
        "|---|---|---|---|---|",
        "| KafkaAway | stop kafka | 10 s | 130 s | 6 s |",
        "| ServiceDown edge | kill edge | 5 s | 65 s | > 400 s |",
    ]


def test_the_table_of_the_page_is_replaced_and_nothing_else(tmp_path):
    page = tmp_path / "runbooks.md"
    page.write_text(f"# Runbooks\n\n{measured.MARKER}| old |\n|---|\n\nNot triggered there.\n")
    found = [Measured("KafkaAway", "stop kafka", 12.0, 132.0, 8.0, 400)]
    for _ in range(2):
        measured.show(page, found)
    assert page.read_text() == f"# Runbooks\n\n{measured.MARKER}{measured.table(found)}\nNot triggered there.\n"
    page.write_text("# Runbooks\n")
    with pytest.raises(ValueError, match="has no"):
        measured.show(page, found)


def test_every_trial_names_existing_alerts_and_possible_faults():
    document = yaml.safe_load(TRIALS.read_text())
    found = trials(chosen(), document)
    causes = [cause for each in found.values() for cause in each]
    assert {wanted.name for cause in causes for wanted in cause.alerts} <= set(ALERTS)
    assert {cause.step.action for cause in causes} <= {*ACTIONS, *CAUSES}
    assert not set(CAUSES) & set(ACTIONS)
    assert set(CAUSES) <= {cause.step.action for cause in causes}
    assert list(trials(chosen(only="kafka,edge"), document)) == ["kafka", "edge"]


def test_what_causes_an_alert_and_what_ends_it_take_the_arguments_of_the_trial():
    for causes in trials(chosen(), yaml.safe_load(TRIALS.read_text())).values():
        for cause in causes:
            if cause.step.action in CAUSES:
                known, arguments = CAUSES[cause.step.action], cause.step.arguments.values()
                for act in (known.do, known.undo):
                    inspect.signature(act).bind(None, Path("kept"), *arguments)


def test_a_fault_has_its_own_times_or_those_of_the_command_line():
    document = [
        {
            "name": "a",
            "faults": [
                {"action": "stop", "target": "redis", "at_s": 9, "alerts": {"KafkaAway": {}}},
                {"action": "redis-full", "hold_s": 5, "end_s": 6, "alerts": {"RedisAlmostFull": {}}},
            ],
        }
    ]
    first, second = trials(chosen(), document)["a"]
    assert (first.step.action, first.hold_s, first.end_s) == ("redis-full", 5, 6)
    assert (second.step.arguments, second.step.at_s, second.hold_s, second.end_s) == ({"target": "redis"}, 9, 1, 2)


@pytest.mark.parametrize(
    "answers", [pytest.param([], id="Prometheus has not answered"), pytest.param([REDIS.name], id="it fires already")]
)
async def test_no_fault_is_injected_before_its_alert_is_seen_silent(monkeypatch, answers):
    monkeypatch.setattr("chaos.alerts.__main__.describe", lambda _: types.SimpleNamespace(network=Network(16)))
    run = Trials(types.SimpleNamespace(run=Path("run")), chosen(), lambda _: None)
    for name in answers:
        run._watch.take(reported((name, FIRING, {})), (REDIS,), 1)
    cause = Cause(Step(0, "stop", 0, {"target": "redis"}), (REDIS,), hold_s=1, end_s=0)
    assert await run._cause(1, cause, 0) == []
    assert run.not_made == ["stop target=redis"]
    assert cause.made_at == 0


def test_a_cause_that_no_experiment_needs_is_ended_by_a_command_that_any_process_can_run(tmp_path):
    fault = injected(Step(0, "crashes", 0, {"target": "orders-1"}), Scene(3, {}, tmp_path))
    assert fault.description == "crashes target=orders-1"
    assert fault.do[1:] == ("-m", "chaos.alerts.causes", "do", "crashes", f"{tmp_path}/alert-3", "orders-1")
    assert fault.undo == ((fault.do[0], "-m", "chaos.alerts.causes", "undo", *fault.do[4:]),)


def test_a_version_is_put_back_unless_the_controller_has_written_another(tmp_path):
    settings, kept = types.SimpleNamespace(mesh=tmp_path), tmp_path / "kept"
    clusters = tmp_path / "orders-1" / "cds.json"
    clusters.parent.mkdir()
    clusters.write_text('{"version_info": "1", "resources": []}')
    mesh.replace_version(settings, kept, "orders-1")
    assert clusters.read_text() == '{"version_info": "alerts", "resources": []}'
    mesh.put_version_back(settings, kept, "orders-1")
    assert clusters.read_text() == '{"version_info": "1", "resources": []}'
    mesh.replace_version(settings, kept, "orders-1")
    clusters.write_text('{"version_info": "2", "resources": []}')
    for _ in range(2):
        mesh.put_version_back(settings, kept, "orders-1")
    assert clusters.read_text() == '{"version_info": "2", "resources": []}'


def test_the_runbooks_have_the_measured_table():
    page = (CHECKOUT / "docs" / "runbooks.md").read_text()
    found = measured.load(KEPT)
    assert measured.table(found) in page
    assert all(each.firing_s is not None for each in found)
    section = page.partition("### When they fire")[2].partition("\n## ")[0]
    assert [alert for alert in ALERTS if alert not in section] == []


class Deletion:
    """Kafka's answer to the deletion of a topic."""

    def __init__(self, code):
        self._code = code

    def result(self, _timeout):
        if self._code is not None:
            raise KafkaException(KafkaError(self._code))


@pytest.fixture
def single_copy(monkeypatch, tmp_path):
    """Bring the broker of the single copy back, with Kafka's answer to the deletion; return the file that notes it."""
    kept = tmp_path / "single"
    kept.touch()

    def bring(code):
        admin = types.SimpleNamespace(delete_topics=lambda names, operation_timeout: {names[0]: Deletion(code)})
        monkeypatch.setattr(kafka, "_admin", lambda _: admin)
        monkeypatch.setattr(kafka, "stack_command", lambda *_: None)
        kafka.bring_single_copy_back(None, kept, "kafka-1")
        return kept

    return bring


@pytest.mark.parametrize("code", [None, KafkaError.UNKNOWN_TOPIC_OR_PART])
def test_a_topic_that_an_earlier_try_has_deleted_is_gone(single_copy, code):
    assert not single_copy(code).exists()


@pytest.mark.parametrize("code", [KafkaError._TIMED_OUT, KafkaError.TOPIC_AUTHORIZATION_FAILED])
def test_a_topic_that_cannot_be_deleted_is_deleted_at_the_next_try(single_copy, code):
    with pytest.raises(KafkaException):
        single_copy(code)


@pytest.fixture
def orders(monkeypatch):
    """A process that the supervisor takes for orders-1."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        known = types.SimpleNamespace(info=lambda: {"orders-1": {"pid": process.pid}})
        monkeypatch.setattr(machine, "Supervisor", lambda _: known)
        yield psutil.Process(process.pid)


def test_a_process_has_few_file_descriptors_left_until_its_limit_is_given_back(orders, tmp_path):
    kept, before = tmp_path / "kept", orders.rlimit(psutil.RLIMIT_NOFILE)
    machine.limit_descriptors(None, kept, "orders-1")
    lowered, most = orders.rlimit(psutil.RLIMIT_NOFILE)
    # The alert's threshold.
    assert 0.8 < orders.num_fds() / lowered <= 1
    assert most == before[1]
    for _ in range(2):
        machine.raise_descriptors(None, kept, "orders-1")
    assert orders.rlimit(psutil.RLIMIT_NOFILE) == before
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_was_started_since_keeps_its_limit(orders, tmp_path):
    kept = tmp_path / "kept"
    machine.limit_descriptors(None, kept, "orders-1")
    pid = kept.read_text().split()[0]
    kept.write_text(f"{pid} 1.0\n")
    before = orders.rlimit(psutil.RLIMIT_NOFILE)
    machine.raise_descriptors(None, kept, "orders-1")
    assert orders.rlimit(psutil.RLIMIT_NOFILE) == before


@pytest.fixture(params=[1, 2], ids=["version 1", "version 2"])
def cgroups(request, monkeypatch, tmp_path):
    """Folders like a machine's cgroups; a group that is made has the files of its version."""
    root = tmp_path / "memory"
    root.mkdir()
    (root / "cgroup.subtree_control").write_text("cpu memory pids\n")
    kind = "cgroup rw,relatime,memory" if request.param == 1 else "cgroup2 rw,relatime"
    mounts = tmp_path / "mounts"
    mounts.write_text(f"proc /proc proc rw 0 0\ncgroup {root} {kind} 0 0\n")
    files = ("memory.limit_in_bytes", "memory.swappiness") if request.param == 1 else ("memory.max", "memory.swap.max")
    make = Path.mkdir

    def group(path):
        make(path)
        for name in (*files, "cgroup.procs"):
            (path / name).touch()

    monkeypatch.setattr(memory, "MOUNTS", mounts)
    monkeypatch.setattr(Path, "mkdir", group)
    return root, files


def ended_with(code):
    return lambda *_, **__: types.SimpleNamespace(returncode=code, stderr="took 268435456 bytes")


def test_a_process_is_killed_in_a_group_of_little_memory_and_no_swap(cgroups, monkeypatch, tmp_path):
    root, (limit, swap) = cgroups
    monkeypatch.setattr(memory.subprocess, "run", ended_with(-signal.SIGKILL))
    memory.exceed(None, tmp_path / "kept")
    [group] = [path for path in root.iterdir() if path.is_dir()]
    assert ((group / limit).read_text(), (group / swap).read_text()) == (str(memory.LIMIT_BYTES), "0")
    assert (tmp_path / "kept").read_text().strip() == str(group)
    assert memory.LIMIT_BYTES < memory.MAX_BYTES < memory.ADDRESSES_BYTES


def test_a_process_that_was_not_killed_for_its_memory_is_no_cause(cgroups, monkeypatch, tmp_path):
    monkeypatch.setattr(memory.subprocess, "run", ended_with(1))
    with pytest.raises(StackError, match="was not killed: took"):
        memory.exceed(None, tmp_path / "kept")


@pytest.mark.parametrize("mount", ["cgroup /c cgroup rw,cpu", "cgroup /c cgroup rw,memory_recursiveprot"])
def test_a_machine_without_cgroups_of_memory_is_named(monkeypatch, tmp_path, mount):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"{mount} 0 0\n")
    monkeypatch.setattr(memory, "MOUNTS", mounts)
    with pytest.raises(StackError, match="no cgroups that limit memory"):
        memory.exceed(None, tmp_path / "kept")


def test_what_a_killed_run_left_in_the_group_is_ended(monkeypatch, tmp_path):
    group, kept = tmp_path / "group", tmp_path / "kept"
    group.mkdir()
    kept.write_text(f"{group}\n")
    monkeypatch.setattr(Path, "rmdir", lambda path: [each.unlink() for each in path.iterdir()])
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        (group / "cgroup.procs").write_text(f"{process.pid}\n")
        memory.remove_group(None, kept)
        assert not psutil.pid_exists(process.pid)
    assert not kept.exists()
    memory.remove_group(None, kept)
