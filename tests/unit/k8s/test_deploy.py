"""The decisions of a deployment before it uses a cluster."""

from __future__ import annotations

import io
import json

import pytest

from images.catalogue import Image, MissingInput
from k8s import credentials, namespace, prune, ready, stages, undeploy
from k8s.deploy import deploy
from k8s.kubectl import ClusterError
from k8s.reasons import Reasons
from tests.support.clock import Clock


def workload(*, wanted=2, updated=2, ready=2, total=2, generation=3, observed=3):
    return {
        "metadata": {"name": "orders", "generation": generation},
        "spec": {"replicas": wanted},
        "status": {
            "updatedReplicas": updated, "readyReplicas": ready, "replicas": total, "observedGeneration": observed,
        },
    }  # fmt: skip


def test_a_rollout_is_complete_when_every_replica_is_updated_and_ready():
    assert stages._progress(workload(), 2) is None


@pytest.mark.parametrize(
    "status", [{"ready": 1}, {"updated": 1}, {"total": 3}, {"observed": 2}, {"wanted": 3}, {"updated": 0, "ready": 0}]
)
def test_a_rollout_is_incomplete_while_anything_is_missing(status):
    assert "orders" in stages._progress(workload(**status), 2)


def test_a_rollout_waits_for_the_autoscalers_minimum():
    assert "1 of 2" in stages._progress(workload(wanted=1, updated=1, ready=1, total=1), 2)


def test_clients_get_the_addresses_of_every_postgresql_member():
    found = credentials.addresses("secret", "other")
    assert found["DATABASE_URL"].count(":5432") == 3
    assert found["DATABASE_URL"].endswith("target_session_attrs=primary")
    assert ":other@" in found["REDIS_URL"]


def test_an_images_tag_is_a_hash_of_its_inputs(tmp_path):
    (tmp_path / "images/one").mkdir(parents=True)
    (tmp_path / "images/one/Dockerfile").write_text("FROM scratch")
    (tmp_path / "code/__pycache__").mkdir(parents=True)
    (tmp_path / "code/a.py").write_text("a = 1")
    image = Image("one", "one", ("code",))
    before = image.tag(tmp_path)
    (tmp_path / "code/__pycache__/a.pyc").write_bytes(b"compiled")
    assert image.tag(tmp_path) == before
    (tmp_path / "code/a.py").write_text("a = 2")
    assert image.tag(tmp_path) != before


def test_a_missing_input_is_named(tmp_path):
    (tmp_path / "images/one").mkdir(parents=True)
    with pytest.raises(MissingInput, match="elsewhere"):
        Image("one", "one", ("elsewhere",)).tag(tmp_path)


def pod(name="postgres-0", **status):
    return {"kind": "Pod", "metadata": {"name": name}, "status": status}


def waiting(reason, message=""):
    return pod(containerStatuses=[{"name": "app", "state": {"waiting": {"reason": reason, "message": message}}}])


UNSCHEDULABLE = {
    "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
    "message": "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
}  # fmt: skip
POSTGRES = {
    "kind": "StatefulSet", "metadata": {"name": "postgres", "uid": "u1"}, "spec": {"replicas": 3}, "status": {},
}  # fmt: skip


def failed_create(uid="u1"):
    return {
        "reason": "FailedCreate", "message": 'pods "postgres-0" is forbidden: violates PodSecurity "restricted"',
        "involvedObject": {"name": "postgres", "uid": uid}, "metadata": {"resourceVersion": "9"},
    }  # fmt: skip


@pytest.fixture
def clock():
    return Clock(0.0)


def test_what_keeps_a_pod_from_starting_is_reported(clock):
    reasons = Reasons("app=postgres", clock)
    found = reasons.of([pod(conditions=[UNSCHEDULABLE]), waiting("ImagePullBackOff", "no such\n image")], [], [])
    assert "postgres-0: Unschedulable: 0/1 nodes are available" in found
    assert "postgres-0 app: ImagePullBackOff: no such image" in found
    assert reasons.of([waiting("ContainerCreating"), pod()], [], []) == ""


def test_pods_that_may_not_be_created_are_reported_for_their_owner_and_soon_given_up(clock):
    reasons = Reasons("app=postgres", clock)
    assert "violates PodSecurity" in reasons.of([], [POSTGRES], [failed_create()])
    # Of an object of the same name that is gone, or one that has all its pods by now.
    assert Reasons("x", clock).of([], [POSTGRES], [failed_create(uid="earlier")]) == ""
    assert Reasons("x", clock).of([], [POSTGRES | {"status": {"replicas": 3}}], [failed_create()]) == ""
    clock.now = 30
    with pytest.raises(ClusterError, match="does not pass by itself: postgres: FailedCreate"):
        reasons.of([], [POSTGRES], [failed_create()])


def test_what_may_pass_by_itself_is_waited_for(clock):
    reasons = Reasons("app=postgres", clock)
    for clock.now in (0, 100, 250):
        assert reasons.of([pod(conditions=[UNSCHEDULABLE])], [], [])


def test_events_of_an_earlier_deployment_are_not_this_ones(monkeypatch, clock):
    lists = {"pods": [], "statefulsets,replicasets,jobs": [POSTGRES], "events": [failed_create()]}
    monkeypatch.setattr("k8s.reasons.get", lambda kind, *_: lists[kind])
    reasons = Reasons("app=postgres", clock)
    assert reasons.now() == ""
    lists["events"] = [failed_create() | {"metadata": {"resourceVersion": "10"}}]
    assert "PodSecurity" in reasons.now()


def test_waiting_reports_what_is_missing_and_why(monkeypatch):
    monkeypatch.setattr("k8s.stages.Reasons", lambda _: type("Known", (), {"now": lambda self: "no CPU"})())
    assert stages._with_reasons(lambda: "kafka 0 of 3 ready", "store")() == "kafka 0 of 3 ready: no CPU"
    assert stages._with_reasons(lambda: None, "store")() is None


def named(kind, name, **more):
    return {"kind": kind, "metadata": {"name": name}, **more}


def test_what_the_manifests_no_longer_have_is_pruned_except_what_an_earlier_revision_needs():
    there = [named("ConfigMap", name) for name in ("orders-new", "orders-old", "orders-older")]
    there += [named("Deployment", "orders"), named("NetworkPolicy", "api-server"), named("StatefulSet", "redis")]
    container = {"envFrom": [{"configMapRef": {"name": "orders-old"}}, {"secretRef": {"name": "x"}}]}
    replica_sets = [named("ReplicaSet", "r", spec={"template": {"spec": {"containers": [container]}}})]
    found = prune.left_over([("ConfigMap", "orders-new"), ("Deployment", "orders")], there, replica_sets)
    assert found == [("ConfigMap", "orders-older"), ("StatefulSet", "redis")]


def test_pruning_names_a_store_and_leaves_it(monkeypatch, tmp_path):
    ran, lines = [], []
    monkeypatch.setattr(prune, "superfluous", lambda _: [("ConfigMap", "old"), ("StatefulSet", "redis")])
    monkeypatch.setattr(prune, "kubectl", lambda *arguments: ran.append(arguments))
    prune.prune(tmp_path, say=lines.append)
    assert [each[:2] for each in ran] == [("delete", "ConfigMap/old")]
    assert "left: StatefulSet redis" in lines[1]


ENFORCE = "pod-security.kubernetes.io/enforce"


def test_a_namespace_is_restricted_last_and_never_loosened_meanwhile():
    wanted = {"metadata": {"labels": {"istio-injection": "enabled", ENFORCE: "restricted"}}}
    first = namespace.without_new_limits(wanted, {})
    assert first["metadata"]["labels"] == {"istio-injection": "enabled"}
    assert ENFORCE in namespace.without_new_limits(wanted, {ENFORCE: "restricted"})["metadata"]["labels"]
    # Now `baseline`, to become stricter in the end.
    kept = namespace.without_new_limits(wanted, {ENFORCE: "baseline"})
    assert kept["metadata"]["labels"][ENFORCE] == "baseline"


@pytest.mark.parametrize("given", ["", "yes", "shop/another"])
def test_all_orders_are_deleted_only_on_request(monkeypatch, given):
    monkeypatch.setenv("CONFIRM", given)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(ClusterError, match="CONFIRM=shop/mine"):
        undeploy.confirm("shop/mine")


def test_what_is_confirmed_is_deleted(monkeypatch):
    monkeypatch.setenv("CONFIRM", "shop/mine")
    undeploy.confirm("shop/mine")


def test_a_customer_is_asked_for_before_anything_is_built(monkeypatch):
    monkeypatch.delenv("TOKEN", raising=False)
    monkeypatch.setattr(ready, "exists", lambda *_: False)
    monkeypatch.setattr(ready, "kubectl", lambda *_: "kind: Deployment\nmetadata:\n  name: orders\n")
    with pytest.raises(ClusterError, match="TOKEN"):
        ready.need_customer("production")
    monkeypatch.setattr(ready, "kubectl", lambda *_: "metadata:\n  name: issuer\n")
    ready.need_customer("one-node")


def test_migrations_are_checked_as_the_new_jobs_that_they_become(monkeypatch):
    """Those of the deployment before are deleted first; the server would refuse their new images."""
    calls = []
    jobs = [{"kind": "Job", "metadata": {"name": "orders-migrate", "labels": {"stage": "migration"}}}]
    others = [{"kind": "Service", "metadata": {"name": "orders"}}]
    monkeypatch.setattr(stages, "documents", lambda _: [*jobs, *others])
    monkeypatch.setattr(stages, "kubectl", lambda *words, stdin=None: calls.append((words, stdin)))
    stages.dry_run("manifests.yaml")
    [(applied, _), (created, sent)] = calls
    assert "stage!=migration" in applied
    assert "--dry-run=server" in applied
    assert created[:2] == ("create", "--dry-run=server")
    assert [each["metadata"]["name"] for each in json.loads(sent)["items"]] == ["orders-migrate-checked"]


def test_nothing_that_runs_is_changed_before_the_server_has_taken_everything(monkeypatch):
    steps = []

    def step(name):
        return lambda *_, **__: steps.append(name)

    monkeypatch.setattr("k8s.deploy.render.manifests", lambda _: "manifests")
    monkeypatch.setattr("k8s.deploy.ready.need_istio", step("istio"))
    for module, name in [
        ("namespace", "first"), ("namespace", "last"), ("credentials", "keep"), ("api_server", "allow"),
        ("stages", "apply"), ("stages", "stores"), ("stages", "migrations"), ("stages", "services"),
        ("prune", "prune"), ("edge", "address"), ("edge", "token"),
    ]:  # fmt: skip
        monkeypatch.setattr(f"k8s.deploy.{module}.{name}", step(f"{module}.{name}"))

    def refuse(_):
        raise ClusterError("updates to statefulset spec are forbidden")

    monkeypatch.setattr("k8s.deploy.stages.dry_run", refuse)
    with pytest.raises(ClusterError, match="forbidden"):
        deploy("production")
    assert steps == ["istio", "namespace.first"]
    steps.clear()
    monkeypatch.setattr("k8s.deploy.stages.dry_run", step("dry run"))
    monkeypatch.setattr("k8s.deploy.edge.place", lambda *_, **__: {"name": "orders/1", "state": "CONFIRMED"})
    monkeypatch.setattr("k8s.deploy._pods", lambda: 3)
    deploy("production")
    assert steps.index("dry run") == 2
    assert steps.index("namespace.last") > steps.index("stages.services")
