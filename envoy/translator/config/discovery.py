"""
Configuration as discovery responses, which an Envoy reads from files.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict

from translator.config.names import file_name, stat_name
from translator.config.translate import Configuration

KINDS = {
    "listeners": "envoy.config.listener.v3.Listener",
    "clusters": "envoy.config.cluster.v3.Cluster",
    "routes": "envoy.config.route.v3.RouteConfiguration",
    "endpoints": "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "secrets": "envoy.extensions.transport_sockets.tls.v3.Secret",
}


@dataclass(frozen=True)
class File:
    """
    A file's content; for a discovery response also its version, and the suffix of its name in Envoy's statistics.
    """

    content: str
    version: str = ""
    subscription: str = ""


def files_of(configuration: Configuration) -> dict[str, File]:
    """
    Return the files of one Envoy by their path in its folder.
    """
    files = {"bootstrap.json": File(to_json(as_dict(configuration.bootstrap)))}
    files["lds.json"] = discovery("listeners", configuration.listeners, subscription("lds"))
    files["cds.json"] = clusters_file(configuration.clusters)
    for folder, group, messages, name in (
        ("rds", "routes", configuration.routes, "name"),
        ("eds", "endpoints", configuration.endpoints, "cluster_name"),
        ("sds", "secrets", configuration.secrets, "name"),
    ):
        for message in messages:
            own = str(getattr(message, name))
            files[f"{folder}/{file_name(own)}.json"] = discovery(group, [message], subscription(folder, own))
    return files


def subscription(kind: str, name: str = "") -> str:
    """
    Return the suffix of the name that an Envoy's statistics give to the subscription of a resource.
    """
    return {
        "lds": "listener_manager.lds",
        "cds": "cluster_manager.cds",
        "rds": f".rds.{name}",
        "eds": f"cluster.{stat_name(name)}",
        "sds": f"sds.{name}",
    }[kind]


def file_of(kind: str, text: str) -> File:
    """
    Return a discovery response as it was written, by the text of its file.
    """
    content = json.loads(text)
    first: dict[str, Any] = next(iter(content["resources"]), {})
    name = first.get("cluster_name" if kind == "eds" else "name", "")
    return File(text, content["version_info"], subscription(kind, name))


def clusters_file(clusters: Iterable[Any]) -> File:
    """
    Return the file of all clusters.
    """
    return discovery("clusters", clusters, subscription("cds"))


def discovery(group: str, messages: Iterable[Any], subscription: str) -> File:
    """
    Return a discovery response with a line for each resource; its version is a digest of its content.
    """
    kind = f"type.googleapis.com/{KINDS[group]}"
    lines = ",\n".join(json.dumps({"@type": kind, **as_dict(m)}, sort_keys=True, ensure_ascii=False) for m in messages)
    digest = hashlib.sha256(lines.encode()).hexdigest()[:16]
    return File(f'{{"version_info": "{digest}", "resources": [\n{lines}\n]}}\n', digest, subscription)


def as_dict(message: Any) -> dict[str, Any]:
    """
    Return a message as plain data, in Envoy's own field names.
    """
    result: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    return result


def to_json(content: Any) -> str:
    """
    Return deterministic JSON.
    """
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
