"""
VirtualService `headers` -> Envoy's header operations (istio: route.go TranslateHeadersOperations).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from envoy.config.core.v3 import base_pb2

from translator.model.values import Block


@dataclass(frozen=True)
class HeaderOperations:
    """
    The changes to the headers of a request and of its response, and the rewritten authority.
    """

    request_add: tuple[Any, ...] = ()
    request_remove: tuple[str, ...] = ()
    response_add: tuple[Any, ...] = ()
    response_remove: tuple[str, ...] = ()
    authority: str = ""

    def apply(self, target: Any) -> None:
        """
        Add the operations to a route or a weighted cluster.
        """
        target.request_headers_to_add.extend(self.request_add)
        target.request_headers_to_remove.extend(self.request_remove)
        target.response_headers_to_add.extend(self.response_add)
        target.response_headers_to_remove.extend(self.response_remove)


def header_operations(block: Block | None) -> HeaderOperations:
    """
    Return the operations of a `headers` block: set first, then add, each sorted by name.
    """
    block = block or {}
    request, response = block.get("request", {}), block.get("response", {})
    return HeaderOperations(
        request_add=tuple(_added(request)),
        request_remove=tuple(name for name in request.get("remove", ()) if not _internal(name)),
        response_add=tuple(_added(response)),
        response_remove=tuple(name for name in response.get("remove", ()) if not _internal(name)),
        authority=_authority(request.get("set", {})) or _authority(request.get("add", {})),
    )


def _added(operations: Block) -> Iterator[base_pb2.HeaderValueOption]:
    actions = base_pb2.HeaderValueOption
    for group, action in (("set", actions.OVERWRITE_IF_EXISTS_OR_ADD), ("add", actions.APPEND_IF_EXISTS_OR_ADD)):
        for name, value in sorted(operations.get(group, {}).items()):
            if not _internal(name):
                yield actions(header=base_pb2.HeaderValue(key=name, value=value), append_action=action)


def _internal(name: str) -> bool:
    """
    Return whether Envoy forbids changing a header of this name.
    """
    return name.startswith(":") or name.lower() == "host"


def _authority(headers: Mapping[str, str]) -> str:
    return next((value for name, value in sorted(headers.items()) if name.lower() in (":authority", "host")), "")
