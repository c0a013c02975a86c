"""k8s/operators: the stores' settings and the services' topics, as the operators' resources have them."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from images.catalogue import CHECKOUT
from inventory_svc import migrations as of_inventory
from inventory_svc.settings import Settings as InventorySettings
from k8s import stages
from orders_svc import migrations as of_orders
from orders_svc.settings import Settings as OrdersSettings
from runtime.messaging.topics import Topic
from stores import files
from tests.support.manifests import rendered

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    return rendered("operators")


def one(objects, kind):
    [found] = [each for each in objects if each["kind"] == kind]
    return found


def texts(settings):
    return {key: str(value) for key, value in settings.items()}


def test_redis_stays_and_nothing_else_of_our_own_stores(objects):
    assert [each["metadata"]["name"] for each in objects if each["kind"] == "StatefulSet"] == ["redis"]


def test_a_commit_is_on_two_instances_and_only_one_that_has_it_is_promoted(objects):
    synchronous = one(objects, "Cluster")["spec"]["postgresql"]["synchronous"]
    assert synchronous == {"method": "any", "number": 1, "dataDurability": "required", "failoverQuorum": True}


def test_postgresql_has_the_parameters_of_our_own(objects):
    here = one(objects, "Cluster")["spec"]["postgresql"]["parameters"]
    # The operator sets synchronous_commit's default and the sockets; its instances have more memory.
    other = {"shared_buffers", "synchronous_commit", "unix_socket_directories"}
    own = {key: str(value) for key, value in files.postgresql().items() if key not in other}
    assert {key: value for key, value in here.items() if key not in other} == own


def test_kafka_has_the_settings_of_our_own(objects):
    here = one(objects, "Kafka")["spec"]["kafka"]["config"]
    lines = (files.FOLDER / "kafka.properties").read_text().splitlines()
    own = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    placed = ("process.", "node.", "controller.", "listener", "advertised.", "inter.broker.", "log.dirs")
    own = {key: value for key, value in own.items() if not key.startswith(placed)}
    sizes = {"${copies}": "3", "${in_sync}": "2"}
    assert {key: str(yaml.safe_dump(value)).split("\n")[0] for key, value in here.items()} == {
        key: sizes.get(value, value) for key, value in own.items()
    }


def test_the_topics_are_those_that_the_services_create(objects, monkeypatch):
    created: list[Topic] = []
    for module in (of_orders, of_inventory):
        monkeypatch.setattr(module, "ensure_topics", lambda _, topics: created.extend(topics) or set())
    monkeypatch.setattr(of_orders, "apply_migrations", lambda *_: None)
    monkeypatch.setattr(of_inventory, "run", lambda _: None)
    orders = OrdersSettings.model_construct(database_url=SecretStr("postgresql://x"), kafka_brokers="kafka:9092")
    of_orders.migrate(orders)
    of_inventory.migrate(InventorySettings.model_construct(kafka_brokers="kafka:9092"))
    here = {each["spec"]["topicName"]: each["spec"] for each in objects if each["kind"] == "KafkaTopic"}
    assert {name: (spec["partitions"], texts(spec["config"])) for name, spec in here.items()} == {
        each.name: (each.partitions, each.configuration()) for each in created
    }
    assert {spec["replicas"] for spec in here.values()} == {3}


def test_each_services_user_has_the_rights_that_it_needs_and_no_more(objects):
    access = yaml.safe_load((files.FOLDER / "access.yaml").read_text())["kafka"]
    users = {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "KafkaUser"}
    for service, rights in access.items():
        wanted = {
            (kind, name.removesuffix("*"), "prefix" if name.endswith("*") else "literal"): sorted(operations)
            for kind in ("topic", "group")
            for name, operations in rights[f"{kind}s"].items()
        }
        acls = users[f"kafka-{service}"]["authorization"]["acls"]
        resources = [each["resource"] for each in acls]
        keys = [(each["type"], each["name"], each["patternType"]) for each in resources]
        assert dict(zip(keys, (sorted(each["operations"]) for each in acls), strict=True)) == wanted


def test_nobody_reaches_kafka_without_tls_and_a_user(objects):
    kafka = one(objects, "Kafka")["spec"]["kafka"]
    assert all(each["tls"] and each["authentication"] for each in kafka["listeners"])
    assert kafka["authorization"] == {"type": "simple"}
    [port] = [each["port"] for each in kafka["listeners"]]
    for each in objects:
        name = each["metadata"]["name"].removesuffix("-migrate")
        if each["kind"] not in ("Deployment", "Job") or name not in ("orders", "inventory"):
            continue
        pod = each["spec"]["template"]
        [app] = pod["spec"]["containers"]
        variables = {one["name"]: one.get("value") for one in app["env"]}
        assert variables["KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL"
        assert variables["KAFKA_USERNAME"] == f"kafka-{name}"
        mounted = {one["mountPath"]: one["name"] for one in app["volumeMounts"]}
        volumes = {one["name"]: one for one in pod["spec"]["volumes"]}
        assert volumes[mounted["/etc/kafka-user"]]["secret"]["secretName"] == f"kafka-{name}"
        assert {"/tmp", "/etc/kafka-ca"} <= mounted.keys()
        excluded = pod["metadata"].get("annotations", {}).get("traffic.sidecar.istio.io/excludeOutboundPorts")
        assert each["kind"] == "Job" or str(port) in excluded.split(",")
    addresses = (CHECKOUT / "k8s/operators/example.env").read_text()
    assert f"KAFKA_BROKERS=kafka-kafka-bootstrap.shop.svc.cluster.local:{port}" in addresses


def test_no_topic_is_pruned_with_its_messages(objects):
    for each in objects:
        if each["kind"] == "KafkaTopic":
            annotations = each["metadata"]["annotations"]
            assert annotations["argocd.argoproj.io/sync-options"] == "Prune=false"
            assert annotations["kustomize.toolkit.fluxcd.io/prune"] == "disabled"


def cluster(*conditions, generation=2, observed=None):
    status = {"conditions": list(conditions)} | ({} if observed is None else {"observedGeneration": observed})
    return {"kind": "Kafka", "metadata": {"name": "kafka", "generation": generation}, "status": status}


def test_a_deployment_waits_until_the_operator_says_ready_of_this_generation():
    ready = {"type": "Ready", "status": "True"}
    assert stages.not_ready([cluster(ready), cluster(ready, observed=2)]) is None
    assert stages.not_ready([cluster(ready, observed=1)]) == "Kafka kafka is not ready"
    assert stages.not_ready([cluster()]) == "Kafka kafka is not ready"
    failed = {"type": "Ready", "status": "False", "message": "no volume"}
    assert stages.not_ready([cluster(failed)]) == "Kafka kafka is not ready: no volume"
