"""
The whole translation: from registry and resources to the configuration of every Envoy.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from translator.config.bootstrap import bootstrap
from translator.config.cluster import inbound_clusters, outbound_clusters
from translator.config.envoyfilter.apply import apply_patches
from translator.config.envoyfilter.patch import Patched, PlacedCluster
from translator.config.gateway import gateway_listeners, gateway_routes
from translator.config.httproute import outbound_routes
from translator.config.listener import GATEWAY, INBOUND, OUTBOUND
from translator.config.listener_inbound import inbound_listeners
from translator.config.listener_outbound import outbound_listeners
from translator.config.request_authentication import jwks_clusters
from translator.config.secrets import Layout, Secrets
from translator.model.mesh import Mesh
from translator.model.problems import BlockError, InvalidMesh, Problem
from translator.model.proxy import Proxy
from translator.model.registry import GATEWAY as GATEWAY_KIND
from translator.model.registry import Workload


@dataclass(frozen=True)
class Configuration:
    """
    The complete configuration of one Envoy.
    """

    workload: Workload
    bootstrap: bootstrap_pb2.Bootstrap
    listeners: tuple[listener_pb2.Listener, ...]
    routes: tuple[route_pb2.RouteConfiguration, ...]
    clusters: tuple[cluster_pb2.Cluster, ...]
    endpoints: tuple[endpoint_pb2.ClusterLoadAssignment, ...]
    secrets: tuple[secret_pb2.Secret, ...]


def layout(workload: Workload, *, out: Path, certificates: Path) -> Layout:
    """
    Return the locations of a workload's files.
    """
    identity = certificates / "ns" / workload.namespace / "sa" / workload.service_account
    return Layout(out / workload.name, identity, certificates / "credentials")


def translate(mesh: Mesh, *, out: Path, certificates: Path) -> tuple[Configuration, ...]:
    """
    Return the configuration of every workload; `InvalidMesh` lists what cannot be translated.
    """
    configurations: list[Configuration] = []
    problems: list[Problem] = []
    for workload in mesh.registry.workloads:
        try:
            configurations.append(
                translate_workload(mesh, workload, layout(workload, out=out, certificates=certificates))
            )
        except InvalidMesh as error:
            problems += error.problems
        except BlockError as error:
            problems.append(Problem("registry", workload.name, error.path, error.message))
    if problems:
        raise InvalidMesh(problems)
    return tuple(configurations)


def translate_workload(mesh: Mesh, workload: Workload, where: Layout) -> Configuration:
    """
    Return the configuration of one workload.
    """
    proxy, secrets = Proxy(mesh, workload), Secrets(where)
    gateway = workload.kind == GATEWAY_KIND
    listeners = gateway_listeners(proxy, secrets) if gateway else _sidecar_listeners(proxy, secrets)
    routes = gateway_routes(proxy) if gateway else outbound_routes(proxy)
    outbound = list(outbound_clusters(proxy, secrets))
    context = GATEWAY if gateway else OUTBOUND
    clusters = [
        *(PlacedCluster(context, cluster) for cluster, _ in outbound),
        *(PlacedCluster(context, cluster) for cluster in jwks_clusters(proxy, secrets)),
        *(PlacedCluster(INBOUND, cluster, hosts) for cluster, hosts in inbound_clusters(proxy)),
    ]
    patched = apply_patches(proxy, Patched(context, list(listeners), list(routes), clusters))
    return Configuration(
        workload=workload,
        bootstrap=bootstrap(proxy, where),
        listeners=_sorted(placed.listener for placed in patched.listeners),
        routes=_sorted(patched.routes),
        clusters=_sorted(placed.cluster for placed in patched.clusters),
        endpoints=tuple(sorted((a for _, a in outbound if a is not None), key=lambda item: str(item.cluster_name))),
        secrets=tuple(secrets.resources()),
    )


def _sidecar_listeners(proxy: Proxy, secrets: Secrets) -> Iterator[Any]:
    yield from inbound_listeners(proxy, secrets)
    yield from outbound_listeners(proxy, secrets)


def _sorted(messages: Iterator[Any] | list[Any]) -> tuple[Any, ...]:
    return tuple(sorted(messages, key=lambda message: str(message.name)))
