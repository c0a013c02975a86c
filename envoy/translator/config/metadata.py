"""
The origin of a piece of configuration (istio: networking/util BuildConfigInfoMetadata).
"""

from envoy.config.core.v3 import base_pb2
from google.protobuf import struct_pb2

from translator.model.resources import Resource


def config_metadata(resource: Resource) -> base_pb2.Metadata:
    """
    Return the metadata with the origin of a piece of configuration, as Istio records it.
    """
    group = "security.istio.io" if "Auth" in resource.kind else "networking.istio.io"
    kind = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in resource.kind).lstrip("-")
    content = struct_pb2.Struct()
    content["config"] = f"/apis/{group}/v1/namespaces/{resource.namespace}/{kind}/{resource.name}"
    return base_pb2.Metadata(filter_metadata={"istio": content})
