"""Listing the faults in force, and lifting them."""

import shutil

import httpx
import pytest
import yaml

from gateway.pages.cluster_faults import ClusterFaults, LiftedElsewhere
from gateway.pages.faults import FaultFiles, MeshUnknown, NoSuchFault, WrittenFault, describe
from gateway.pages.kubernetes import Kubernetes, KubernetesAway
from images.catalogue import CHECKOUT

ROUTES = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: inventory, namespace: shop}
spec: {hosts: [inventory], http: [{name: holds, route: [{destination: {host: inventory}}]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: inventory, namespace: shop}
spec: {host: inventory}
"""
FIRST = "VirtualService inventory of that host comes first"
SLOW = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: inventory, namespace: shop}
spec:
  hosts: [inventory]
  http:
  - name: holds
    fault: {delay: {fixedDelay: 2s, percentage: {value: 50}}, abort: {grpcStatus: UNAVAILABLE, percentage: {value: 10}}}
    route: [{destination: {host: inventory}}]
"""


@pytest.fixture
def mesh(tmp_path):
    """Return the faults of a folder of files and a folder of applied resources."""
    written, applied = tmp_path / "istio", tmp_path / "applied"
    written.mkdir()
    applied.mkdir()
    (written / "routes.yaml").write_text(ROUTES)
    return written, applied, FaultFiles([written], applied)


async def test_a_mesh_without_faults_shows_none(mesh):
    assert await mesh[2].active() == []


async def test_an_applied_fault_is_described(mesh):
    _, applied, faults = mesh
    (applied / "inventory.yaml").write_text(SLOW)
    [fault] = await faults.active()
    assert fault["text"] == "delay 2s, 50%; abort UNAVAILABLE, 10%"
    assert (fault["name"], fault["hosts"], fault["route"], fault["condition"]) == (
        "inventory", ["inventory"], "holds", "every call",
    )  # fmt: skip


async def test_a_fault_of_a_delegate_is_shown_for_its_hosts_and_lifted(mesh):
    written, applied, faults = mesh
    shutil.copy(CHECKOUT / "istio/inventory-routes.yaml", written / "routes.yaml")
    shutil.copy(CHECKOUT / "chaos/faults/inventory-delay.yaml", applied)
    [slow] = await faults.active()
    assert (slow["name"], slow["hosts"], slow["route"]) == ("inventory-fault", ["inventory"], "holds")
    assert (slow["text"], slow["condition"], slow["idle"]) == ("delay 1s, 50%", "some calls", "")
    await faults.lift("inventory-fault")
    assert await faults.active() == []
    assert (written / "routes.yaml").exists()


async def test_a_delegate_that_no_root_refers_to_is_shown_as_without_effect(mesh):
    _, applied, faults = mesh
    shutil.copy(CHECKOUT / "chaos/faults/inventory-delay.yaml", applied)
    assert (await faults.active())[0]["idle"] == "no VirtualService delegates to it"


async def test_lifting_reverts_applied_resources_and_keeps_files(mesh):
    written, applied, faults = mesh
    (applied / "inventory.yaml").write_text(SLOW)
    await faults.lift("inventory")
    assert await faults.active() == []
    assert (written / "routes.yaml").read_text() == ROUTES


async def test_an_applied_resource_without_a_fault_overrides_a_file_with_one(mesh):
    written, applied, faults = mesh
    (written / "slow.yaml").write_text(SLOW.replace("name: inventory,", "name: orders,"))
    assert len(await faults.active()) == 1
    (applied / "orders.yaml").write_text(ROUTES.replace("name: inventory,", "name: orders,"))
    assert await faults.active() == []


async def test_a_fault_in_a_file_cannot_be_lifted(mesh):
    written, _, faults = mesh
    (written / "routes.yaml").write_text(SLOW)
    with pytest.raises(WrittenFault, match=r"routes\.yaml"):
        await faults.lift("inventory")
    assert (written / "routes.yaml").exists()


async def test_lifting_a_resource_without_a_fault_is_rejected(mesh):
    with pytest.raises(NoSuchFault):
        await mesh[2].lift("inventory")


async def test_an_unreadable_file_makes_the_faults_unknown(mesh):
    (mesh[0] / "broken.yaml").write_text("a: [")
    with pytest.raises(MeshUnknown, match=r"broken\.yaml"):
        await mesh[2].active()


def test_a_fault_without_a_percentage_is_shown_as_0_percent():
    assert describe({"abort": {"httpStatus": 503}}) == "abort 503, 0%"


class Cluster:
    """The part of Kubernetes' API that is used."""

    def __init__(self, tmp_path, service):
        self.service = service
        self.methods = []
        (tmp_path / "token").write_text("the-token\n")
        client = httpx.AsyncClient(base_url="https://kubernetes", transport=httpx.MockTransport(self.answer))
        self.faults = ClusterFaults(Kubernetes(client, tmp_path), "shop")

    def answer(self, request):
        assert request.headers["authorization"] == "Bearer the-token"
        assert request.url.path == "/apis/networking.istio.io/v1/namespaces/shop/virtualservices"
        self.methods.append(request.method)
        return httpx.Response(200, json={"items": [self.service]})


def service(*routes):
    metadata = {"name": "inventory", "namespace": "shop", "resourceVersion": "7"}
    return {"kind": "VirtualService", "metadata": metadata, "spec": {"hosts": ["inventory"], "http": list(routes)}}


FAULTY = {"fault": {"abort": {"httpStatus": 503, "percentage": {"value": 5}}}, "route": []}


async def test_on_a_cluster_every_virtual_service_is_read(tmp_path):
    [fault] = await Cluster(tmp_path, service({"route": []}, FAULTY)).faults.active()
    assert (fault["name"], fault["route"], fault["text"]) == ("inventory", "http[1]", "abort 503, 5%")


async def test_on_a_cluster_the_board_is_read_only_and_shows_the_kubectl_command(tmp_path):
    cluster = Cluster(tmp_path, service(FAULTY, {"route": []}, FAULTY))
    with pytest.raises(LiftedElsewhere, match="kubectl -n shop apply"):
        await cluster.faults.lift("inventory")
    assert set(cluster.methods) == {"GET"}


async def test_on_a_cluster_a_fault_of_its_own_is_lifted_by_deleting_it(tmp_path):
    listed = yaml.safe_load((CHECKOUT / "chaos/faults/inventory-down.yaml").read_text())
    # A list's items have no kind of their own.
    cluster = Cluster(tmp_path, {key: value for key, value in listed.items() if key != "kind"})
    with pytest.raises(LiftedElsewhere, match="kubectl -n shop delete virtualservice inventory-fault lifts"):
        await cluster.faults.lift("inventory-fault")
    assert set(cluster.methods) == {"GET"}


@pytest.mark.parametrize("name", ["inventory", "nobody", "../../../secrets", "a?b=c", "%2e%2e"])
async def test_on_a_cluster_names_are_escaped_in_urls(tmp_path, name):
    cluster = Cluster(tmp_path, service({"route": []}))
    with pytest.raises(NoSuchFault):
        await cluster.faults.lift(name)
    assert cluster.methods == ["GET"]


async def test_an_unreachable_api_server_makes_the_faults_unknown(tmp_path):
    (tmp_path / "token").write_text("x")
    transport = httpx.MockTransport(lambda _: httpx.Response(403, json={}))
    client = httpx.AsyncClient(base_url="https://kubernetes", transport=transport)
    with pytest.raises(KubernetesAway, match="403"):
        await ClusterFaults(Kubernetes(client, tmp_path), "shop").active()


async def test_a_fault_shadowed_by_another_virtual_service_is_shown_as_ineffective(mesh):
    _, applied, faults = mesh
    (applied / "mine.yaml").write_text(SLOW.replace("name: inventory, n", "name: zz-my-fault, n"))
    [fault] = await faults.active()
    assert (fault["name"], fault["idle"]) == ("zz-my-fault", FIRST)
    # Also with another spelling of the host.
    (applied / "mine.yaml").write_text(
        SLOW.replace("name: inventory, n", "name: zz-my-fault, n").replace("[inventory]", "[inventory.shop.svc]")
    )
    assert (await faults.active())[0]["idle"] == FIRST
    (applied / "mine.yaml").write_text(SLOW)
    assert (await faults.active())[0]["idle"] == ""
    # The first by name takes the host.
    (applied / "mine.yaml").write_text(SLOW.replace("name: inventory, n", "name: a-fault, n"))
    assert (await faults.active())[0]["idle"] == ""


async def test_virtual_services_of_a_gateway_merge(mesh):
    written, _, faults = mesh
    edge = SLOW.replace("hosts: [inventory]", "hosts: ['*']\n  gateways: [edge]")
    (written / "edge.yaml").write_text(edge.replace("name: inventory, n", "name: edge, n"))
    (written / "more.yaml").write_text(edge.replace("name: inventory, n", "name: more, n"))
    assert [fault["idle"] for fault in await faults.active()] == ["", ""]
