"""What of the manifests the chart's values change."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from k8s import traces
from k8s.names import DOMAIN, WRITTEN, renamed
from tools.chart.text import Text

Object = dict[str, Any]
NAMESPACE = "{{ $.Release.Namespace }}"
# Made by the chart's own templates (files/), or by whoever makes the namespace.
NOT_OURS = {("Namespace", WRITTEN), ("NetworkPolicy", "api-server")}
STORES = {"postgres", "kafka", "redis", "orders-to-stores", "inventory-to-stores", "monitor-role",
          "postgres-from-monitor-role"}  # fmt: skip
STORES_FILES = "stores"
HASHED = re.compile(r"^(orders|inventory|pages)-[a-z0-9]{10}$")
MIGRATION = """{{- if $.Release.IsUpgrade }}
helm.sh/hook: pre-upgrade
helm.sh/hook-weight: "0"
helm.sh/hook-delete-policy: before-hook-creation
{{- end }}"""
CLUSTER_DOMAIN, TRUST_DOMAIN = "{{ $.Values.clusterDomain }}", "{{ $.Values.trustDomain }}"


@dataclass
class Chart:
    """The text of the templates by name, and the values that they have without others."""

    templates: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


def chart(objects: Sequence[Object], managed: Sequence[Object]) -> Chart:
    """Return the chart of rendered objects; *managed* are those of the same overlay with stores elsewhere."""
    made, text = Chart(), Text()
    made.values |= {"clusterDomain": DOMAIN, "trustDomain": DOMAIN}
    kept = [copy.deepcopy(each) for each in objects if _key(each) not in NOT_OURS]
    configs = {_config(each): each for each in kept if each["kind"] == "ConfigMap" and _config(each)}
    elsewhere = {_key(each): each for each in managed}
    for each in kept:
        _reach(each, elsewhere.get(_key(each), {}))
    for name, each in configs.items():
        _variables(name, each["data"], text, made.values)
    for each in kept:
        _set(each, configs, text, made.values)
    for name, each in configs.items():
        _use(text, made, name, each)
    for each in kept:
        _add(made, each, text.of(_named(each, text)))
    rule = copy.deepcopy(elsewhere["NetworkPolicy", "services-to-stores"])
    made.values["stores"]["egress"] = rule["spec"]["egress"]
    rule["spec"]["egress"] = text.value("stores.egress")
    rule["metadata"]["namespace"] = text.mark(NAMESPACE)
    made.templates["foundation.yaml"] += (
        f"{{{{- if not $.Values.stores.bundled }}}}\n---\n{text.of(rule)}{{{{- end }}}}\n"
    )
    return made


def _add(made: Chart, each: Object, text: str) -> None:
    bundled = each["metadata"]["labels"]["stage"] == "store" or each["metadata"]["name"] in STORES
    text = f"{{{{- if $.Values.stores.bundled }}}}\n---\n{text}{{{{- end }}}}\n" if bundled else f"---\n{text}"
    stage = f"{each['metadata']['labels']['stage']}.yaml"
    made.templates[stage] = made.templates.get(stage, "") + text


def _key(each: Mapping[str, Any]) -> tuple[str, str]:
    return each["kind"], each["metadata"]["name"]


def _config(each: Mapping[str, Any]) -> str:
    found = HASHED.match(each["metadata"]["name"])
    return found[1] if found else ""


def _set(each: Object, configs: Mapping[str, Object], text: Text, values: dict[str, Any]) -> None:
    """Put marks wherever values matter in one object, and note the present values."""
    kind, name = _key(each)
    each["metadata"]["namespace"] = text.mark(NAMESPACE)
    if kind in ("Deployment", "StatefulSet", "Job"):
        _workload(each, configs, text, values)
    change = {
        "HorizontalPodAutoscaler": _scaler,
        "RequestAuthentication": _issuer,
        "Gateway": _gateway,
        "VirtualService": _virtual_service,
        "ServiceAccount": _account,
        "RoleBinding": _binding,
        "Service": _service,
        "NetworkPolicy": _policy,
        "Sidecar": _sidecar,
        "Telemetry": _telemetry,
    }.get(kind)
    if change:
        change(each, name, text, values)


def _reach(each: Object, elsewhere: Mapping[str, Any]) -> None:
    """Add the secrets that say how stores elsewhere are reached; they are optional, so they may always be named."""
    if each["kind"] not in ("Deployment", "Job") or not elsewhere:
        return
    here, there = (one["spec"]["template"]["spec"] for one in (each, elsewhere))
    [ours], [theirs] = here["containers"], there["containers"]
    ours["envFrom"] = [*ours.get("envFrom", ()), *(one for one in theirs.get("envFrom", ()) if "secretRef" in one)]
    for holder, source, key in ((ours, theirs, "volumeMounts"), (here, there, "volumes")):
        holder[key] = [*holder.get(key, ()), *(one for one in source.get(key, ()) if one["name"] == STORES_FILES)]


def _note(values: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
    values[last] = value


def _take(holder: Any, key: Any, path: str, text: Text, values: dict[str, Any]) -> None:
    """Make *holder[key]* a value; its default is what is there."""
    _note(values, path, holder[key])
    holder[key] = text.value(path)


def _workload(each: Object, configs: Mapping[str, Object], text: Text, values: dict[str, Any]) -> None:
    kind, name = _key(each)
    pod = each["spec"]["template"]["spec"]
    for container in pod["containers"]:
        if container["image"] != "auto":
            image = container["image"].rpartition("/")[2].partition(":")[0]
            _note(values, f"images.tags.{image}", container["image"].rpartition(":")[2])
            _note(values, "images.registry", container["image"].rpartition("/")[0])
            container["image"] = text.mark(f'{{{{ include "shop.image" (list $ "{image}") }}}}')
    [main] = [each for each in pod["containers"] if each["name"] in ("app", "istio-proxy")]
    if kind == "Job":
        # Stores that are installed at the same time have images to pull first.
        each["spec"] |= {"activeDeadlineSeconds": 900, "backoffLimit": 10}
        each["metadata"]["annotations"][text.lines(MIGRATION)] = ""
        sources = main.pop("envFrom", [])
        main["env"] += [one for source in sources if "configMapRef" in source for one in _inline(source, configs)]
        main["envFrom"] = [source for source in sources if "secretRef" in source]
        return
    for variable in main.get("env", ()):
        if variable["name"] == "OTEL_EXPORTER_OTLP_ENDPOINT":
            variable["value"] = text.mark('{{ include "shop.traces.endpoint" $ | toJson }}')
    group = "stores" if kind == "StatefulSet" else "services"
    _take(main, "resources", f"{group}.{name}.resources", text, values)
    if name == "pages":
        _take(each["spec"], "replicas", "services.pages.replicas", text, values)
    if name == "edge":
        each["spec"]["template"]["metadata"]["labels"][WRITTEN] = text.mark(NAMESPACE)
    for claim in each["spec"].get("volumeClaimTemplates", ()):
        _take(claim["spec"]["resources"]["requests"], "storage", f"stores.{name}.storage", text, values)
        _note(values, "stores.storageClass", "")
        claim["spec"][text.lines(
            "{{- with $.Values.stores.storageClass }}\nstorageClassName: {{ . }}\n{{- end }}")] = ""  # fmt: skip


def _inline(source: Mapping[str, Any], configs: Mapping[str, Object]) -> Iterator[Object]:
    """Return a ConfigMap's variables: one of a new version does not exist yet when its migrations run."""
    found = HASHED.match(source["configMapRef"]["name"])
    for key, value in configs[found[1]]["data"].items() if found else ():
        yield {"name": key, "value": value}


def _scaler(each: Object, name: str, text: Text, values: dict[str, Any]) -> None:
    for limit in ("minReplicas", "maxReplicas"):
        _take(each["spec"], limit, f"services.{name}.{limit}", text, values)


def _issuer(each: Object, _name: str, text: Text, values: dict[str, Any]) -> None:
    [rule] = each["spec"]["jwtRules"]
    _take(rule, "issuer", "issuer.url", text, values)
    _take(rule, "jwksUri", "issuer.jwksUri", text, values)
    _take(rule, "audiences", "issuer.audiences", text, values)


def _gateway(each: Object, _name: str, text: Text, values: dict[str, Any]) -> None:
    each["spec"]["selector"][WRITTEN] = text.mark(NAMESPACE)
    for server in each["spec"]["servers"]:
        _take(server, "hosts", "edge.hosts", text, values)
        _take(server["tls"], "credentialName", "edge.certificate", text, values)


def _virtual_service(each: Object, _name: str, text: Text, values: dict[str, Any]) -> None:
    if "gateways" in each["spec"]:
        _take(each["spec"], "hosts", "edge.hosts", text, values)
    for route in each["spec"]["http"]:
        if "corsPolicy" in route:
            origins = [one["exact"] for one in route["corsPolicy"]["allowOrigins"]]
            _note(values, "edge.origins", origins)
            route["corsPolicy"]["allowOrigins"] = text.mark('{{ include "shop.origins" $ }}')


def _account(each: Object, _name: str, text: Text, values: dict[str, Any]) -> None:
    _note(values, "images.pullSecrets", [])
    each["imagePullSecrets"] = text.value("images.pullSecrets")


def _binding(each: Object, _name: str, text: Text, _values: dict[str, Any]) -> None:
    for subject in each["subjects"]:
        subject["namespace"] = text.mark(NAMESPACE)


def _service(each: Object, name: str, text: Text, values: dict[str, Any]) -> None:
    if name != "edge":
        return
    _note(values, "edge.service.annotations", {})
    each["metadata"]["annotations"] |= {
        text.lines("{{- with $.Values.edge.service.annotations }}\n{{- toYaml . | nindent 4 }}\n{{- end }}"): ""
    }
    _take(each["spec"], "type", "edge.service.type", text, values)
    policy = each["spec"].pop("externalTrafficPolicy")
    _note(values, "edge.service.externalTrafficPolicy", policy)
    outside = 'if ne $.Values.edge.service.type "ClusterIP"'
    line = "externalTrafficPolicy: {{ $.Values.edge.service.externalTrafficPolicy }}"
    each["spec"][text.lines(f"{{{{- {outside} }}}}\n{line}\n{{{{- end }}}}")] = ""


def _policy(each: Object, name: str, text: Text, _values: dict[str, Any]) -> None:
    if name == "mesh":
        [spans] = [rule for rule in each["spec"]["egress"] if rule["ports"] == [{"port": traces.PORT}]]
        labels = spans["to"][0]["namespaceSelector"]["matchLabels"]
        labels["kubernetes.io/metadata.name"] = text.mark('{{ include "shop.traces.namespace" $ }}')


def _sidecar(each: Object, _name: str, text: Text, _values: dict[str, Any]) -> None:
    hosts = each["spec"]["egress"][0]["hosts"]
    hosts[hosts.index("monitoring/*")] = text.mark('{{ include "shop.traces.namespace" $ }}/*')


def _telemetry(each: Object, _name: str, text: Text, values: dict[str, Any]) -> None:
    _note(values, "traces.receiver", "")
    [tracing] = each["spec"]["tracing"]
    _take(tracing, "randomSamplingPercentage", "traces.percent", text, values)


# The variables of ConfigMaps that are values; others are as they are.
VARIABLES = {
    ("orders", "DATABASE_ROLE"): "stores.databaseRole",
    ("pages", "OIDC_ISSUER"): "issuer.url",
    ("pages", "OIDC_CLIENT_ID"): "issuer.clientId",
    ("pages", "PROMETHEUS_URL"): "prometheusUrl",
    ("inventory", "SEED_CATALOGUE"): "seedCatalogue",
}


def _variables(name: str, data: dict[str, Any], text: Text, values: dict[str, Any]) -> None:
    for key in data:
        path = VARIABLES.get((name, key))
        if path:
            _take(data, key, path, text, values)


def _use(text: Text, made: Chart, name: str, each: Object) -> None:
    """Make a ConfigMap's content a named template, and its name a digest of that, so that pods follow a change."""
    content = text.of(_named(each["data"], text))
    helpers = made.templates.setdefault("_configuration.tpl", "")
    defined = f'{{{{- define "shop.config.{name}" -}}}}\n{content}{{{{- end }}}}\n'
    made.templates["_configuration.tpl"] = helpers + defined
    each["data"] = {text.lines(f'{{{{- include "shop.config.{name}" $ | nindent 2 }}}}'): ""}


def _named(value: Any, text: Text) -> Any:
    """Return *value* with marks for the namespace, the domains and the names of ConfigMaps."""
    if isinstance(value, Mapping):
        return {_named(key, text): _named(each, text) for key, each in value.items()}
    if isinstance(value, list):
        return [_named(each, text) for each in value]
    if not isinstance(value, str):
        return value
    found = HASHED.match(value)
    if found:
        return text.mark(f'{found[1]}-{{{{ include "shop.config.{found[1]}" $ | sha256sum | trunc 10 }}}}')
    return renamed(value, *map(text.mark, (NAMESPACE, CLUSTER_DOMAIN, TRUST_DOMAIN)))
