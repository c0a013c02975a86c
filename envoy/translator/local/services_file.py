"""
The file of services: what runs, where, and how it is started; and the registry that it comes to.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from translator.model.problems import InvalidMesh, Problem

MAX_SERVICES, MAX_REPLICAS = 200, 200
# Ports below need root, so the sidecar of such a port takes calls at another one.
FIRST_FREE_PORT, MOVED_BY, APPLICATION_BY = 1024, 8000, 20000
ADMIN, FIRST_OUTBOUND = 15000, 15001
# Whoever calls from outside, over the sidecar that `up` starts beside the services.
CLIENT = "client"
LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServicePort(_Strict):
    """
    A port by which a service is called; its name begins with the protocol, as in Istio.
    """

    name: str = Field(pattern=r"^(http|http2|grpc)(-[a-z0-9-]+)?$")
    port: int = Field(gt=0, le=45000)
    health: str = Field(default="/", pattern="^/")


class Service(_Strict):
    """
    A service: what starts a replica of it, and how it is called.
    """

    name: str = Field(pattern=LABEL, max_length=63)
    command: tuple[str, ...] = Field(min_length=1)
    ports: tuple[ServicePort, ...] = Field(min_length=1)
    namespace: str = Field(default="default", pattern=LABEL, max_length=63)
    replicas: int = Field(default=1, ge=1, le=MAX_REPLICAS)
    labels: Mapping[str, str] = Field(default_factory=dict)
    environment: Mapping[str, str] = Field(default_factory=dict)


class Services(_Strict):
    """
    The whole file; *network* is N of the addresses 127.N.SERVICE.REPLICA.
    """

    services: tuple[Service, ...] = Field(min_length=1, max_length=MAX_SERVICES)
    network: int = Field(default=90, ge=1, le=254)


@dataclass(frozen=True)
class Replica:
    """
    One replica: its workload's name, the command that starts it, and its environment.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


def read_services(path: Path) -> Services:
    """
    Return the services of a file; `InvalidMesh` names every field that is wrong.
    """
    try:
        found = Services.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InvalidMesh([Problem(str(path), "", "", error.strerror or "cannot be read")]) from None
    except yaml.YAMLError as error:
        raise InvalidMesh([Problem(str(path), "", "", " ".join(str(error).split()))]) from None
    except ValidationError as error:
        problems = [Problem(str(path), "", ".".join(map(str, e["loc"])), e["msg"]) for e in error.errors()]
        raise InvalidMesh(problems) from None
    names = [service.name for service in found.services]
    twice = sorted({name for name in names if names.count(name) > 1 or name == CLIENT})
    if twice:
        raise InvalidMesh([Problem(str(path), "", "services", f"{name!r} is there already") for name in twice])
    return found


def registry(services: Services) -> dict[str, Any]:
    """
    Return the registry of the services, with a sidecar for each replica and one for the client.
    """
    client = _workload(services, CLIENT, CLIENT, services.services[0].namespace, {}, 0, 1)
    return {
        "services": [
            {
                "name": service.name,
                "namespace": service.namespace,
                "selector": {"app": service.name},
                "ports": [{"name": p.name, "port": p.port, "targetPort": _sidecar_port(p)} for p in service.ports],
            }
            for service in services.services
        ],
        "workloads": [*(workload for _, workload in _replicas(services)), client],
    }


def _replicas(services: Services) -> Iterator[tuple[Service, dict[str, Any]]]:
    for number, service in enumerate(services.services, 1):
        for replica in range(service.replicas):
            name = f"{service.name}-{replica}"
            labels = {"app": service.name, **service.labels}
            made = _workload(services, name, service.name, service.namespace, labels, number, replica + 1)
            made["inbound"] = [_inbound(made["address"], port) for port in service.ports]
            yield service, made


def _inbound(address: str, port: ServicePort) -> dict[str, Any]:
    # gRPC has a health service of its own.
    health = {} if port.name.startswith("grpc") else {"health": port.health}
    return {"port": _sidecar_port(port), "application": f"{address}:{_application_port(port)}", **health}


def _workload(
    services: Services, name: str, account: str, namespace: str, labels: Mapping[str, str], number: int, replica: int
) -> dict[str, Any]:
    address = f"127.{services.network}.{number}.{replica}"
    return {
        "name": name,
        "namespace": namespace,
        "serviceAccount": account,
        "labels": dict(labels) or {"app": account},
        "address": address,
        "outbound": [{"port": port, "listen": f"{address}:{at}"} for port, at in outbound_ports(services).items()],
        "admin": f"{address}:{ADMIN}",
    }


def client_address(services: Services) -> str:
    """
    Return the address of the sidecar for calls from outside.
    """
    return f"127.{services.network}.0.1"


def outbound_ports(services: Services) -> dict[int, int]:
    """
    Return where a sidecar takes its application's calls, by the port of the service that is called.
    """
    ports = sorted({port.port for service in services.services for port in service.ports})
    return {port: FIRST_OUTBOUND + number for number, port in enumerate(ports)}


def _sidecar_port(port: ServicePort) -> int:
    return port.port if port.port >= FIRST_FREE_PORT else port.port + MOVED_BY


def _application_port(port: ServicePort) -> int:
    return port.port + APPLICATION_BY


def replicas(services: Services) -> Iterator[Replica]:
    """
    Yield every replica with what its application is told: where to listen, and over what it calls others.
    """
    for service, workload in _replicas(services):
        address = workload["address"]
        over = {port: f"{address}:{at}" for port, at in outbound_ports(services).items()}
        http = next((port.port for each in services.services for port in each.ports if "grpc" not in port.name), None)
        environment = {f"MESH_{port}": place for port, place in over.items()}
        if http is not None:
            # Clients of HTTP/1 call a service by its name over their sidecar without another line of code.
            environment |= {"http_proxy": f"http://{over[http]}", "HTTP_PROXY": f"http://{over[http]}"}
        environment |= {"NAME": workload["name"], "HOST": address, "PORT": str(_application_port(service.ports[0]))}
        yield Replica(workload["name"], service.command, {**os.environ, **environment, **service.environment})
