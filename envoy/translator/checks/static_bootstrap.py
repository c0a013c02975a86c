"""
One Envoy's configuration as a single file, which `envoy --mode validate` can check as a whole.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2 as tls_pb2
from google.protobuf import any_pb2
from google.protobuf.message import Message

from translator.config.discovery import as_dict, to_json
from translator.config.http_connection_manager import MANAGER
from translator.config.protoconv import packed, unpacked
from translator.config.translate import Configuration

VALIDATE_S = 60
MAX_REASON = 2000
# The prefix of the reason in Envoy's log.
PREAMBLE = re.compile(r"^(\[[^\]]*\] *)+(error initializing configuration '[^']*': )?")


def static_bootstrap(configuration: Configuration) -> bootstrap_pb2.Bootstrap:
    """
    Return the bootstrap with all resources inline instead of subscriptions; only secrets stay files.
    """
    result = bootstrap_pb2.Bootstrap()
    result.CopyFrom(configuration.bootstrap)
    result.ClearField("dynamic_resources")
    result.static_resources.secrets.extend(configuration.secrets)
    result.static_resources.clusters.extend(_clusters(configuration))
    result.static_resources.listeners.extend(configuration.listeners)
    routes = {routes.name: routes for routes in configuration.routes}
    for listener in result.static_resources.listeners:
        for chain in listener.filter_chains:
            for network in chain.filters:
                if network.name == MANAGER:
                    manager = hcm.HttpConnectionManager()
                    network.typed_config.Unpack(manager)
                    if manager.rds.route_config_name in routes:
                        manager.route_config.CopyFrom(routes[manager.rds.route_config_name])
                    network.typed_config.CopyFrom(packed(manager))
    _name_secrets(result.static_resources)
    return result


def _name_secrets(message: Any) -> None:
    """
    Replace every subscription to a secret by a reference to the secret in the same file.
    """
    for field, value in message.ListFields():
        for item in _messages(field, value):
            if isinstance(item, any_pb2.Any):
                inner = unpacked(item)
                _name_secrets(inner)
                item.CopyFrom(packed(inner))
            elif isinstance(item, tls_pb2.SdsSecretConfig):
                item.ClearField("sds_config")
            else:
                _name_secrets(item)


def _messages(field: Any, value: Any) -> Iterator[Any]:
    if field.message_type is None:
        return
    if not field.is_repeated:
        yield value
    elif field.message_type.GetOptions().map_entry:
        yield from (item for item in value.values() if isinstance(item, Message))
    else:
        yield from value


def _clusters(configuration: Configuration) -> list[cluster_pb2.Cluster]:
    assignments = {assignment.cluster_name: assignment for assignment in configuration.endpoints}
    result = []
    for cluster in configuration.clusters:
        copied = cluster_pb2.Cluster()
        copied.CopyFrom(cluster)
        if copied.name in assignments:
            copied.ClearField("eds_cluster_config")
            copied.type = cluster_pb2.Cluster.STATIC
            copied.load_assignment.CopyFrom(assignments[copied.name])
        result.append(copied)
    return result


def refusal(envoy: str, configuration: Configuration) -> str:
    """
    Return why Envoy rejects a configuration, in its own words; empty if it accepts it.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bootstrap.json"
        path.write_text(to_json(as_dict(static_bootstrap(configuration))), encoding="utf-8")
        command = [envoy, "--mode", "validate", "--config-path", str(path), "--log-level", "critical"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=VALIDATE_S, check=False)
    if done.returncode == 0:
        return ""
    output = " ".join((done.stdout + done.stderr).split())
    return PREAMBLE.sub("", output)[-MAX_REASON:]
