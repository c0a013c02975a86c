"""
VirtualServices: the gateways they are bound to (istio: model/virtualservice.go).
"""

from translator.model.resources import Resource

MESH = "mesh"


def bound_gateways(resource: Resource) -> set[str]:
    """
    Return the gateways of a VirtualService by full name; without any, the sidecars.
    """
    return {full_gateway(name, resource.namespace) for name in resource.spec.get("gateways", ()) or (MESH,)}


def full_gateway(name: str, namespace: str) -> str:
    """
    Return a gateway's name with its namespace, as used in a resource of *namespace*.
    """
    return name if name == MESH or "/" in name else f"{namespace}/{name}"
