"""
Runs tests on a mutant, in a process of its own in which it replaces the module.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

# The slowest imports that are never mutated: imported once, before forking.
AHEAD = (
    "google.protobuf", "grpc", "hypothesis.strategies", "redis.asyncio", "asyncpg", "structlog", "tenacity",
    "pydantic_settings",
    "confluent_kafka", "pytest_asyncio.plugin", "opentelemetry.trace", "prometheus_client",
    "shop.inventory.v1.inventory_service_pb2_grpc", "shop.inventory.v1.events_pb2",
    "shop.orders.v1.order_service_pb2_grpc", "shop.orders.v1.allocation_service_pb2_grpc", "shop.orders.v1.events_pb2",
)  # fmt: skip
POLL_S = 0.02


def prepare() -> None:
    """
    Import what every trial needs.
    """
    for name in AHEAD:
        import_module(name)


class Instead(importlib.abc.MetaPathFinder):
    """An import finder that substitutes *source* for a module."""

    def __init__(self, module: str, path: Path, source: str) -> None:
        self._module = module
        self._loader = _Loader(module, str(path), source)

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        """
        Return a spec for the one module.
        """
        if fullname != self._module:
            return None
        return importlib.util.spec_from_file_location(fullname, self._loader.path, loader=self._loader)


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.path, "exec")


def passes(instead: Instead | None, tests: str, *, within_s: float) -> bool:
    """
    Return whether *tests* pass; those that do not end *within_s* fail.
    """
    child = os.fork()
    if child == 0:
        _be_tested(instead, tests)
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        gone, status = os.waitpid(child, os.WNOHANG)
        if gone:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(POLL_S)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _be_tested(instead: Instead | None, tests: str) -> None:
    code = 1
    try:
        os.setsid()
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        if instead is not None:
            sys.meta_path.insert(0, instead)
        code = pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-p", "no:schemathesis", tests])
    finally:
        os._exit(code)
