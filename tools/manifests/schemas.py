"""
The schemas of custom resources, from the Go modules of the projects that define them.

They are checked strictly: a field that a schema does not have is an error, where an API server would drop it. Rules in
CEL are left to the server.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from tools import go_programs

# Module and version, and the files in it.
SOURCES: Mapping[str, str] = {
    "istio.io/api@v1.32.0": "kubernetes/customresourcedefinitions.gen.yaml",
    "sigs.k8s.io/gateway-api@v1.6.0": "config/crd/standard/*.yaml",
    "github.com/cert-manager/cert-manager@v1.21.2": "deploy/crds/*.yaml",
    "github.com/external-secrets/external-secrets@v1.3.2": "config/crds/bases/external-secrets.io_*.yaml",
    "github.com/argoproj/argo-rollouts@v1.9.0": "manifests/crds/*.yaml",
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": "example/prometheus-operator-crd/*.yaml",
    "github.com/argoproj/argo-cd/v3@v3.2.1": "manifests/crds/*.yaml",
    "github.com/fluxcd/kustomize-controller@v1.7.3": "config/crd/bases/*.yaml",
    "github.com/fluxcd/source-controller@v1.7.3": "config/crd/bases/*.yaml",
}
# Of projects that publish no module here. CRDS names a folder with their CustomResourceDefinitions.
ELSEWHERE: Mapping[str, str] = {
    "postgresql.cnpg.io": "CloudNativePG, config/crd/bases",
    "barmancloud.cnpg.io": "CloudNativePG's Barman Cloud plugin, config/crd/bases",
    "kafka.strimzi.io": "Strimzi, install/cluster-operator",
}
OF_KUBERNETES = (".k8s.io", "apps", "batch", "autoscaling", "policy")
NOT_OF_KUBERNETES = ("gateway.networking.k8s.io",)
# Of structural schemas: what means the same in JSON Schema, and two extensions that do not.
SAME = ("enum", "pattern", "minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength", "required")
EITHER = "x-kubernetes-int-or-string"
ANYTHING = "x-kubernetes-preserve-unknown-fields"
Kind = tuple[str, str]
"""API version (group/version) and kind."""
Schemas = Mapping[Kind, Draft202012Validator]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads `=`, which the Prometheus Operator's enums have, as the text that it is; YAML 1.1 has a type for it."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)


def known(folder: str = os.environ.get("CRDS", "")) -> Schemas:
    """Return the schema of every custom resource that can be had; raises `NotThere` without Go."""
    files = [path for source, pattern in SOURCES.items() for path in go_programs.module(source).glob(pattern)]
    if folder:
        files += Path(folder).rglob("*.yaml")
    return {kind: schema for path in files for kind, schema in _of_file(path)}


def errors(objects: Iterable[Mapping[str, Any]], schemas: Schemas) -> Iterator[str]:
    """Return what is wrong with custom resources, an error a line."""
    for each in objects:
        version, kind = each["apiVersion"], each["kind"]
        group = version.rpartition("/")[0]
        where = f"{kind} {each['metadata']['name']}"
        if (version, kind) in schemas:
            for error in schemas[version, kind].iter_errors(each):
                yield f"{where}: {error.json_path}: {error.message[:300]}"
        elif not _is_of_kubernetes(group) and group not in ELSEWHERE:
            yield f"{where}: no schema of {version}"


def unchecked(objects: Iterable[Mapping[str, Any]], schemas: Schemas) -> list[str]:
    """Return the groups of custom resources that no schema was there for."""
    kinds = {(each["apiVersion"], each["kind"]) for each in objects} - schemas.keys()
    return sorted({version.rpartition("/")[0] for version, _ in kinds} & ELSEWHERE.keys())


def _is_of_kubernetes(group: str) -> bool:
    return not group or (group.endswith(OF_KUBERNETES) and group not in NOT_OF_KUBERNETES)


def _of_file(path: Path) -> Iterator[tuple[Kind, Draft202012Validator]]:
    for each in yaml.load_all(path.read_text(), Loader=_Loader):
        if not each or each.get("kind") != "CustomResourceDefinition":
            continue
        for version in each["spec"]["versions"]:
            kind = f"{each['spec']['group']}/{version['name']}", each["spec"]["names"]["kind"]
            yield kind, Draft202012Validator(_whole(version["schema"]["openAPIV3Schema"]))


def _whole(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with the three fields that Kubernetes adds to it."""
    strict: dict[str, Any] = _strict(schema)
    strict["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {}}
    return strict


def _strict(schema: Any) -> Any:
    """Return a structural schema as one of JSON Schema that refuses fields it does not name."""
    if not isinstance(schema, Mapping):
        return schema
    made = {key: schema[key] for key in SAME if key in schema}
    if schema.get(EITHER):
        made["type"] = ["integer", "string"]
    elif "type" in schema:
        made["type"] = [schema["type"], "null"] if schema.get("nullable") else schema["type"]
        # These only restrict what the rest defines, so they are JSON Schema already.
        made |= {key: schema[key] for key in ("oneOf", "anyOf", "allOf", "not") if key in schema}
    if "items" in schema:
        made["items"] = _strict(schema["items"])
    return made | _fields(schema)


def _fields(schema: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if "properties" in schema:
        made["properties"] = {name: _strict(each) for name, each in schema["properties"].items()}
    if "additionalProperties" in schema:
        made["additionalProperties"] = _strict(schema["additionalProperties"])
    elif "properties" in schema and not schema.get(ANYTHING):
        made["additionalProperties"] = False
    return made
