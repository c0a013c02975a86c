"""
VirtualServices: the gateways they are bound to (istio: model/virtualservice.go).
"""

from translator.model.resources import Resource

MESH = "mesh"


def bound_gateways(resource: Resource) -> set[str]:
    """
    The gateways of a VirtualService by full name; none given means the sidecars.
    """
    return {full_gateway(name, resource.namespace) for name in resource.spec.get("gateways", ()) or (MESH,)}


def full_gateway(name: str, namespace: str) -> str:
    """
    A gateway's name with its namespace, as a resource of *namespace* means it.
    """
    return name if name == MESH or "/" in name else f"{namespace}/{name}"
