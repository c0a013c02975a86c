"""
`proxy-config`: what a running Envoy has of clusters, listeners, routes, endpoints and secrets, as istioctl shows it.
"""

import asyncio
import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from cryptography import x509

from translator.config.discovery import to_json
from translator.control import admin, listener_summary
from translator.control.admin import Sections
from translator.control.certificates import utc_now
from translator.control.columns import GAP, columns
from translator.control.listener_summary import Json
from translator.model.registry import Workload

MAX_DOMAINS = 2
TIME = "%Y-%m-%dT%H:%M:%SZ"
PASSTHROUGH = "PassthroughCluster"


class Entry(NamedTuple):
    """
    One resource: its lines, what it can be chosen by, and the whole of it.
    """

    lines: Sequence[tuple[str, ...]]
    facts: Mapping[str, str]
    whole: Json


@dataclass(frozen=True)
class Kind:
    """
    A kind of configuration: its columns, and how an Envoy's answers become entries.
    """

    header: tuple[str, ...]
    entries: Callable[[Sections, Json], Iterable[Entry]]
    chosen_by: tuple[str, ...]
    gap: int = GAP


def proxy_config(workload: Workload, kind: str, filters: Mapping[str, str], *, as_json: bool = False) -> list[str]:
    """
    Return the lines that describe what a running Envoy has of a kind, restricted by *filters*.
    """
    sections, clusters = asyncio.run(_read(workload))
    if sections is None or clusters is None:
        return [f"{workload.full_name} is not running"]
    return shown(kind, sections, clusters, filters, as_json=as_json)


async def _read(workload: Workload) -> tuple[Sections | None, Json | None]:
    sections, text = await asyncio.gather(
        admin.config_dump(workload.admin), admin.get(workload.admin, "/clusters?format=json")
    )
    return sections, None if text is None else json.loads(text)


def shown(
    kind: str, sections: Sections, clusters: Json, filters: Mapping[str, str], *, as_json: bool = False
) -> list[str]:
    """
    Return the same for an Envoy's answers.
    """
    one = KINDS[kind]
    found = [entry for entry in one.entries(sections, clusters) if _matches(entry, filters)]
    if as_json:
        return to_json([entry.whole for entry in found]).splitlines()
    return columns([one.header, *(line for entry in found for line in entry.lines)], gap=one.gap)


def _matches(entry: Entry, filters: Mapping[str, str]) -> bool:
    """
    Return whether an entry is what was asked for; an FQDN may be a part, as with istioctl.
    """
    return all(
        value in entry.facts[name] if name == "fqdn" else value.lower() == entry.facts[name].lower()
        for name, value in filters.items()
    )


def _clusters(sections: Sections, _: Json) -> list[Entry]:
    dump = sections.get("ClustersConfigDump", {})
    items = [*dump.get("dynamic_active_clusters", ()), *dump.get("static_clusters", ())]
    return [_cluster(cluster) for cluster in sorted((item["cluster"] for item in items), key=_cluster_order)]


def _cluster(cluster: Json) -> Entry:
    direction, port, subset, host = _parts(cluster["name"])
    named = "|" in cluster["name"]
    line = (
        host,
        port if named else "-",
        subset or "-",
        direction if named else "-",
        str(cluster.get("type", cluster.get("cluster_type", {}).get("name", "STATIC"))),
        _origin(cluster),
    )
    facts = {"fqdn": host, "port": port, "subset": subset, "direction": direction}
    return Entry([line], facts, cluster)


def _parts(name: str) -> tuple[str, str, str, str]:
    """
    Return direction, port, subset and host of a cluster's name; of one without these only the host.
    """
    parts = name.split("|", 3)
    return (parts[0], parts[1], parts[2], parts[3]) if len(parts) > 3 else ("", "", "", name)


def _cluster_order(cluster: Json) -> tuple[str, str, int, str]:
    direction, port, subset, host = _parts(cluster["name"])
    return host, subset, int(port) if port.isdigit() else 0, direction


def _origin(block: Json) -> str:
    """
    Return the name of the Istio resource that a piece of configuration comes from, as `NAME.NAMESPACE`.
    """
    path = block.get("metadata", {}).get("filter_metadata", {}).get("istio", {}).get("config", "")
    pieces = path.split("/")
    return f"{pieces[7]}.{pieces[5]}" if len(pieces) == 8 else ""


def _listeners(sections: Sections, _: Json) -> list[Entry]:
    dump = sections.get("ListenersConfigDump", {})
    dynamic = [item["active_state"]["listener"] for item in dump.get("dynamic_listeners", ()) if "active_state" in item]
    static = [item["listener"] for item in dump.get("static_listeners", ())]
    return [_listener(listener) for listener in sorted((*dynamic, *static), key=_listener_order)]


def _listener_order(listener: Json) -> tuple[int, str]:
    host, port = listener_summary.address(listener)
    return port, host


def _listener(listener: Json) -> Entry:
    host, port = listener_summary.address(listener)
    chains = [(listener_summary.destination(c), listener_summary.match(c)) for c in listener_summary.chains(listener)]
    chains.sort(key=lambda chain: chain[0], reverse=True)
    facts = {"address": host, "port": str(port), "type": listener_summary.listener_type(listener)}
    return Entry([(host, str(port), match, destination) for destination, match in chains], facts, listener)


def _routes(sections: Sections, _: Json) -> list[Entry]:
    dump = sections.get("RoutesConfigDump", {})
    items = [*dump.get("dynamic_route_configs", ()), *dump.get("static_route_configs", ())]
    found = [item["route_config"] for item in items]
    found.sort(key=lambda routes: int(routes["name"]) if routes.get("name", "").isdigit() else 0)
    return [Entry(list(_route_lines(routes)), {"name": routes.get("name", "")}, routes) for routes in found]


def _route_lines(routes: Json) -> Iterator[tuple[str, ...]]:
    for host in routes.get("virtual_hosts", ()):
        common = (routes.get("name", ""), host.get("name", ""), _domains(host.get("domains", ())))
        for route in host.get("routes", ()):
            if route.get("route", {}).get("cluster") != PASSTHROUGH:
                yield (*common, listener_summary.route_match(route.get("match", {})), _origin(route))
        if not host.get("routes"):
            yield (*common, "/*", "404")


def _domains(domains: Sequence[str]) -> str:
    """
    Return the shortest of a virtual host's domains: without ports, and without the long forms of a short name.
    """
    if len(domains) == 1:
        return domains[0]
    plain = [domain for domain in domains if ":" not in domain or domain.endswith("]")]
    long = {f"{domain}{suffix}" for domain in plain for suffix in (".svc", ".svc.cluster.local")}
    short = [domain for domain in plain if domain not in long]
    more = f" + {len(short) - MAX_DOMAINS} more..." if len(short) > MAX_DOMAINS else ""
    return ", ".join(short[:MAX_DOMAINS]) + more


def _endpoints(_: Sections, clusters: Json) -> list[Entry]:
    found = [
        (*_host_address(host), cluster["name"], host)
        for cluster in clusters.get("cluster_statuses", ())
        for host in cluster.get("host_statuses", ())
    ]
    found.sort(key=lambda item: item[:3])
    return [_endpoint(*item) for item in found]


def _host_address(host: Json) -> tuple[str, int]:
    socket = host["address"].get("socket_address", {})
    return str(socket.get("address", "unknown")), int(socket.get("port_value", 0))


def _endpoint(address: str, port: int, cluster: str, host: Json) -> Entry:
    health = host.get("health_status", {})
    status = str(health.get("eds_health_status", "UNKNOWN"))
    outlier = "FAILED" if health.get("failed_outlier_check") else "OK"
    facts = {"address": address, "port": str(port), "cluster": cluster, "status": status}
    return Entry([(f"{address}:{port}", status, outlier, cluster)], facts, {"cluster": cluster, **host})


def _secrets(sections: Sections, _: Json) -> list[Entry]:
    dump = sections.get("SecretsConfigDump", {})
    warming = [("WARMING", item) for item in dump.get("dynamic_warming_secrets", ())]
    active = [
        ("UNINITIALIZED" if item.get("version_info") == "uninitialized" else "ACTIVE", item)
        for item in dump.get("dynamic_active_secrets", ())
    ]
    return [_secret(state, item, utc_now()) for state, item in (*warming, *active)]


def _secret(state: str, item: Json, now: datetime) -> Entry:
    secret, name = item.get("secret", {}), str(item.get("name", ""))
    chain = secret.get("tls_certificate", {}).get("certificate_chain", {}).get("inline_bytes", "")
    root = secret.get("validation_context", {}).get("trusted_ca", {}).get("inline_bytes", "")
    try:
        certificate = x509.load_pem_x509_certificate(base64.b64decode(chain or root))
    except ValueError:
        return Entry([(name, "", state, "false", "", "", "")], {}, secret)
    is_valid = certificate.not_valid_before_utc < now < certificate.not_valid_after_utc
    times = (certificate.not_valid_after_utc.strftime(TIME), certificate.not_valid_before_utc.strftime(TIME))
    kind = "Cert Chain" if chain else "CA"
    line = (name, kind, state, str(is_valid).lower(), f"{certificate.serial_number:x}", *times)
    return Entry([line], {}, secret)


KINDS: Mapping[str, Kind] = {
    "clusters": Kind(
        ("SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"),
        _clusters,
        ("fqdn", "port", "subset", "direction"),
    ),
    "listeners": Kind(("ADDRESSES", "PORT", "MATCH", "DESTINATION"), _listeners, ("address", "port", "type"), gap=1),
    "routes": Kind(("NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"), _routes, ("name",)),
    "endpoints": Kind(
        ("ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"), _endpoints, ("address", "port", "cluster", "status")
    ),
    "secrets": Kind(
        ("RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE"), _secrets, ()
    ),
}
# The other words that istioctl takes for them.
ALIASES = {
    **{kind.removesuffix("s"): kind for kind in KINDS},
    "c": "clusters",
    "l": "listeners",
    "r": "routes",
    "ep": "endpoints",
    "s": "secrets",
}
