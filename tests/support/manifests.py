"""What the variants of k8s/ render to, rendered once in each process of tests."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Iterable
from typing import Any

from tools.manifests.variants import VARIANTS, render


def rendered(variant: str) -> list[dict[str, Any]]:
    """Return the objects of one of `VARIANTS`: a copy, which the caller may change."""
    objects: list[dict[str, Any]] = pickle.loads(_rendered(variant))
    return objects


def named(objects: Iterable[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """Return the one object of this kind and name."""
    [found] = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


@functools.cache
def _rendered(variant: str) -> bytes:
    # kustomize takes most of a second; copies of its result are made 30 times as fast from bytes as by `deepcopy`.
    return pickle.dumps(render(VARIANTS[variant]))
