"""The overlays as kubectl renders them."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
import yaml
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2 as _mutation
from envoy.extensions.resource_monitors.downstream_connections.v3 import downstream_connections_pb2 as _connections
from envoy.extensions.resource_monitors.fixed_heap.v3 import fixed_heap_pb2
from google.protobuf.json_format import ParseDict

from images.catalogue import CHECKOUT
from k8s import api_server
from k8s.kubectl import ClusterError
from stores import hand_over
from tests.support.manifests import named, rendered
from translator.config.bootstrap import GATEWAY_RUNTIME, RELEASED_BYTES, overload_manager
from translator.config.envoyfilter.value import parse_value

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
OVERLAYS = ("one-node", "production")
# Workloads that nobody calls; one pod of them is enough.
SERVE_NOBODY = {"prober"}
KNOWN = (_connections, _mutation)


@pytest.fixture(scope="module", params=OVERLAYS)
def objects(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return rendered(request.param)


def of_kind(objects, *kinds):
    return [each for each in objects if each["kind"] in kinds]


def containers(objects):
    for each in of_kind(objects, "Deployment", "StatefulSet", "Job"):
        pod = each["spec"]["template"]["spec"]
        for container in pod["containers"]:
            yield each["metadata"]["name"], pod, container


def test_every_object_has_a_stage_of_the_deployment(objects):
    stages = {"namespace", "foundation", "mesh", "store", "migration", "service"}
    assert {each["metadata"]["labels"]["stage"] for each in objects} == stages


def test_every_container_is_restricted(objects):
    for name, pod, container in containers(objects):
        limits = container["securityContext"]
        assert limits["readOnlyRootFilesystem"] is True, name
        assert limits["allowPrivilegeEscalation"] is False, name
        assert limits["capabilities"] == {"drop": ["ALL"]}, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name


def test_every_container_has_requests_and_a_memory_limit(objects):
    for name, _, container in containers(objects):
        assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
        assert "memory" in container["resources"]["limits"], name


def test_a_full_disk_of_a_node_is_nobody_elses_fault(objects):
    for name, pod, container in containers(objects):
        if container["name"] == "app":
            assert "ephemeral-storage" in container["resources"]["requests"], name
            assert "ephemeral-storage" in container["resources"]["limits"], name
        for volume in pod.get("volumes", ()):
            assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": ""}), name


def test_copies_are_spread_over_nodes_and_zones(objects):
    for each in of_kind(objects, "Deployment", "StatefulSet"):
        name, spread = each["metadata"]["name"], each["spec"]["template"]["spec"].get("topologySpreadConstraints", ())
        if each["spec"].get("replicas") == 1:
            continue
        assert {one["topologyKey"] for one in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}, name


def test_a_broker_has_the_time_to_read_its_log_after_a_crash(objects):
    kafka = named(objects, "StatefulSet", "kafka")
    probe = kafka["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 30 * 60


def test_the_component_of_priorities_puts_stores_before_services():
    objects = rendered("options")
    values = {each["metadata"]["name"]: each["value"] for each in of_kind(objects, "PriorityClass")}
    for each in of_kind(objects, "Deployment", "StatefulSet"):
        wanted = "shop-stores" if each["kind"] == "StatefulSet" else "shop-services"
        assert each["spec"]["template"]["spec"]["priorityClassName"] == wanted
    assert 0 < values["shop-services"] < values["shop-stores"] <= 10**9


def test_services_are_probed_over_grpc_and_liveness_ignores_dependencies(objects):
    for each in of_kind(objects, "Deployment"):
        if each["metadata"]["name"] in ("orders", "inventory"):
            [app] = each["spec"]["template"]["spec"]["containers"]
            assert app["livenessProbe"]["grpc"] == {"port": 50051, "service": "live"}
            assert app["startupProbe"]["grpc"] == {"port": 50051, "service": "live"}
            assert app["readinessProbe"]["grpc"] == {"port": 50051}


def test_rollouts_have_max_unavailable_0(objects):
    for each in of_kind(objects, "Deployment"):
        if each["metadata"]["name"] in SERVE_NOBODY:
            continue
        assert each["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        [container] = each["spec"]["template"]["spec"]["containers"]
        assert container["lifecycle"]["preStop"]["sleep"]["seconds"] > 0


def test_every_workload_has_a_disruption_budget_and_at_least_two_replicas(objects):
    budgets = {each["spec"]["selector"]["matchLabels"]["app"] for each in of_kind(objects, "PodDisruptionBudget")}
    workloads = {each["metadata"]["name"] for each in of_kind(objects, "Deployment", "StatefulSet")}
    assert budgets == workloads - SERVE_NOBODY
    least = {
        each["metadata"]["name"]: each["spec"]["minReplicas"] for each in of_kind(objects, "HorizontalPodAutoscaler")
    }
    for each in of_kind(objects, "Deployment"):
        name = each["metadata"]["name"]
        if name in SERVE_NOBODY:
            continue
        assert least.get(name) or each["spec"]["replicas"] >= 2, name
        assert least.get(name, 2) >= 2, name


def test_network_policies_deny_by_default(objects):
    policies = of_kind(objects, "NetworkPolicy")
    [default] = [
        each
        for each in policies
        if each["spec"]["podSelector"] == {} and "ingress" not in each["spec"] and "egress" not in each["spec"]
    ]
    assert default["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_the_members_of_postgresql_reach_each_others_patroni(objects):
    """A leader without an API server asks them before it continues."""
    policy = named(objects, "NetworkPolicy", "postgres")
    members = {"podSelector": {"matchLabels": {"app": "postgres"}}}
    for rules, peers in ((policy["spec"]["ingress"], "from"), (policy["spec"]["egress"], "to")):
        assert any(members in rule.get(peers, []) and {"port": 8008} in rule["ports"] for rule in rules), peers


def test_a_leader_of_postgresql_has_the_time_to_hand_over_before_it_is_stopped(objects):
    postgres = named(objects, "StatefulSet", "postgres")
    pod = postgres["spec"]["template"]["spec"]
    [container] = [each for each in pod["containers"] if each["name"] == "app"]
    assert "hand_over.py" in " ".join(container["lifecycle"]["preStop"]["exec"]["command"])
    assert pod["terminationGracePeriodSeconds"] >= 2 * hand_over.LIMIT_S


def test_egress_is_limited_for_every_pod(objects):
    for each in of_kind(objects, "NetworkPolicy"):
        for rule in each["spec"].get("egress") or ():
            assert rule.get("to"), f"{each['metadata']['name']}: a rule without `to` is the whole internet"


# The edge's account exists for Istio's checks; its pods have no token of it.
READ_ONLY = {("pages", "virtualservices"), ("edge", "secrets"), ("prometheus", "pods")}
OWN = {("postgres", "configmaps"), ("postgres", "pods")}


def rights(objects):
    """Return the permissions: role, resource, verbs, and the resource names they are limited to."""
    for role in of_kind(objects, "Role"):
        for rule in role["rules"]:
            for resource in rule["resources"]:
                yield role["metadata"]["name"], resource, set(rule["verbs"]), rule.get("resourceNames", [])


def test_no_service_account_can_escalate_its_privileges(objects):
    writing = {"update", "patch", "delete", "deletecollection"}
    assert not of_kind(objects, "ClusterRole", "ClusterRoleBinding")
    for role, resource, verbs, names in rights(objects):
        # Writing routes sets headers and so impersonates any caller; writing pods runs any code.
        if (role, resource) in READ_ONLY:
            assert verbs == {"list"}, f"{role} may {verbs} {resource}"
            continue
        assert (role, resource) in OWN, f"{role}: {resource}"
        assert not writing & verbs or names, f"{role} may {verbs} any of {resource}"
        assert "create" not in verbs or resource == "configmaps", f"{role} may create {resource}"


def test_the_pods_that_postgresql_may_label_are_its_own(objects):
    members = named(objects, "StatefulSet", "postgres")
    own = [f"postgres-{number}" for number in range(members["spec"]["replicas"])]
    narrowed = [names for role, kind, _, names in rights(objects) if (role, kind) == ("postgres", "pods") and names]
    assert narrowed == [own]


def test_only_pods_that_use_the_api_server_have_a_token(objects):
    accounts = {each["metadata"]["name"]: each for each in of_kind(objects, "ServiceAccount")}
    for each in of_kind(objects, "Deployment", "StatefulSet", "Job"):
        account = each["spec"]["template"]["spec"]["serviceAccountName"]
        if account not in api_server.ASKING:
            assert accounts[account].get("automountServiceAccountToken") is False, account


def test_the_api_server_is_one_place():
    made = api_server.policy(["10.0.0.7", "10.96.0.1", "fd00::1"], [6443, 443])
    [rule] = made["spec"]["egress"]
    assert [each["ipBlock"]["cidr"] for each in rule["to"]] == ["10.0.0.7/32", "10.96.0.1/32", "fd00::1/128"]
    with pytest.raises(ClusterError):
        api_server.policy([], [443])


def test_no_secret_is_in_the_manifests(objects):
    assert of_kind(objects, "Secret") == []


def test_postgresqls_role_has_only_what_patroni_needs(objects):
    role = named(objects, "Role", "postgres")
    assert {resource for rule in role["rules"] for resource in rule["resources"]} == {"configmaps", "pods"}


def test_every_mesh_rule_is_deployed(objects):
    listed = set(yaml.safe_load((CHECKOUT / "istio/kustomization.yaml").read_text())["resources"])
    there = {path.name for path in (CHECKOUT / "istio").glob("*.yaml")} - {"kustomization.yaml"}
    assert listed == there


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_development_issuer_is_isolated_and_never_in_production(overlay):
    objects = rendered(overlay)
    found = [each for each in objects if each["metadata"]["name"].startswith("issuer")]
    if overlay == "production":
        assert found == []
        text = json.dumps(objects)
        assert "issuer.shop" not in text
        assert "/issuer/.well-known" not in text
    else:
        kinds = {"ServiceAccount", "Service", "StatefulSet", "PodDisruptionBudget", "NetworkPolicy", "VirtualService"}
        assert {each["kind"] for each in found} == kinds


def test_the_prober_is_a_customer_without_rights():
    objects = rendered("one-node")
    prober = named(objects, "Deployment", "prober")
    pod = prober["spec"]["template"]
    assert pod["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"
    assert pod["spec"]["automountServiceAccountToken"] is False
    # Two would cancel each other's orders.
    assert (prober["spec"]["replicas"], prober["spec"]["strategy"]) == (1, {"type": "Recreate"})
    assert "prober" not in {subject["name"] for each in of_kind(objects, "RoleBinding") for subject in each["subjects"]}
    policy = named(objects, "NetworkPolicy", "prober")
    reached = [peer["podSelector"]["matchLabels"]["app"] for rule in policy["spec"]["egress"] for peer in rule["to"]]
    assert reached == ["edge", "issuer"]


@pytest.fixture(scope="module")
def production() -> list[dict[str, Any]]:
    return rendered("production")


def test_production_accepts_tls_only(production):
    [gateway] = of_kind(production, "Gateway")
    assert {server["port"]["protocol"] for server in gateway["spec"]["servers"]} == {"HTTPS"}
    service = named(production, "Service", "edge")
    assert [(port["name"], port["port"], port["targetPort"]) for port in service["spec"]["ports"]] == [
        ("https", 443, 8443)
    ]
    policy = named(production, "NetworkPolicy", "edge")
    assert policy["spec"]["ingress"] == [{"ports": [{"port": 8443}]}]


def test_production_sends_hsts(production):
    [strict] = [each for each in of_kind(production, "EnvoyFilter") if "strict-transport" in each["metadata"]["name"]]
    [patch] = strict["spec"]["configPatches"]
    read = parse_value(patch["applyTo"], patch["patch"]["value"])
    assert b"strict-transport-security" in read.typed_config.value


def test_production_allows_no_localhost_origin(production):
    routes = [route for each in of_kind(production, "VirtualService") for route in each["spec"]["http"]]
    policies = [route["corsPolicy"] for route in routes if "corsPolicy" in route]
    assert policies
    for policy in policies:
        for origin in policy["allowOrigins"]:
            assert origin["exact"].startswith("https://")
            assert "localhost" not in origin["exact"]


def test_tokens_are_accepted_in_the_header_only(objects):
    [customers] = of_kind(objects, "RequestAuthentication")
    for rule in customers["spec"]["jwtRules"]:
        assert rule["fromHeaders"] == [{"name": "Authorization", "prefix": "Bearer "}]
        assert "fromParams" not in rule
        assert "fromCookies" not in rule


def test_edge_sheds_load_below_its_memory_limit(objects):
    config = named(objects, "ConfigMap", "edge-bootstrap")
    read = ParseDict(json.loads(config["data"]["custom_bootstrap.json"]), bootstrap_pb2.Bootstrap())
    edge = named(objects, "Deployment", "edge")
    template = edge["spec"]["template"]
    assert template["metadata"]["annotations"]["sidecar.istio.io/bootstrapOverride"] == "edge-bootstrap"
    limit = template["spec"]["containers"][0]["resources"]["limits"]["memory"]
    heap = fixed_heap_pb2.FixedHeapConfig()
    # The connection monitor is in Istio's own bootstrap, which this is merged into; a second one of that name prevents
    # Envoy's start.
    [monitor] = read.overload_manager.resource_monitors
    monitor.typed_config.Unpack(heap)
    assert heap.max_heap_size_bytes <= int(limit.removesuffix("Mi")) * 1024 * 1024 * 0.75
    proxy = yaml.safe_load(template["metadata"]["annotations"]["proxy.istio.io/config"])
    connections = _connections.DownstreamConnectionsConfig()
    assert any(each.typed_config.Unpack(connections) for each in overload_manager().resource_monitors)
    allowed = int(proxy["proxyMetadata"]["ISTIO_META_GLOBAL_DOWNSTREAM_MAX_CONNECTIONS"])
    assert allowed == connections.max_active_downstream_connections
    assert proxy["runtimeValues"] == {name: str(value) for name, value in GATEWAY_RUNTIME.items()}
    assert read.memory_allocator_manager.bytes_to_release == RELEASED_BYTES
    assert {action.name for action in read.overload_manager.actions} == {
        action.name for action in overload_manager().actions
    }


@pytest.mark.parametrize("service", ["orders", "inventory"])
def test_managed_stores_give_a_service_and_its_migration_their_settings_and_files(service):
    found = {name: (pod, container) for name, pod, container in containers(rendered("managed stores"))}
    for name in (service, f"{service}-migrate"):
        pod, container = found[name]
        assert {"secretRef": {"name": f"{service}-stores", "optional": True}} in container["envFrom"]
        (mount,) = (each for each in container["volumeMounts"] if each["mountPath"] == "/etc/stores")
        (volume,) = (each for each in pod["volumes"] if each["name"] == mount["name"])
        assert volume["secret"]["secretName"] == f"{service}-stores-files"
