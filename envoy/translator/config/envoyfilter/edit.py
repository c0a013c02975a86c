"""
Patches the items of a list, whose order matters.
"""

import copy
from collections.abc import Callable
from typing import Any

from translator.config.envoyfilter.merge import merge
from translator.config.envoyfilter.patch import ADD, MERGE, REMOVE, Patch


def edit(
    items: Any,
    patches: list[Patch],
    test: Callable[[Patch], Callable[[Any], bool]],
    chosen: Callable[[Patch], bool],
    *,
    all_of: bool = False,
) -> None:
    """
    Change a list: additions, insertions, replacements and removals first, in order, then merges.

    *chosen* tells whether a patch selects certain items; *all_of* lets one that does not remove them all.
    """
    result = list(items)
    for patch in patches:
        if patch.operation != MERGE:
            result = _inserted(result, patch, test(patch), certain=chosen(patch) or all_of)
    result = [copy.deepcopy(item) for item in result]
    for patch in patches:
        for item in result if patch.operation == MERGE else ():
            if test(patch)(item):
                merge(item, patch.value)
    replace_all(items, result)


def _inserted(items: list[Any], patch: Patch, test: Callable[[Any], bool], *, certain: bool) -> list[Any]:
    place = next((number for number, item in enumerate(items) if test(item)), None)
    if patch.operation == REMOVE:
        return [item for item in items if not test(item)] if certain else items
    if patch.operation == "REPLACE":
        return [patch.value if certain and number == place else item for number, item in enumerate(items)]
    if patch.operation == ADD:
        return [*items, patch.value]
    if patch.operation == "INSERT_FIRST":
        return [patch.value, *items]
    if not certain:
        return [patch.value, *items] if patch.operation == "INSERT_BEFORE" else [*items, patch.value]
    if place is None:
        return items
    at = place + (patch.operation == "INSERT_AFTER")
    return [*items[:at], patch.value, *items[at:]]


def replace_all(items: Any, result: list[Any]) -> None:
    """
    Replace the items of a repeated field by copies of *result*.
    """
    copies = [copy.deepcopy(item) for item in result]
    del items[:]
    items.extend(copies)
