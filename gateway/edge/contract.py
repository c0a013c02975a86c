"""The contract as the edge sees it: which REST request maps to which gRPC method."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from google.api import annotations_pb2, field_behavior_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError

VERBS = ("get", "put", "post", "delete", "patch")
# A variable of a path template and its pattern: `{name=orders/*}`, `{shelf}`.
_VARIABLE = re.compile(r"{([a-z0-9_.]+)(?:=([^}]*))?}")


class UnusableContract(Exception):
    """The descriptor set cannot be read, or contains something that the edge cannot serve."""


@dataclass(frozen=True)
class Binding:
    """
    The mapping of a REST request to a gRPC call.

    *body* is the field of the request message that the body fills, `*` for all fields that are not in the path, or
    empty. Fields in neither path nor body may be query parameters.
    """

    verb: str
    template: str
    body: str
    method: MethodDescriptor

    @property
    def grpc_path(self) -> str:
        """Return the path of the gRPC call."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"

    @property
    def path_fields(self) -> dict[str, str]:
        """Return the fields that the path fills, each with its pattern."""
        return {name: pattern or "*" for name, pattern in _VARIABLE.findall(self.template)}

    @property
    def path(self) -> str:
        """Return the template without its variables: `/v1/orders/*:cancel`."""
        return _VARIABLE.sub(lambda found: found[2] or "*", self.template)

    @property
    def query_fields(self) -> tuple[FieldDescriptor, ...]:
        """Return the fields that the query may fill."""
        taken = {self.body, *self.path_fields}
        if self.body == "*":
            return ()
        return tuple(field for field in self.method.input_type.fields if field.name not in taken)

    @property
    def has_body(self) -> bool:
        """Return whether the request has a body."""
        return bool(self.body)

    @property
    def needs_key(self) -> bool:
        """
        Return whether the idempotency key comes in a header or the query, because the body has no field for it.
        """
        return any(field.name == "request_id" and is_required(field) for field in self.query_fields)


@dataclass(frozen=True)
class Contract:
    """The descriptor set, and the REST bindings in it."""

    files: FileDescriptorSet
    pool: DescriptorPool
    bindings: tuple[Binding, ...]

    @property
    def services(self) -> list[str]:
        """Return the full names of the services that have a REST binding."""
        return sorted({binding.method.containing_service.full_name for binding in self.bindings})

    @property
    def methods(self) -> list[str]:
        """Return the gRPC paths that the edge serves: those with a REST binding; the others are internal."""
        return sorted({binding.grpc_path for binding in self.bindings})

    def message(self, name: str) -> Descriptor:
        """
        Return the message with this full name.
        """
        return self.pool.FindMessageTypeByName(name)


def is_required(field: FieldDescriptor) -> bool:
    """
    Return whether the contract declares *field* as required.
    """
    return field_behavior_pb2.REQUIRED in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]


def load(path: Path) -> Contract:
    """
    Read the descriptor set at *path*; raises `UnusableContract` that says what is wrong with it.
    """
    try:
        files = FileDescriptorSet.FromString(path.read_bytes())
    except OSError as error:
        raise UnusableContract(f"{path}: {error.strerror}; `make protos` builds it") from error
    except DecodeError as error:
        raise UnusableContract(f"{path}: not a descriptor set; `make protos` builds it") from error
    pool = DescriptorPool()
    for file in files.file:
        pool.Add(file)
    bindings = tuple(binding for file in files.file for binding in _bindings(pool, file.name))
    if not bindings:
        raise UnusableContract(f"{path}: no method has a google.api.http binding")
    return Contract(files, pool, bindings)


def _bindings(pool: DescriptorPool, file: str) -> Iterator[Binding]:
    for service in pool.FindFileByName(file).services_by_name.values():
        for method in service.methods:
            options = method.GetOptions()
            if options.HasExtension(annotations_pb2.http):
                yield from _of_rule(method, options.Extensions[annotations_pb2.http])


def _of_rule(method: MethodDescriptor, rule: HttpRule) -> Iterator[Binding]:
    verb = rule.WhichOneof("pattern")
    if verb not in VERBS:
        raise UnusableContract(f"{method.full_name}: google.api.http has no {' / '.join(VERBS)}")
    yield Binding(verb.upper(), getattr(rule, verb), rule.body, method)
    for more in rule.additional_bindings:
        yield from _of_rule(method, more)
