"""The decisions of a deployment before it uses a cluster."""

from __future__ import annotations

import pytest

from images.catalogue import Image, MissingInput
from k8s import credentials, stages


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
