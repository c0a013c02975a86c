"""
A process that has collected the tests, and runs some of them on each mutant in a child of its own.
"""

import contextlib
import gc
import itertools
import json
import marshal
import multiprocessing
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any

import pytest

from tools.mutation import heart, trial
from tools.mutation.program import Change

REACH_S = 1500.0
START_S = 300.0
Reach = dict[str, tuple[float, list[str]]]
"""How long each test takes, and the functions that it reaches, each as PATH:NAME."""


class Worker:
    """What the collecting process is asked; each method raises what it has raised."""

    def __init__(self, files: Sequence[str]) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=_collect_and_serve, args=(far, files))
        self._process.start()
        far.close()

    def reach(self, files: Sequence[str]) -> Reach:
        """Run the tests of *files* on the code as it is, and tell what each reaches."""
        found: Reach = self._ask("reach", files, within_s=REACH_S)
        return found

    def killer(self, path: str, change: Change, names: Sequence[str], within_s: float) -> str | None:
        """Return the first of the tests to fail, "" if none does, None if *change* needs a new import."""
        code = marshal.dumps(change.functions)
        killer: str | None = self._ask("functions", path, code, names, within_s, within_s=within_s)
        return killer

    def script_killer(self, name: str, text: str, names: Sequence[str], within_s: float) -> str:
        """Return the first of the tests to fail when the script *name* is *text*."""
        killer: str = self._ask("script", name, text, names, within_s, within_s=within_s)
        return killer

    def close(self) -> None:
        """End the process and the stores that it has started."""
        with contextlib.suppress(OSError):
            self._pipe.send(None)
        self._process.join(START_S)

    def _ask(self, *question: Any, within_s: float) -> Any:
        self._pipe.send(question)
        if not self._pipe.poll(within_s + START_S):
            raise TimeoutError(question[0])
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


def _collect_and_serve(pipe: Connection, files: Sequence[str]) -> None:
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    pytest.main([*trial.OPTIONS, *files], plugins=[Serving(pipe)])


class Serving:
    """Takes the place of pytest's own loop over the tests."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._stores = contextlib.ExitStack()
        self._functions: dict[str, list[FunctionType]] = {}
        self._items: dict[str, pytest.Item] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Answer until there is no more question."""
        self._items = {each.nodeid: each for each in session.items}
        self._functions = _functions_by_path()
        gc.freeze()
        with self._stores:
            while (question := self._pipe.recv()) is not None:
                try:
                    self._pipe.send(self._answer(question[0])(*question[1:]))
                except Exception as error:
                    self._pipe.send(RuntimeError(repr(error)))
        return True

    def _answer(self, word: str) -> Callable[..., Any]:
        answers: dict[str, Callable[..., Any]] = {
            "reach": self._reach,
            "functions": self._functions_killer,
            "script": self._script_killer,
        }
        return answers[word]

    def _reach(self, files: Sequence[str]) -> Reach:
        items = [each for name, each in self._items.items() if name.partition("::")[0] in files]
        self._start_stores(items)
        written = trial.in_child(lambda writing: _trace(items, writing), within_s=REACH_S)
        found: Reach = json.loads(written)
        if len(found) != len(items):
            raise RuntimeError(f"of {len(items)} tests {len(found)} were traced")
        return found

    def _functions_killer(self, path: str, code: bytes, names: Sequence[str], within_s: float) -> str | None:
        changed = marshal.loads(code)  # noqa: S302 - from our own parent

        def put() -> bool:
            return trial.exchange(self._functions.get(path, []), changed)

        return self._killer(put, names, within_s)

    def _script_killer(self, name: str, text: str, names: Sequence[str], within_s: float) -> str | None:
        return self._killer(lambda: _put_script(name, text), names, within_s)

    def _killer(self, put: Callable[[], bool], names: Sequence[str], within_s: float) -> str | None:
        items = [self._items[name] for name in names]
        self._start_stores(items)

        def run(writing: int) -> None:
            if not put():
                os.write(writing, b"?")
                return
            items[0].config.pluginmanager.register(trial.FirstFailure(writing))
            _run(items)

        killer = trial.in_child(run, within_s=within_s).decode()
        return None if killer == "?" else killer

    def _start_stores(self, items: Sequence[pytest.Item]) -> None:
        """
        Start what the tests would start for a session: once, for all the children.
        """
        # Unit tests call their stand-ins by the same names.
        real = [item for item in items if not item.nodeid.startswith(heart.UNIT)]
        fixtures = {name for item in real for name in getattr(item, "fixturenames", ())}
        if "kafka" in fixtures and "TEST_KAFKA" not in os.environ:
            from tests.support.kafka_server import running_kafka

            os.environ["TEST_KAFKA"] = self._stores.enter_context(running_kafka())
        if "postgres" in fixtures:
            components = sys.modules["tests.components.conftest"]
            if not hasattr(components, "shared"):
                server = self._stores.enter_context(components.running_postgres())
                components.shared = server  # type: ignore[attr-defined]
                components.running_postgres = lambda: contextlib.nullcontext(server)  # type: ignore[attr-defined]


def _functions_by_path() -> dict[str, list[FunctionType]]:
    here = f"{Path.cwd()}/"
    found = defaultdict(list)
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename.startswith(here):
            found[each.__code__.co_filename.removeprefix(here)].append(each)
    return found


def _put_script(name: str, text: str) -> bool:
    loader = sys.modules[heart.LUA_LOADER]
    files = loader._files

    class Other:
        """A file with the text of the mutant."""

        def __init__(self) -> None:
            self.name = name

        def read_text(self) -> str:
            """Return it."""
            return text

    loader._files = lambda: [Other() if each.name == name else each for each in files()]  # type: ignore[attr-defined]
    return True


def _run(items: Sequence[pytest.Item]) -> None:
    # Databases of children that were ended are still there: each child counts from another number.
    components = sys.modules.get("tests.components.conftest")
    if components is not None:
        components.NUMBERS = itertools.count(os.getpid() * 1000)  # type: ignore[attr-defined]
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


def _trace(items: Sequence[pytest.Item], writing: int) -> None:
    here = f"{Path.cwd()}/"
    found: Reach = {}
    reached: set[str] = set()

    def look(frame: FrameType, _event: str, _argument: Any) -> None:
        path = frame.f_code.co_filename
        if path.startswith(here):
            reached.add(f"{path.removeprefix(here)}:{frame.f_code.co_qualname}")

    class Tracing:
        """Around each test."""

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
            """Note what it reaches."""
            reached.clear()
            began = time.monotonic()
            threading.settrace(look)
            sys.settrace(look)
            try:
                return (yield)
            finally:
                sys.settrace(None)
                found[item.nodeid] = (time.monotonic() - began, sorted(_ours(reached)))

    items[0].config.pluginmanager.register(Tracing())
    _run(items)
    with os.fdopen(os.dup(writing), "w") as out:
        json.dump(found, out)


def _ours(reached: set[str]) -> set[str]:
    return {each for each in reached if each.startswith(("orders_svc/", "inventory_svc/", "runtime/"))}
