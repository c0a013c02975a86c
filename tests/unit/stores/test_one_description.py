"""Every place that starts a store uses the same settings, with other addresses and sizes."""

import dataclasses
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from images.catalogue import CHECKOUT, STORES
from stack.settings import HA, Settings
from stack.topology import configuration
from stack.topology.passwords import Passwords
from stack.topology.plan import Plan, Programs
from stores import files

# Settings of addresses and cluster size; all others must be the same.
KAFKA_PLACES = {"node.id", "controller.quorum.voters", "listeners", "advertised.listeners", "log.dirs"}
KAFKA_SIZES = {
    "default.replication.factor",
    "min.insync.replicas",
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
    "transaction.state.log.min.isr",
    "share.coordinator.state.topic.replication.factor",
    "share.coordinator.state.topic.min.isr",
}
REDIS_PLACES = {"bind", "port", "dir", "requirepass", "user"}
PATRONI_PLACES = {
    "name", "etcd3", "restapi.listen", "restapi.connect_address", "restapi.authentication",
    "bootstrap.post_bootstrap", "postgresql.listen", "postgresql.connect_address", "postgresql.authentication",
    "postgresql.bin_dir", "postgresql.data_dir", "postgresql.pgpass",
    # One machine has a folder for backups; the images have no archive.
    "postgresql.parameters.archive_mode", "postgresql.parameters.archive_timeout",
    "postgresql.parameters.archive_command",
}  # fmt: skip


@pytest.fixture
def plan(tmp_path):
    passwords = Passwords(**dict.fromkeys((field.name for field in dataclasses.fields(Passwords)), "p"))
    names = (field.name for field in dataclasses.fields(Programs))
    programs = Programs(**dict.fromkeys(names, tmp_path) | {"postgres_user": "postgres"})
    settings = Settings(checkout=CHECKOUT, state=tmp_path / "state", tools=tmp_path / "tools", network=77)
    return Plan(settings=settings, passwords=passwords, programs=programs)


def lines(text, separator):
    """Return the settings of a properties file, by name."""
    kept = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {name: value for name, _, value in (line.partition(separator) for line in kept)}


def script(tmp_path, image, program, *, shows, **environment):
    """Run an image's start script with a fake of *program*, and return its arguments."""
    folder = tmp_path / image
    folder.mkdir()
    [dockerfile] = [(CHECKOUT / each.dockerfile).read_text() for each in STORES if each.name == image]
    for name in re.search(r"^COPY ((?:stores|images|stack)/.*) /\S+/$", dockerfile, re.MULTILINE)[1].split():
        shutil.copy(CHECKOUT / name, folder)
    stand_in = folder / "bin" / program
    stand_in.parent.mkdir()
    stand_in.write_text(f"#!/bin/sh\n{shows}\n")
    stand_in.chmod(0o755)
    paths = {"PATH": f"{stand_in.parent}:{os.environ['PATH']}", "TMPDIR": str(folder)}
    done = subprocess.run(
        [folder / "start.sh"], env=paths | environment, capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout


def kafka_of_image(tmp_path, **environment):
    shown = script(
        tmp_path, "kafka", "java", shows='[ "$TMPDIR" ]; case "$*" in *StorageTool*) ;; *) cat "$TMPDIR"/*ties;; esac',
        CLUSTER_ID="id", HEAP="1m", HOST="kafka", **environment,
    )  # fmt: skip
    return lines(shown, "=")


def without(settings, places):
    return {name: value for name, value in settings.items() if name not in places}


def test_kafka_settings_are_the_same_on_one_machine_and_in_its_image(plan, tmp_path):
    alone = lines(configuration.kafka(plan, 0), "=")
    image = kafka_of_image(tmp_path, NODES="1")
    assert without(alone, KAFKA_PLACES) == without(image, KAFKA_PLACES)
    assert KAFKA_PLACES | KAFKA_SIZES <= set(alone) == set(image)


def test_three_brokers_differ_in_replication_and_addresses_only(plan, tmp_path):
    alone = lines(configuration.kafka(plan, 0), "=")
    three = kafka_of_image(tmp_path, NODES="3", NODE_ID="2", DOMAIN="kafka.shop")
    assert without(alone, KAFKA_PLACES | KAFKA_SIZES) == without(three, KAFKA_PLACES | KAFKA_SIZES)
    assert {three[name] for name in KAFKA_SIZES if name.endswith("factor")} == {"3"}
    assert {three[name] for name in KAFKA_SIZES if not name.endswith("factor")} == {"2"}
    assert "$" not in "".join(three.values())


def test_three_brokers_have_the_same_settings_on_one_machine_and_in_their_image(plan, tmp_path):
    ha = dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, profile=HA))
    alone = lines(configuration.kafka(ha, 1), "=")
    three = kafka_of_image(tmp_path, NODES="3", NODE_ID="2", DOMAIN="kafka.shop")
    assert without(alone, KAFKA_PLACES) == without(three, KAFKA_PLACES)
    assert alone["node.id"] == three["node.id"]


def test_redis_settings_are_the_same_on_one_machine_and_in_its_image(plan, tmp_path):
    alone = lines(configuration.redis(plan), " ")
    started = lines(script(tmp_path, "redis", "redis-server", shows="cat", REDIS_PASSWORD="p"), " ")
    assert started.pop("include") == "/etc/shop/redis.conf"
    image = lines(files.redis(), " ") | started
    assert without(alone, REDIS_PLACES) == without(image, REDIS_PLACES)
    assert {alone["appendfsync"], alone["maxmemory-policy"]} == {"always", "noeviction"}


def test_the_exporters_account_of_redis_has_the_same_rights_everywhere(plan, tmp_path):
    """It can neither read a key nor the configuration, in which the other password is."""
    account = account_in_image(tmp_path, files.MONITOR, MONITOR_PASSWORD="p")
    assert account in configuration.redis(plan).splitlines()
    assert " -@all " in account
    assert {"~*", "+config|get", "+slowlog|get"}.isdisjoint(account.split())


def test_the_services_account_of_redis_has_the_same_rights_everywhere(plan, tmp_path):
    account = account_in_image(tmp_path, "default")
    assert account in configuration.redis(plan).splitlines()
    assert account.endswith(files.redis_rights())


def test_only_who_administers_redis_may_do_everything(plan, tmp_path):
    account = account_in_image(tmp_path, files.ADMINISTRATOR, ADMIN_PASSWORD="p")
    assert account in configuration.redis(plan).splitlines()
    assert [each for each in configuration.redis(plan).splitlines() if "+@all" in each] == [account]


def account_in_image(tmp_path, user, **environment):
    started = script(tmp_path, "redis", "redis-server", shows="cat", REDIS_PASSWORD="p", **environment)
    [account] = [line for line in started.splitlines() if line.startswith(f"user {user} ")]
    return account


@pytest.mark.parametrize(
    ("store", "options"), [("postgres", files.POSTGRES_EXPORTER), ("common/redis", files.REDIS_EXPORTER)]
)
def test_the_exporters_have_the_same_options_on_kubernetes(store, options):
    documents = yaml.safe_load_all((CHECKOUT / "k8s/stores" / f"{store}.yaml").read_text())
    [pod] = [each["spec"]["template"]["spec"] for each in documents if each["kind"] == "StatefulSet"]
    [exporter] = [each for each in pod["containers"] if each["name"] == "metrics"]
    assert set(options) <= set(exporter["command"])
    assert exporter["image"] == f"shop/{Path(store).name}"


def test_the_alert_knows_how_many_clients_redis_takes():
    rules = (CHECKOUT / "monitoring/rules/stores.yml").read_text()
    assert f"(redis_connected_clients) / {lines(files.redis(), ' ')['maxclients']} >" in rules


def test_patroni_settings_are_the_same_on_one_machine_and_in_its_image(plan):
    shared = flat(files.patroni())
    alone = flat(yaml.safe_load(configuration.patroni(plan, 0)))
    own = flat(yaml.safe_load((CHECKOUT / "images/postgres/image.yml").read_text()))
    assert without(alone, PATRONI_PLACES) == shared
    assert own.keys() <= PATRONI_PLACES


def flat(settings, prefix=""):
    """Return settings by dotted names; address settings are kept whole."""
    result = {}
    for name, value in settings.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict) and path not in PATRONI_PLACES:
            result |= flat(value, f"{path}.")
        else:
            result[path] = value
    return result


@pytest.mark.parametrize("file", ["compose.yaml", "k8s/stores/postgres.yaml"])
def test_patroni_variables_set_only_names_addresses_and_passwords(file):
    allowed = r"NAME|KUBERNETES_\w+|ETCD3_HOSTS|\w+_CONNECT_ADDRESS|\w+_USERNAME|\w+_PASSWORD"
    set_here = set(re.findall(r"\bPATRONI_(\w+)", (CHECKOUT / file).read_text()))
    assert [each for each in set_here if not re.fullmatch(allowed, each)] == ["PASSWORD"][: file == "compose.yaml"]


@pytest.mark.parametrize("store", ["kafka", "postgresql", "redis"])
def test_test_servers_use_the_same_files(store):
    text = (CHECKOUT / "tests/support" / f"{store.removesuffix('ql')}_server.py").read_text()
    assert f"files.{store}(" in text
    assert "process.roles" not in text


def test_a_leader_in_failsafe_mode_asks_members_before_its_lease_ends():
    agreed = files.patroni()["bootstrap"]["dcs"]
    assert agreed["failsafe_mode"] is True
    assert agreed["ttl"] >= agreed["loop_wait"] + 2 * agreed["retry_timeout"]


def test_a_silent_replica_delays_commits_by_five_seconds_at_most():
    parameters = files.postgresql()
    assert {parameters[name] for name in ("wal_sender_timeout", "wal_receiver_timeout", "tcp_user_timeout")} == {"5s"}


def test_a_new_leader_has_the_wal_that_the_rewound_one_needs():
    """All since the last checkpoint before its election, and what is written until the member is back."""
    parameters = files.postgresql()
    assert megabytes(parameters["wal_keep_size"]) >= 2 * megabytes(parameters["max_wal_size"])


def megabytes(size):
    return int(size[:-2]) * {"MB": 1, "GB": 1024}[size[-2:]]
