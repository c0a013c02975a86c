"""
Runs tests on mutants, each in a process of its own.

A worker collects the tests once, and parts into a child for each mutant. A function that differs gets its new code
there; what runs at import needs a child that has imported nothing yet, which takes longer.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import CodeType, ModuleType
from typing import Any, NoReturn

import hypothesis
import pytest

# What takes longest to import, and is never mutated: imported once, before the processes part.
AHEAD = (
    "google.protobuf", "grpc", "hypothesis.strategies", "redis.asyncio", "asyncpg", "structlog", "tenacity",
    "pydantic_settings",
    "confluent_kafka", "pytest_asyncio.plugin", "opentelemetry.trace", "prometheus_client",
    "shop.inventory.v1.inventory_service_pb2_grpc", "shop.inventory.v1.events_pb2",
    "shop.orders.v1.order_service_pb2_grpc", "shop.orders.v1.allocation_service_pb2_grpc", "shop.orders.v1.events_pb2",
)  # fmt: skip
OPTIONS = ("-q", "-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:xdist", "--assert=plain")
TOO_LONG = "no end"
"""The killer of a mutant whose tests do not end."""
STOPPED = "ended before its tests"


@dataclass(frozen=True)
class Instead:
    """A module's *source* and the text that is in its place."""

    module: str
    path: str
    source: str


def prepare() -> None:
    """
    Import what every trial needs; a failing example is neither kept for the next mutant nor made small.
    """
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutation", database=None, derandomize=True, phases=phases)
    hypothesis.settings.load_profile("mutation")
    for name in AHEAD:
        import_module(name)


def in_child(work: Callable[[int], None], *, within_s: float) -> bytes:
    """
    Return what *work* has written to the file that it is given, in a process of its own; `TOO_LONG` without an end.
    """
    # A test that fails ends the process before anything is tidied up.
    with tempfile.TemporaryDirectory(prefix="mutant-", ignore_cleanup_errors=True) as folder:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            _be_child(work, writing, folder)
        os.close(writing)
        try:
            return _read_all(reading, time.monotonic() + within_s)
        except TimeoutError:
            return TOO_LONG.encode()
        finally:
            os.close(reading)
            _end_group(child)


def _be_child(work: Callable[[int], None], writing: int, folder: str) -> NoReturn:
    try:
        os.setsid()
        tempfile.tempdir = folder
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        work(writing)
    except BaseException:
        os.write(writing, STOPPED.encode())
    finally:
        os._exit(0)


def _read_all(reading: int, end: float) -> bytes:
    parts: list[bytes] = []
    while True:
        if not select.select([reading], [], [], max(0.0, end - time.monotonic()))[0]:
            raise TimeoutError
        part = os.read(reading, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)


def _end_group(child: int) -> None:
    """End the child and what it has started."""
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


class FirstFailure:
    """Writes the name of the first test that fails, and ends the process."""

    def __init__(self, writing: int) -> None:
        self._writing = writing

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Look at one phase of one test."""
        if report.failed:
            self._report(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Look at a file that could not be read."""
        if report.failed:
            self._report(report.nodeid)

    def _report(self, name: str) -> NoReturn:
        os.write(self._writing, name.encode())
        os._exit(0)


class Only:
    """Runs the tests of these names, in this order."""

    def __init__(self, names: Sequence[str]) -> None:
        self._places = {name: place for place, name in enumerate(names)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out the others."""
        items[:] = sorted((each for each in items if each.nodeid in self._places), key=self._place)

    def _place(self, item: pytest.Item) -> int:
        return self._places[item.nodeid]


def imported_anew(instead: Instead, names: Sequence[str], *, within_s: float) -> str:
    """
    Return the test among *names* that fails when *instead* is what is imported, "" if none does.
    """
    files = sorted({name.partition("::")[0] for name in names})

    def run(writing: int) -> None:
        sys.meta_path.insert(0, Finder(instead))
        code = pytest.main([*OPTIONS, *files], plugins=[FirstFailure(writing), Only(names)])
        if code != pytest.ExitCode.OK:
            os.write(writing, STOPPED.encode())

    return in_child(run, within_s=within_s).decode()


class Finder(importlib.abc.MetaPathFinder):
    """Finds a text where a module's own would be."""

    def __init__(self, instead: Instead) -> None:
        self._module = instead.module
        self._loader = _Loader(instead.module, instead.path, instead.source)

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


def exchange(functions: Iterable[Any], code: dict[tuple[str, int], CodeType]) -> bool:
    """
    Give *functions* their new code, by name and line; False if there is none, or it needs what a function lacks.
    """
    exchanged = False
    for function in functions:
        old = function.__code__
        new = code.get((old.co_qualname, old.co_firstlineno))
        if new is None:
            continue
        if len(new.co_freevars) != len(old.co_freevars):
            return False
        function.__code__ = new
        exchanged = True
    return exchanged
