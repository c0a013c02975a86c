"""`make deploy TRACES_TO=…`: one setting is where services and Envoys send spans, and what they may reach."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml

from images.catalogue import CHECKOUT
from k8s import render, traces
from k8s.kubectl import ClusterError
from tests.support.manifests import named, rendered
from tools.manifests.variants import parsed

HOST = "collector.observability.svc.cluster.local"
TO = traces.Receiver("collector", "observability")
MESH = f"""accessLogFile: /dev/stdout
extensionProviders:
- name: traces
  opentelemetry:
    service: {HOST}
    port: 4317
"""
CLUSTER = f"outbound|4317||{HOST}"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("k8s", "istio", "monitoring", "build/istio"):
        shutil.copytree(CHECKOUT / name, folder / name)
    return folder


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("overlay", ["one-node", "production"])
@pytest.mark.parametrize("namespace", ["shop", "plaza"])
def test_one_setting_reaches_services_network_and_sidecars(overlay, namespace, checkout, monkeypatch):
    monkeypatch.setenv("TRACES_TO", "collector.observability")
    monkeypatch.setenv("REGISTRY", "registry.example.com/images")
    objects = parsed(render.manifests(overlay, checkout, namespace=namespace).read_text())
    for service in ("orders", "inventory"):
        pod = named(objects, "Deployment", service)["spec"]["template"]
        [app] = pod["spec"]["containers"]
        assert {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": f"http://{HOST}:4317"} in app["env"]
        assert len({each["name"] for each in app["env"]}) == len(app["env"])
        excluded = pod["metadata"]["annotations"]["traffic.sidecar.istio.io/excludeOutboundPorts"]
        assert "4317" in excluded.split(",")
    for sidecar in ("orders", "inventory", "pages"):
        [egress] = named(objects, "Sidecar", sidecar)["spec"]["egress"]
        assert "observability/*" in egress["hosts"]
    [rule] = [
        each for each in named(objects, "NetworkPolicy", "mesh")["spec"]["egress"] if {"port": 4317} in each["ports"]
    ]
    [peer] = rule["to"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "observability"}
    [tracing] = named(objects, "Telemetry", "traces")["spec"]["tracing"]
    provider = yaml.safe_load(TO.provider)["extensionProviders"][0]
    assert tracing["providers"] == [{"name": provider["name"]}]
    assert provider["opentelemetry"]["service"] == HOST


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_without_it_nothing_is_sent_anywhere(checkout, monkeypatch):
    monkeypatch.delenv("TRACES_TO", raising=False)
    monkeypatch.setenv("REGISTRY", "registry.example.com/images")
    objects = parsed(render.manifests("production", checkout).read_text())
    [app] = named(objects, "Deployment", "orders")["spec"]["template"]["spec"]["containers"]
    assert {each["name"]: each.get("value") for each in app["env"]}["OTEL_EXPORTER_OTLP_ENDPOINT"] == ""


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("name", ["managed stores", "operators"])
def test_sidecars_leave_spans_alone_whatever_the_stores_are(name):
    for service in ("orders", "inventory"):
        annotations = named(rendered(name), "Deployment", service)["spec"]["template"]["metadata"]["annotations"]
        assert "4317" in annotations["traffic.sidecar.istio.io/excludeOutboundPorts"].split(",")


@pytest.mark.parametrize(
    "text", ["1", "collector", "collector.shop", "collector.plaza", "http://a.b", "a.b:4317", "a.b.svc", "A.b"]
)
def test_what_cannot_be_a_collectors_service_is_refused(text):
    with pytest.raises(ClusterError, match="TRACES_TO"):
        traces.receiver(text, namespace="plaza")


def asked(monkeypatch, *, service, meshes):
    """Answer what `need` asks the cluster."""

    def answer(*words, **_):
        if words[1] == "service":
            return json.dumps(service) if service else ""
        if meshes is None:
            raise ClusterError("configmaps is forbidden")
        return json.dumps({"items": [{"data": {"mesh": each}} for each in meshes] + [{"data": {"other": "x"}}, {}]})

    monkeypatch.setattr(traces, "kubectl", answer)


def service(**port):
    return {"spec": {"ports": [{"port": 4318, "name": "http-otlp"}, {"port": 4317, **port}]}}


GRPC = service(name="otlp", appProtocol="grpc")


@pytest.mark.parametrize("declared", [GRPC, service(name="grpc-otlp"), service(name="grpc")])
@pytest.mark.parametrize("mesh", [MESH, MESH.replace(HOST, f'"{HOST}"'), MESH.replace(HOST, f"observability/{HOST}")])
def test_a_mesh_with_the_provider_is_fine(monkeypatch, declared, mesh):
    asked(monkeypatch, service=declared, meshes=["accessLogFile: /dev/stdout", mesh])
    traces.need(TO, say=pytest.fail)


@pytest.mark.parametrize(
    ("declared", "meshes", "said"),
    [
        (None, [MESH], "no Service collector in the namespace observability"),
        (service(name="otlp"), [MESH], "declared as gRPC"),
        (GRPC, ["accessLogFile: /dev/stdout"], "no provider `traces`.*\n.*\n- name: traces"),
        (GRPC, [MESH.replace("name: traces", "name: otel")], "no provider"),
        (GRPC, [MESH.replace("collector", "other")], "no provider"),
        (GRPC, [MESH.replace("collector", "my-collector")], "no provider"),
    ],
)
def test_what_is_missing_ends_the_deployment_before_it_builds(monkeypatch, declared, meshes, said):
    asked(monkeypatch, service=declared, meshes=meshes)
    with pytest.raises(ClusterError, match=said):
        traces.need(TO, say=pytest.fail)


def test_a_mesh_configuration_that_may_not_be_read_is_said_and_no_error(monkeypatch):
    asked(monkeypatch, service=GRPC, meshes=None)
    said = []
    traces.need(TO, say=said.append)
    assert HOST in said[0]
    traces.need(None, say=pytest.fail)


HOST_LINE = f"{CLUSTER}::10.244.0.9:4317"
LINES = f"{HOST_LINE}::cx_active::1\n{HOST_LINE}::rq_error::%d\n{HOST_LINE}::rq_success::%d\n"


def test_an_envoy_counts_its_requests_to_every_pod_of_the_receiver():
    assert traces.counters(LINES % (1, 3) + LINES % (0, 2), TO) == (5, 1)
    assert traces.counters(LINES.replace("collector", "other") % (0, 3), TO) is None


def test_spans_have_arrived_when_an_envoy_has_sent_more_than_before_the_order():
    assert traces.missing({"one": (3, 0)}, {"one": (4, 0)}, TO) is None
    assert traces.missing({"one": (3, 0)}, {"one": (3, 0), "two": (1, 0)}, TO) is None
    assert "sent no span" in traces.missing({"one": (3, 0)}, {"one": (3, 0)}, TO)
    assert "2 attempts failed" in traces.missing({"one": (3, 1)}, {"one": (3, 3)}, TO)
    assert "knows a pod" in traces.missing({"one": (3, 0)}, {}, TO)
    # Another pod's counters say nothing of this one's.
    assert "sent no span" in traces.missing({"gone": (9, 0), "one": (3, 0)}, {"one": (2, 0)}, TO)


def test_pods_that_end_or_do_not_answer_are_passed_over(monkeypatch):
    pods = [{"metadata": {"name": name}} for name in ("one", "gone", "ends")]
    pods[2]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    asked = []

    def run_in(pod, *_, container):
        asked.append((pod, container))
        if pod == "gone":
            raise ClusterError("container not found")
        return LINES % (0, 3)

    monkeypatch.setattr(traces, "get", lambda *_: pods)
    monkeypatch.setattr(traces, "run_in", run_in)
    assert traces.sent(TO) == {"one": (3, 0)}
    assert asked == [("one", "istio-proxy"), ("gone", "istio-proxy")]
