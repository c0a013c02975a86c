"""Experiments on Kubernetes: the commands of each fault, those that revert it, and what is refused."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from chaos.lab import __main__ as lab
from chaos.lab.actions import Scene
from chaos.lab.cluster import act, cut, environment, forwards, in_pod, processes
from chaos.lab.cluster.actions import ClusterFaults, Place
from chaos.lab.cluster.cut import NEEDED
from chaos.lab.cluster.environment import Cluster, NotConfirmed
from chaos.lab.cluster.parts import DEPLOYMENT, Part, Replicas, part, unhealthy
from chaos.lab.environment import refusals
from chaos.lab.experiment import Step, load, names
from chaos.truth import NotRead
from k8s import kubectl as kubectl_module
from k8s.kubectl import ClusterError
from stack.errors import StackError

PLACE = Place("shop", "one-node")
ROLES = {"postgres-0": "replica", "postgres-1": "leader", "postgres-2": "sync_standby"}
KUBECTL = ("kubectl", "--context=one-node", "--namespace=shop")
WHOLE = {app: (*KUBECTL, "rollout", "status", f"{kind}/{app}", "--timeout=110s") for app, kind in (
    ("inventory", "deployment"), ("orders", "deployment"), ("kafka", "statefulset"), ("postgres", "statefulset"),
    ("redis", "statefulset"),
)}  # fmt: skip
# Not on this cluster, and why.
REFUSED = {
    "inventory-far-away": "not delayed",
    "etcd-stopped": "etcd",
    "mesh-controller-gone": "whole cluster",
    "sidecar-killed": "sidecar",
}


class Now:
    """The state of a deployment, as only the test knows it."""

    def __init__(self, sizes=None, visible=(7,)):
        self.sizes = {"inventory": 2, "orders": 3, "kafka": 3, "postgres": 3, "redis": 1, "edge": 2, **(sizes or {})}
        self.visible = visible

    def size(self, app):
        return self.sizes[app]

    def pod(self, part):
        if part.kind == DEPLOYMENT:
            return f"{part.app}-5bb95-{'abc'[part.replica]}"
        return f"{part.app}-{part.replica}"

    def pods(self, part):
        if part.replica is not None:
            return [self.pod(part)]
        return [self.pod(Part(part.app, number)) for number in range(self.sizes[part.app])]

    def containers(self, part):
        return [f"{part.app}-container"]

    def processes(self, containers):
        return list(self.visible) if containers else []


@pytest.fixture(autouse=True)
def _root_on_the_node(monkeypatch):
    monkeypatch.setattr(cut.os, "geteuid", lambda: 0)
    monkeypatch.setattr(cut.shutil, "which", lambda name: name)


def faults(**state):
    return ClusterFaults(PLACE, Now(**state))


def made(action, tmp_path, *, for_s=10, **arguments):
    return faults().fault(Step(0, action, for_s, arguments), Scene(3, ROLES, tmp_path))


def own(command):
    """Return an action's words, after checking that it names its cluster and namespace."""
    assert command[:6] == (
        "env", "KUBE_CONTEXT=one-node", "NAMESPACE=shop", sys.executable, "-m", "chaos.lab.cluster.act",
    )  # fmt: skip
    return command[6:]


def test_a_whole_service_is_scaled_to_0_and_back_to_the_size_that_it_had(tmp_path):
    fault = made("stop", tmp_path, target="orders")
    assert own(fault.do) == ("scale-to-0", "deployment/orders")
    assert fault.undo == ((*KUBECTL, "scale", "deployment/orders", "--replicas=3"), WHOLE["orders"])
    assert own(made("kill", tmp_path, target="kafka").do) == ("scale-to-0", "statefulset/kafka", "at-once")


def test_what_is_scaled_to_0_already_is_not_stopped_because_the_undo_would_not_start_it(tmp_path):
    with pytest.raises(LookupError, match="scaled to 0 already"):
        faults(sizes={"orders": 0}).fault(Step(0, "stop", 1, {"target": "orders"}), Scene(1, ROLES, tmp_path))


def test_a_replica_of_a_service_is_its_pod_which_kubernetes_replaces(tmp_path):
    fault = made("kill", tmp_path, target="inventory-1")
    name = "inventory-5bb95-b"
    assert fault.do == (*KUBECTL, "delete", "pod", name, "--wait=false", "--grace-period=0", "--force")
    assert fault.undo == (WHOLE["inventory"],)
    assert fault.description == "kill inventory-1 (inventory-5bb95-b)"
    assert "--force" not in made("stop", tmp_path, target="inventory-1").do


@pytest.mark.parametrize(
    ("action", "target", "pod", "further"),
    [("kill", "postgres-leader", "postgres-1", ("at-once",)), ("stop", "postgres-replica", "postgres-2", ())],
)
def test_a_member_of_a_store_is_held_down_as_long_as_the_fault_lasts(tmp_path, action, target, pod, further):
    fault = made(action, tmp_path, target=target, for_s=20)
    marker = str(tmp_path / f"held-{pod}")
    assert own(fault.do) == ("hold-down", pod, "50", marker, *further)
    assert fault.holds
    assert own(fault.undo[0]) == ("release", marker)
    assert fault.undo[1] == WHOLE["postgres"]


def test_faults_of_one_workload_do_not_overlap_whatever_they_are(tmp_path):
    places = {made(action, tmp_path, target=target).place for action, target in (
        ("kill", "orders"), ("stop", "orders-1"), ("pause", "orders"),
    )}  # fmt: skip
    assert places == {"orders"}


def test_a_switchover_is_patronis_own_from_the_leader_to_the_synchronous_replica(tmp_path):
    fault = made("switchover", tmp_path, for_s=0)
    words = ("patronictl", "switchover", "--leader=postgres-1", "--candidate=postgres-2", "--force")
    assert fault.do == (*KUBECTL, "exec", "postgres-1", "--container=app", "--", *words)
    assert fault.undo == ()


def test_other_faults_and_how_each_is_reverted(tmp_path):
    lock = made("lock-table", tmp_path, table="orders", for_s=12)
    assert (own(lock.do), [own(each) for each in lock.undo], lock.holds) == (
        ("lock-table", "orders", "42"), [("unlock-table",)], True,
    )  # fmt: skip
    pause = made("pause", tmp_path, target="redis")
    assert (own(pause.do), [own(each) for each in pause.undo]) == (
        ("pause", "redis-container"), [("resume", "redis-container")],
    )  # fmt: skip
    file, kept = "chaos/faults/inventory-down.yaml", str(tmp_path / "mesh-3.yaml")
    mesh = made("mesh", tmp_path, file=file)
    assert (own(mesh.do), own(mesh.undo[0])) == (("mesh", file, kept), ("mesh-back", file, kept))
    assert mesh.place == "VirtualService inventory-fault"
    assert own(made("empty-redis", tmp_path, for_s=0).do) == ("empty-redis",)
    assert made("burst", tmp_path, factor=3).factor == 3


@pytest.mark.parametrize("name", names())
def test_every_experiment_is_possible_or_refused_with_a_reason_before_anything_is_changed(name, tmp_path):
    experiment = load(name)
    reasons = refusals(faults(), experiment)
    if name in REFUSED:
        assert REFUSED[name] in reasons[0]
    else:
        assert reasons == []
        for number, step in enumerate(experiment.method):
            assert faults().fault(step, Scene(number, ROLES, tmp_path)).description
        for target in experiment.rollbacks:
            assert faults().start(target)[3] == "scale"


def test_without_the_processes_of_a_pod_it_cannot_be_frozen():
    [reason] = refusals(faults(visible=()), load("redis-frozen"))
    assert "root on the node" in reason


@pytest.mark.parametrize(
    "step",
    [
        Step(0, "pause", 1, {"target": "redis-0"}),
        Step(0, "partition", 1, {"between": "orders", "and": "redis-0"}),
        Step(0, "pause", 1, {"target": "nobody"}),
    ],
)
def test_a_part_that_does_not_exist_now_is_a_refusal(monkeypatch, step):
    def containers(self, part):
        raise LookupError(f"there is no pod of {part.app} now")

    monkeypatch.setattr(Now, "containers", containers)
    assert faults().refusal(step).startswith(("there is no pod of redis now", "nobody is no part of a deployment"))


def test_the_network_is_cut_in_the_pods_of_the_second_side(tmp_path):
    fault = made("partition", tmp_path, **{"between": "orders-0", "and": "inventory"}, loss_percent=30)
    marker, others = str(tmp_path / "cut-3"), "inventory-5bb95-a,inventory-5bb95-b"
    assert own(fault.do) == ("cut", marker, "40", "30", "both", "orders-5bb95-a", others)
    assert [own(each) for each in fault.undo] == [("heal", marker, others)]
    assert fault.holds
    one_way = made("partition", tmp_path, **{"between": "kafka-0", "and": "postgres-leader"}, one_way=True)
    assert own(one_way.do)[3:] == ("100", "one-way", "kafka-0", "postgres-1")


def test_what_is_cut_one_way_is_only_what_arrives():
    both = cut.made(["10.0.0.1", "10.0.0.2"], one_way=False, loss_percent=100)
    assert "ip saddr @others drop" in both
    assert "ip daddr @others drop" in both
    # The kernel lifts what is no longer renewed.
    assert "{ 10.0.0.1 timeout 8s, 10.0.0.2 timeout 8s }" in both
    one_way = cut.made(["10.0.0.1"], one_way=True, loss_percent=30)
    assert "ip saddr @others numgen random mod 100 < 30 drop" in one_way
    assert "hook output" not in one_way


@pytest.mark.parametrize(
    ("euid", "there", "visible", "reason"),
    [(1000, NEEDED, [7], "only root"), (0, ["nsenter"], [7], "takes nft"), (0, NEEDED, [], "none of its processes")],
)
def test_without_the_rights_on_the_node_nothing_is_cut(monkeypatch, euid, there, visible, reason):
    monkeypatch.setattr(cut.os, "geteuid", lambda: euid)
    monkeypatch.setattr(cut.shutil, "which", lambda name: name if name in there else None)
    [found] = refusals(faults(visible=visible), load("orders-cut-off-from-kafka"))
    assert reason in found


def test_only_parts_of_a_deployment_can_be_named():
    assert part("kafka-2") == Part("kafka", 2)
    for target in ("prometheus", "orders-", "kube-system", "orders-0; reboot"):
        with pytest.raises(LookupError, match="no part of a deployment"):
            part(target)


def test_a_new_pod_is_the_replica_that_it_replaces():
    replicas = Replicas()
    assert replicas.update("orders", 2, ["orders-b", "orders-a"]) == ["orders-a", "orders-b"]
    assert replicas.update("orders", 2, ["orders-b"]) == ["", "orders-b"]
    assert replicas.update("orders", 2, ["orders-b", "orders-c"]) == ["orders-c", "orders-b"]
    assert replicas.update("orders", 3, ["orders-b", "orders-c", "orders-d"]) == ["orders-c", "orders-b", "orders-d"]
    assert replicas.update("orders", 2, ["orders-b", "orders-d"]) == ["orders-b", "orders-d"]
    assert replicas.update("orders", 2, []) == ["", ""]


def pod(name, app, *, is_ready=True, **metadata):
    status = {"conditions": [{"type": "Ready", "status": str(is_ready)}]}
    return {"metadata": {"name": name, "labels": {"app": app}, **metadata}, "status": status}


def workload(name, replicas):
    return {"metadata": {"name": name}, "spec": {"replicas": replicas}}


def test_what_is_not_healthy_is_named_as_on_one_machine():
    sizes = {"orders": 2, "inventory": 0, "pages": 1, "edge": 1, "postgres": 2, "kafka": 1}
    found = [
        pod("orders-a", "orders"),
        pod("orders-b", "orders", is_ready=False),
        pod("pages-a", "pages"),
        pod("edge-a", "edge", deletionTimestamp="now"),
        pod("postgres-1", "postgres"),
        pod("kafka-0", "kafka"),
    ]
    assert unhealthy([workload(*each) for each in sizes.items()], found, Replicas()) == {
        "orders-1": "orders-b is not ready",
        "inventory": "scaled to 0",
        "edge-0": "no pod",
        "postgres-0": "no pod",
        "redis": "does not exist",
    }


@pytest.fixture
def on_a_cluster(monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/somewhere")
    monkeypatch.delenv("KUBE_CONTEXT", raising=False)
    monkeypatch.setattr(environment.ready, "place", lambda: "shop/production")


@pytest.mark.parametrize("word", ["cluster", "1", "yes", "shop", "production", "shop/one-node", "shop/production "])
def test_nothing_is_done_to_a_cluster_that_is_not_named_word_for_word(on_a_cluster, tmp_path, word):
    with pytest.raises(NotConfirmed, match="faults into shop/production: ON=shop/production confirms it"):
        Cluster(None, word)
    assert "KUBE_CONTEXT" not in os.environ


def test_a_kubeconfig_in_the_environment_chooses_nothing(on_a_cluster, monkeypatch):
    monkeypatch.delenv("ON", raising=False)
    monkeypatch.setattr(lab, "OneMachine", lambda chosen: ("the stack", chosen))
    monkeypatch.setattr(lab, "Cluster", None)
    assert lab._environment("settings") == ("the stack", "settings")


def test_every_call_of_kubectl_is_for_the_confirmed_context(monkeypatch):
    calls = []

    def run(command, **_how):
        calls.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(kubectl_module.subprocess, "run", run)
    monkeypatch.setenv("KUBE_CONTEXT", "one-node")
    kubectl_module.kubectl("get", "pods")
    monkeypatch.delenv("KUBE_CONTEXT")
    kubectl_module.kubectl("get", "pods")
    assert calls == [["kubectl", "--context=one-node", "get", "pods"], ["kubectl", "get", "pods"]]


class Kubectl:
    """Answers calls of kubectl from a list of responses by their first words, and records all."""

    def __init__(self, **responses):
        self.calls, self.responses = [], responses

    def __call__(self, *words, stdin=None, seconds=0):
        self.calls.append((*words, stdin) if stdin else words)
        response = self.responses.get(words[0], "")
        if isinstance(response, list):
            response = response.pop(0) if len(response) > 1 else response[0]
        return response() if callable(response) else response


@pytest.fixture
def kubectl(monkeypatch):
    def answering(**responses):
        made = Kubectl(**responses)
        monkeypatch.setattr(act, "kubectl", made)
        return made

    return answering


@pytest.mark.usefixtures("virtual_sleep")
def test_a_pod_is_deleted_each_time_it_is_back_until_its_marker_is_gone(kubectl, tmp_path, capsys):
    marker = tmp_path / "held"

    def last():
        act.release(str(marker))
        return "2"

    made = kubectl(get=["1", "1", "", "2", "2", last, "3"])
    act.hold_down("kafka-0", "60", str(marker))
    deleted = [call for call in made.calls if call[0] == "delete"]
    # The first one ends as a stopped pod does.
    assert ["--force" in call for call in deleted] == [False, True]
    assert len(made.calls) == 6 + 2
    assert "kafka-0 is down, in force" in capsys.readouterr().out
    act.release(str(marker))


@pytest.mark.usefixtures("virtual_sleep")
def test_a_held_pod_is_let_go_after_its_time_without_anybodys_help(kubectl, tmp_path):
    kubectl(get=["1"])
    act.hold_down("kafka-0", "0.05", str(tmp_path / "held"), "at-once")
    assert not (tmp_path / "held").exists()


FAULT = "chaos/faults/inventory-down.yaml"


def test_an_istio_fault_of_the_user_comes_back_as_it_was(kubectl, tmp_path):
    earlier = '{"kind": "VirtualService", "metadata": {"name": "inventory-fault", "uid": "1"}, "spec": {"a": 1}}'
    made, kept = kubectl(get=earlier), tmp_path / "mesh-1.yaml"
    act.apply_mesh(FAULT, str(kept))
    assert "inventory-fault" in made.calls[-1][-1]
    act.bring_mesh_back(FAULT, str(kept))
    assert made.calls[-1][0] == "apply"
    assert made.calls[-1][-1] == '{"kind": "VirtualService", "metadata": {"name": "inventory-fault"}, "spec": {"a": 1}}'


def test_an_istio_fault_without_an_earlier_one_is_deleted(kubectl, tmp_path):
    made = kubectl()
    act.apply_mesh(FAULT, str(tmp_path / "mesh-1.yaml"))
    act.bring_mesh_back(FAULT, str(tmp_path / "mesh-1.yaml"))
    assert [call[0] for call in made.calls] == ["get", "apply", "delete"]


def test_a_failed_action_says_why(monkeypatch, capsys):
    monkeypatch.setattr(processes, "of", lambda _: [])
    assert act.main(["pause", "abc"]) == 1
    assert "no process of the containers" in capsys.readouterr().err


def test_the_processes_of_a_container_are_found_by_their_control_group(monkeypatch, tmp_path):
    for pid, group in ((7, "0::/kubepods/pod1/abc"), (8, "0::/kubepods/pod1/def"), (9, "0::/init")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cgroup").write_text(group)
    monkeypatch.setattr(processes, "PROC", tmp_path)
    monkeypatch.setattr(processes.os, "geteuid", lambda: 0)
    assert processes.of(["abc"]) == [7]
    assert processes.of([]) == []
    sent = []
    monkeypatch.setattr(processes.os, "kill", lambda pid, number: sent.append((pid, number)))
    assert processes.signal_all(["def"], signal.SIGSTOP) == 1
    assert sent == [(8, signal.SIGSTOP)]
    monkeypatch.setattr(processes.os, "geteuid", lambda: 1000)
    assert processes.of(["abc"]) == []


class Forward:
    """A `kubectl port-forward` that ends by itself, or only when it is killed."""

    def __init__(self, returncode=None):
        self.returncode, self.killed = returncode, asyncio.Event()

    def kill(self):
        self.killed.set()

    async def wait(self):
        if self.returncode is None:
            await self.killed.wait()


async def test_a_forward_is_started_again_when_its_pod_is_gone_and_ends_with_the_run(monkeypatch):
    left = [Forward(1), Forward(1), lasting := Forward()]
    begun = []

    async def begin(*command, **_how):
        begun.append(command)
        return left.pop(0)

    monkeypatch.setattr(forwards.asyncio, "create_subprocess_exec", begin)
    keeping = asyncio.create_task(forwards._keep("kubectl", "port-forward"))
    await asyncio.sleep(60)
    assert begun == [("kubectl", "port-forward")] * 3
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    assert lasting.killed.is_set()


async def test_a_pod_that_no_forward_reaches_is_named(monkeypatch):
    lasting = {"pod/postgres-0": Forward(), "pod/postgres-1": Forward()}
    reached = {}

    async def begin(*command, **_how):
        pod, ports = command[-2:]
        reached[int(ports.partition(":")[0])] = pod == "pod/postgres-0"
        return lasting[pod]

    async def connect(_host, port):
        if not reached.get(port):
            raise ConnectionRefusedError
        return None, SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(forwards.asyncio, "create_subprocess_exec", begin)
    monkeypatch.setattr(forwards.asyncio, "open_connection", connect)
    with pytest.raises(StackError, match="the pod postgres-1 is"):
        async with forwards.forwarded(PLACE, [("postgres-0", 5432), ("postgres-1", 5432)]):
            pytest.fail("one port does not listen")
    assert all(each.killed.is_set() for each in lasting.values())


def test_a_forward_ends_with_its_runner_where_the_machine_can_have_that(monkeypatch):
    monkeypatch.setattr(forwards.shutil, "which", lambda name: f"/bin/{name}")
    assert forwards._with_this_process() == ("/bin/setpriv", "--pdeathsig", "KILL", "--")
    monkeypatch.setattr(forwards.shutil, "which", lambda _: None)
    assert forwards._with_this_process() == ()


def test_events_are_read_in_a_pod_of_orders(monkeypatch):
    programs = []

    def run_in(name, *words, stdin, seconds):
        programs.append((name, words, stdin))
        if len(programs) == 1:
            raise ClusterError("the pod is gone")
        return "orders/1 1\norders/1 2\n? 0\n"

    monkeypatch.setattr(environment, "AGAIN_S", 0)
    monkeypatch.setattr(environment.pods, "run_in", run_in)
    monkeypatch.setattr(
        environment, "get", lambda *_: [pod("orders-a", "orders", is_ready=False), pod("orders-b", "orders")]
    )
    found = Cluster.published(None)
    assert (dict(found.versions), found.unreadable) == ({"orders/1": [1, 2]}, 1)
    assert programs[0][:2] == ("orders-b", ("python", "-", "published", "order_events"))
    assert programs[0][2] == Path(in_pod.__file__).read_text()


def test_kafka_that_is_not_read_is_said(monkeypatch):
    monkeypatch.setattr(environment, "AGAIN_S", 0)
    monkeypatch.setattr(environment, "get", lambda *_: [])
    with pytest.raises(NotRead, match="orders has no pod"):
        Cluster.topic_ends(None)


def test_an_edge_with_tls_only_is_refused(monkeypatch):
    monkeypatch.setenv("EDGE", "https://shop.example")
    with pytest.raises(StackError, match="need an edge without TLS"):
        environment._told(environment._edge)
