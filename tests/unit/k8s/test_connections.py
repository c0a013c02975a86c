"""PostgreSQL's max_connections covers as many replicas as an autoscaler may start, also during a rollout."""

from __future__ import annotations

import math

import pytest

from orders_svc.settings import Settings
from stores import files
from tests.support.manifests import named, rendered
from tests.unit.k8s.test_manifests import OVERLAYS, of_kind

# A terminating pod keeps its connections until it ends; the rollout continues when its successor is ready.
READY_S = 9
# Other connections: Patroni's own on the leader, three reserved for superusers, a migration, an operator's session,
# and one `reconcile` or `redrive` by hand, with a pool like a replica's.
PATRONI, SUPERUSERS, MIGRATION, OPERATOR = 4, 3, 2, 2
# The exporter's, by its role's limit in stores/monitor.sql.
EXPORTER = 3


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_connections_suffice_for_every_replica_that_may_exist_at_once(overlay):
    objects = rendered(overlay)
    orders = named(objects, "Deployment", "orders")
    scaler = named(objects, "HorizontalPodAutoscaler", "orders")
    surge = orders["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    assert isinstance(surge, int), "a share of the replicas would have to be worked out"
    leaving = math.ceil(orders["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] / READY_S)
    replicas = scaler["spec"]["maxReplicas"] + surge + leaving
    pool = connections_of_a_replica(objects)
    reserve = PATRONI + SUPERUSERS + MIGRATION + OPERATOR + EXPORTER + pool
    assert replicas * pool + reserve <= files.postgresql()["max_connections"]


def connections_of_a_replica(objects):
    """
    Return the most connections that a pod opens: the setting's default, unless a ConfigMap of orders overrides it.
    """
    maps = [each["data"] for each in of_kind(objects, "ConfigMap") if each["metadata"]["name"].startswith("orders")]
    set_here = [int(each["DATABASE_CONNECTIONS"]) for each in maps if "DATABASE_CONNECTIONS" in each]
    return max(set_here, default=Settings.model_fields["database_connections"].default)
