"""
Writes configuration as files that a running Envoy takes up.

Envoy reads a file that it subscribed to when another is moved into its place, so every file is written
beside its place and moved in; a file whose content stays the same is not touched.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from translator.names import file_name, stat_name
from translator.translate import Configuration

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
    A file's content; for a discovery response its version, and the end of the name that Envoy's statistics give it.
    """

    content: str
    version: str = ""
    subscription: str = ""


def files_of(configuration: Configuration) -> dict[str, File]:
    """
    The files of one Envoy by their path in its folder.
    """
    files = {"bootstrap.json": File(to_json(as_dict(configuration.bootstrap)))}
    files["lds.json"] = discovery("listeners", configuration.listeners, "listener_manager.lds")
    files["cds.json"] = clusters_file(configuration.clusters)
    for folder, group, messages, name, prefix in (
        ("rds", "routes", configuration.routes, "name", ".rds."),
        ("eds", "endpoints", configuration.endpoints, "cluster_name", "cluster."),
        ("sds", "secrets", configuration.secrets, "name", "sds."),
    ):
        for message in messages:
            own = str(getattr(message, name))
            subscription = prefix + (stat_name(own) if folder == "eds" else own)
            files[f"{folder}/{file_name(own)}.json"] = discovery(group, [message], subscription)
    return files


def clusters_file(clusters: Iterable[Any]) -> File:
    """
    The file of all clusters.
    """
    return discovery("clusters", clusters, "cluster_manager.cds")


def discovery(group: str, messages: Iterable[Any], subscription: str) -> File:
    """
    A discovery response, a line for each resource; its version is a digest of its content.
    """
    kind = f"type.googleapis.com/{KINDS[group]}"
    lines = ",\n".join(json.dumps({"@type": kind, **as_dict(m)}, sort_keys=True, ensure_ascii=False) for m in messages)
    digest = hashlib.sha256(lines.encode()).hexdigest()[:16]
    return File(f'{{"version_info": "{digest}", "resources": [\n{lines}\n]}}\n', digest, subscription)


def as_dict(message: Any) -> dict[str, Any]:
    """
    A message as plain data, in Envoy's own field names.
    """
    result: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    return result


def to_json(content: Any) -> str:
    """
    JSON that is the same for the same content.
    """
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def write_files(folder: Path, files: Mapping[str, File]) -> list[str]:
    """
    Bring a folder's files to *files*; the paths of those that changed, in the order they were written.
    """
    changed = []
    for path, file in sorted(files.items(), key=lambda item: _order(item[0])):
        target = folder / path
        if not target.exists() or target.read_text(encoding="utf-8") != file.content:
            replace(target, file.content)
            changed.append(path)
    return changed


def remove_files(folder: Path, files: Mapping[str, File]) -> list[str]:
    """
    Remove what *files* no longer has.
    """
    gone = [path for path in existing(folder) if path not in files]
    for path in gone:
        (folder / path).unlink()
    return gone


def existing(folder: Path) -> Iterator[str]:
    """
    The paths of a folder's configuration files.
    """
    for path in sorted(folder.rglob("*.json")):
        if not path.name.startswith("."):
            yield str(path.relative_to(folder))


def replace(target: Path, content: str) -> None:
    """
    Put a file in its place in one step.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_text(content, encoding="utf-8")
    temporary.replace(target)


def _order(path: str) -> tuple[int, str]:
    """
    What others refer to goes first: keys, endpoints, clusters, routes, listeners.
    """
    kinds = ("sds/", "eds/", "cds.json", "rds/", "lds.json", "bootstrap.json")
    return next(number for number, kind in enumerate(kinds) if path.startswith(kind)), path
