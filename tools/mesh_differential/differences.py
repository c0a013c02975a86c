"""
Where two projections differ: the path of each place, and both sides.
"""

from collections.abc import Iterator
from typing import Any

ABSENT = "(absent)"


def differences(ours: Any, istio: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """
    Yield each place in which *ours* and *istio* are not the same.
    """
    if ours == istio:
        return
    if isinstance(ours, dict) and isinstance(istio, dict):
        for key in sorted({*ours, *istio}):
            yield from differences(ours.get(key, ABSENT), istio.get(key, ABSENT), f"{path}/{key}")
    elif isinstance(ours, list) and isinstance(istio, list) and len(ours) == len(istio):
        for number, (mine, theirs) in enumerate(zip(ours, istio, strict=True)):
            yield from differences(mine, theirs, f"{path}[{number}]")
    else:
        yield path, ours, istio
