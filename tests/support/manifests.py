"""What the variants of k8s/ render to, rendered once in each process of tests."""

from __future__ import annotations

import functools
import pickle
from typing import Any

from tools.manifests.variants import VARIANTS, render


def rendered(variant: str) -> list[dict[str, Any]]:
    """Return the objects of one of `VARIANTS`: a copy, which the caller may change."""
    objects: list[dict[str, Any]] = pickle.loads(_rendered(variant))
    return objects


@functools.cache
def _rendered(variant: str) -> bytes:
    # kustomize takes most of a second; copies of its result are made 30 times as fast from bytes as by `deepcopy`.
    return pickle.dumps(render(VARIANTS[variant]))
