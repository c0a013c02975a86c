"""
Merges one message into another as Istio does (istio: pilot/pkg/util/runtime, networking/util/merge).
"""

from typing import Any

from google.protobuf.message import Message

from translator.config.protoconv import ANY, packed, unpacked

WHOLE = frozenset({"google.protobuf.Duration", "google.protobuf.Struct"})


def merge(target: Any, source: Any) -> None:
    """
    Merge *source* into *target* as Istio does.

    Lists are appended, durations and map entries replaced, packed messages merged.
    """
    for descriptor, value in source.ListFields():
        mine = getattr(target, descriptor.name)
        if descriptor.is_repeated and _is_map(descriptor):
            _merge_map(mine, value)
        elif descriptor.is_repeated:
            mine.extend(value)
        elif descriptor.message_type is None:
            setattr(target, descriptor.name, value)
        elif descriptor.message_type.full_name == ANY:
            _merge_any(mine, value)
        elif descriptor.message_type.full_name in WHOLE:
            mine.CopyFrom(value)
        else:
            mine.SetInParent()
            merge(mine, value)


def _is_map(descriptor: Any) -> bool:
    return descriptor.message_type is not None and descriptor.message_type.GetOptions().map_entry


def _merge_map(target: Any, source: Any) -> None:
    for key, value in source.items():
        if isinstance(value, Message):
            target[key].CopyFrom(value)
        else:
            target[key] = value


def _merge_any(target: Any, source: Any) -> None:
    if target.type_url != source.type_url:
        target.CopyFrom(source)
        return
    merged = unpacked(target)
    merge(merged, unpacked(source))
    target.CopyFrom(packed(merged))
