"""The part of the descriptor set that the transcoder reads, small enough to be embedded in its configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    MethodOptions,
)

# The transcoder prints error details as JSON only if it knows their types.
ALSO_NEEDED = ("google/rpc/status.proto", "google/rpc/error_details.proto")


def for_transcoder(files: FileDescriptorSet, services: Sequence[str]) -> FileDescriptorSet:
    """
    Return the descriptors of *services* and error details, without comments and without any option but the REST
    bindings.

    Measured on this contract: 8 kB instead of 275 kB; the rest were comments and validation rules.
    """
    bare = {file.name: _bare(file) for file in files.file}
    home = {name: file.name for file in bare.values() for name in _defined(file)}
    for file in bare.values():
        needed = {home[name] for name in _referenced(file)} - {file.name}
        del file.dependency[:]
        file.dependency.extend(sorted(needed))
    wanted = {home[f".{service}"] for service in services} | set(ALSO_NEEDED)
    return FileDescriptorSet(file=[bare[name] for name in _in_order(bare, sorted(wanted))])


def _in_order(files: dict[str, FileDescriptorProto], wanted: Sequence[str]) -> list[str]:
    """
    Return *wanted* and their imports, dependencies first.
    """
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        if name not in order:
            for imported in files[name].dependency:
                visit(imported)
            order[name] = None

    for name in wanted:
        visit(name)
    return list(order)


def _bare(file: FileDescriptorProto) -> FileDescriptorProto:
    bare = FileDescriptorProto.FromString(file.SerializeToString())
    for name in ("source_code_info", "options", "extension"):
        bare.ClearField(name)
    for message in _messages(bare.message_type):
        _strip_message(message)
    for enum in [*bare.enum_type, *(e for m in _messages(bare.message_type) for e in m.enum_type)]:
        enum.ClearField("options")
        for value in enum.value:
            value.ClearField("options")
    for service in bare.service:
        service.ClearField("options")
        for method in service.method:
            _strip_method(method)
    return bare


def _strip_message(message: DescriptorProto) -> None:
    # Only this option affects how a message is decoded.
    entry = message.options.map_entry
    message.ClearField("options")
    message.ClearField("extension")
    if entry:
        message.options.map_entry = True
    for part in [*message.field, *message.oneof_decl]:
        part.ClearField("options")


def _strip_method(method: MethodDescriptorProto) -> None:
    bound = method.options.HasExtension(annotations_pb2.http)
    rule = method.options.Extensions[annotations_pb2.http]
    options = MethodOptions()
    if bound:
        options.Extensions[annotations_pb2.http].CopyFrom(rule)
    method.ClearField("options")
    if bound:
        method.options.CopyFrom(options)


def _messages(messages: Sequence[DescriptorProto]) -> Iterator[DescriptorProto]:
    for message in messages:
        yield message
        yield from _messages(message.nested_type)


def _defined(file: FileDescriptorProto) -> Iterator[str]:
    package = f".{file.package}" if file.package else ""
    yield from _named(package, file.message_type)
    yield from (f"{package}.{enum.name}" for enum in file.enum_type)
    yield from (f"{package}.{service.name}" for service in file.service)


def _named(scope: str, messages: Sequence[DescriptorProto]) -> Iterator[str]:
    for message in messages:
        name = f"{scope}.{message.name}"
        yield name
        yield from (f"{name}.{enum.name}" for enum in message.enum_type)
        yield from _named(name, message.nested_type)


def _referenced(file: FileDescriptorProto) -> Iterator[str]:
    for message in _messages(file.message_type):
        yield from (field.type_name for field in message.field if field.type_name)
    for service in file.service:
        for method in service.method:
            yield from (method.input_type, method.output_type)
