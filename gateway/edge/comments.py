"""The comments of the contract by the full name of the element they describe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet

Path = tuple[int, ...]
# Directives for tools are removed.
_INSTRUCTION = re.compile(r"^\s*buf:lint:ignore.*$", re.MULTILINE)
# Field numbers of descriptor.proto, which make up the source paths of comments.
_FILE_MESSAGE, _FILE_ENUM, _FILE_SERVICE = 4, 5, 6
_MESSAGE_FIELD, _MESSAGE_MESSAGE, _MESSAGE_ENUM = 2, 3, 4
_ENUM_VALUE, _SERVICE_METHOD = 2, 2


class _Named(Protocol):
    @property
    def name(self) -> str: ...


def of_files(files: FileDescriptorSet) -> dict[str, str]:
    """
    Return the comments of *files*, with wrapped lines joined.
    """
    return {name: text for file in files.file for name, text in _of_file(file)}


def _of_file(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    comments = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
    for path, name in _elements(file):
        if path in comments:
            yield name, _tidy(comments[path])


def _tidy(comment: str) -> str:
    text = _INSTRUCTION.sub("", comment)
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    return "\n\n".join(part for part in paragraphs if part)


def _elements(file: FileDescriptorProto) -> Iterator[tuple[Path, str]]:
    yield from _messages((_FILE_MESSAGE,), file.package, file.message_type)
    yield from _enums((_FILE_ENUM,), file.package, file.enum_type)
    for path, name in _children((_FILE_SERVICE,), file.package, file.service):
        yield path, name
        yield from _children((*path, _SERVICE_METHOD), name, file.service[path[-1]].method)


def _messages(path: Path, scope: str, messages: Sequence[DescriptorProto]) -> Iterator[tuple[Path, str]]:
    for place, name in _children(path, scope, messages):
        message = messages[place[-1]]
        yield place, name
        yield from _children((*place, _MESSAGE_FIELD), name, message.field)
        yield from _messages((*place, _MESSAGE_MESSAGE), name, message.nested_type)
        yield from _enums((*place, _MESSAGE_ENUM), name, message.enum_type)


def _enums(path: Path, scope: str, enums: Sequence[EnumDescriptorProto]) -> Iterator[tuple[Path, str]]:
    for place, name in _children(path, scope, enums):
        yield place, name
        yield from _children((*place, _ENUM_VALUE), name, enums[place[-1]].value)


def _children(path: Path, scope: str, parts: Iterable[_Named]) -> Iterator[tuple[Path, str]]:
    for index, part in enumerate(parts):
        yield (*path, index), f"{scope}.{part.name}"
