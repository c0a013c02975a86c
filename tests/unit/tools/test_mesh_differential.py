"""
The differential test of the local mesh: its generator, and how it compares.
"""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.mesh_differential import configurations, kubernetes, recording, verdicts
from tools.mesh_differential.differences import differences
from tools.mesh_differential.meshes import NAMESPACES, random_mesh, without_ties
from tools.mesh_differential.mutations import mutated
from tools.mesh_differential.policies import in_one_form
from tools.mesh_differential.projection import clean, comparable, of_istiod, of_translator
from translator.config.translate import translate

ROUTE: dict[str, Any] = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "a", "namespace": "shop"},
    "spec": {"hosts": ["a"], "http": [{"route": [{"destination": {"host": "a"}}]}]},
}


def with_timeout(timeout: str) -> str:
    spec = {**ROUTE["spec"], "http": [{**ROUTE["spec"]["http"][0], "timeout": timeout}]}
    return json.dumps({**ROUTE, "spec": spec})


@pytest.mark.parametrize(
    ("document", "istio", "verdict"),
    [
        (with_timeout("1s"), "", verdicts.AGREES),
        (with_timeout("soon"), "not a duration", verdicts.AGREES),
        (with_timeout("1s"), "no", verdicts.LAXER),
        (with_timeout("soon"), "", verdicts.STRICTER),
        (json.dumps({**ROUTE, "spec": {**ROUTE["spec"], "tcp": []}}), "", "unsupported"),
    ],
)
def test_verdict_compares_our_result_with_istios(document: str, istio: str, verdict: str) -> None:
    assert verdicts.compare(document, istio).verdict == verdict


def test_same_seed_draws_the_same_documents() -> None:
    assert mutated(random.Random(3), [ROUTE]) == mutated(random.Random(3), [ROUTE])
    assert random_mesh(random.Random(3)) == random_mesh(random.Random(3))


def test_of_entries_of_one_host_namespace_and_time_there_is_one() -> None:
    def entry(name: str, host: str, time: str) -> dict[str, Any]:
        metadata = {"name": name, "namespace": "shop", "creationTimestamp": time}
        return {"kind": "ServiceEntry", "metadata": metadata, "spec": {"hosts": [host]}}

    found = [entry("a", "x.example", "1"), entry("b", "X.example", "1"), entry("c", "x.example", "2"), ROUTE]
    assert list(without_ties(found)) == [found[0], *found[2:]]


def test_mutation_does_not_change_its_input() -> None:
    before = json.dumps(ROUTE)
    texts = {mutated(random.Random(seed), [ROUTE]) for seed in range(50)}
    assert json.dumps(ROUTE) == before
    assert len(texts) > 25


def test_differences_are_reported_with_their_path() -> None:
    assert list(differences({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]})) == [("/a[1]/b", 2, 3)]
    assert list(differences({"a": 1}, {"a": 1, "c": 4})) == [("/c", "(absent)", 4)]


def test_irrelevant_fields_are_not_compared() -> None:
    route = {"decorator": {"operation": "x"}, "metadata": {"filterMetadata": {"istio": {}}}, "match": {"prefix": "/"}}
    assert clean(route) == {"match": {"prefix": "/"}}


def test_a_changed_route_is_the_only_difference() -> None:
    mesh = random_mesh(random.Random(1))
    made = translate(configurations.mesh_of(mesh), out=Path("/o"), certificates=Path("/c"))
    answers = {configuration.workload.name: of_translator(configuration) for configuration in made}
    assert configurations.judged(mesh, answers) == ("agree", [])
    called = [(name, port) for name, answer in answers.items() for port, hosts in answer["routes"].items() if hosts]
    workload, port = called[0]
    domain = next(iter(answers[workload]["routes"][port]))
    answers[workload]["routes"][port][domain] = "another"
    verdict, [difference] = configurations.judged(mesh, answers)
    assert (verdict, difference.workload, difference.path) == ("differ", workload, f"/routes/{port}/{domain}")


def test_routes_of_unused_ports_are_not_compared() -> None:
    answer = {"listeners": [], "clusters": [], "endpoints": [], "routes": [{"name": "80"}, {"name": "81"}]}
    assert of_istiod(answer, ["80"])["routes"] == {"80": {}}


def test_terms_are_compared_as_sets() -> None:
    a, b = {"header": "a"}, {"header": "b"}
    assert in_one_form({"orIds": {"ids": [a, {"orIds": {"ids": [b]}}]}}) == in_one_form({"orIds": {"ids": [b, a]}})
    assert in_one_form({"andIds": {"ids": [a]}}) == a
    assert in_one_form({"andIds": {"ids": [a, b]}}) != in_one_form({"orIds": {"ids": [a, b]}})
    assert in_one_form({"notId": a}) != a


def test_a_claim_of_several_values_is_one_of_them() -> None:
    values = [{"stringMatch": {"exact": value}} for value in "ab"]
    several = {"metadata": {"value": {"orMatch": {"valueMatchers": values}}}}
    alone = {"orIds": {"ids": [{"metadata": {"value": value}} for value in reversed(values)]}}
    assert in_one_form(several) == in_one_form(alone)


def test_ports_on_which_only_one_can_listen_are_not_compared() -> None:
    ours = {"routes": {"80": {"a": 1}, "81": {"a": 1}, "http.8080": {"a": 1}}, "inbound": {}, "clusters": {}}
    istio = {
        "routes": {"80": {"a": 2}},
        "inbound": {"443/tls": 1, "80/tls": 2},
        "clusters": {"inbound|443||": 1, "inbound|80||": 2},
    }
    left, right = comparable(ours, istio, {"80"})
    assert left["routes"] == {"80": {"a": 1}, "http.8080": {"a": 1}}
    assert right == {"routes": {"80": {"a": 2}}, "inbound": {"80/tls": 2}, "clusters": {"inbound|80||": 2}}


def test_registry_is_rendered_as_kubernetes_objects_for_istio() -> None:
    mesh = random_mesh(random.Random(2)).read
    objects = list(yaml.safe_load_all(kubernetes.objects(mesh, NAMESPACES)))
    kinds = [found["kind"] for found in objects]
    assert kinds.count("Pod") == len(mesh.workloads)
    assert kinds.count("Service") == kinds.count("EndpointSlice") == len(mesh.services)
    # What istiod gives a gateway depends on the sidecars that came before it.
    assert [proxy["type"] for proxy in kubernetes.proxies(mesh)] == ["gateway", *["sidecar"] * 6]
    addresses = {pod["status"]["podIP"] for pod in objects if pod["kind"] == "Pod"}
    assert addresses == {workload.address for workload in mesh.workloads}


def test_recorded_answers_of_istio_are_the_translators() -> None:
    documents, meshes = recording.replay()
    assert not [each for each in documents.differences if each.verdict in (verdicts.LAXER, verdicts.CRASH)]
    assert not meshes.differences
    assert set(meshes.counts) == {configurations.AGREE}
    assert (documents.counts.total(), meshes.counts.total()) >= (160, 35)
