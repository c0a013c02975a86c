"""
What is known from earlier runs: which tests reach what, and which mutants were noticed.
"""

import ast
import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.mutation import heart
from tools.mutation.worker import Reach, Worker


@dataclass
class Suite:
    """The tests, each with how long it takes and the functions that it reaches."""

    digests: dict[str, str]
    """Of each file of tests, with all that every test uses."""
    tests: Reach
    _by_function: dict[str, list[str]] = field(default_factory=dict)
    _by_module: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, (_, reached) in sorted(self.tests.items(), key=self._place):
            for function in reached:
                self._by_function.setdefault(function, []).append(name)
                self._by_module.setdefault(function.partition(":")[0], set()).add(name.partition("::")[0])

    @classmethod
    def read(cls, checkout: Path, tests: Sequence[str], kept: Path, worker: Worker) -> "Suite":
        """
        Return *tests*; those whose file, or the code, has changed since *kept* was written are traced anew.
        """
        digests = _digests(checkout, tests)
        # Comments aside, which reach nothing.
        code = digest(ast.dump(ast.parse(path.read_text())) for path in _code(checkout))
        known: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
        if known.get("code") != code:
            known = {"code": code, "files": {}}
        files = {name: each for name, each in known["files"].items() if digests.get(name) == each["digest"]}
        for name in digests:
            if name not in files:
                files[name] = {"digest": digests[name], "tests": worker.reach([name])}
                kept.write_text(json.dumps({"code": code, "files": files}))
        return cls(digests, {name: each for file in files.values() for name, each in file["tests"].items()})

    def of_functions(self, path: str, names: Iterable[str]) -> list[str]:
        """Return the tests that reach one of the functions, the fastest first."""
        reached = {test for name in names for test in self._by_function.get(f"{path}:{name}", ())}
        return self._ordered(reached)

    def of_module(self, path: str) -> list[str]:
        """
        Return the tests of the files that run anything of a module, its import aside; of one that is only
        declarations, all of its package's.
        """
        package = f"{path.rpartition('/')[0]}/"
        near = {file for module, files in self._by_module.items() if module.startswith(package) for file in files}
        files = self._by_module.get(path, near)
        return self._ordered([name for name in self.tests if name.partition("::")[0] in files])

    def of_files(self, files: Sequence[str]) -> list[str]:
        """Return the tests of these files, one file after the other."""
        return [name for file in files for name in self._ordered(self._in(file))]

    def seconds(self, names: Iterable[str]) -> float:
        """Return how long these tests take."""
        return sum(self.tests[name][0] for name in names)

    def digest_of(self, names: Iterable[str]) -> str:
        """Return a name for the tests and what they say."""
        return digest(sorted({self.digests[name.partition("::")[0]] for name in names}))

    def _in(self, file: str) -> set[str]:
        return {name for name in self.tests if name.partition("::")[0] == file}

    def _ordered(self, names: Collection[str]) -> list[str]:
        return [name for name, _ in sorted(((name, self.tests[name]) for name in names), key=self._place)]

    def _place(self, test: tuple[str, tuple[float, list[str]]]) -> tuple[str, float]:
        name, (seconds, _) = test
        # What starts a store for a file stays with that file.
        return ("" if name.startswith(heart.UNIT) else name.partition("::")[0], seconds)


class Results:
    """What earlier runs have found out about a module's mutants, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, dict[str, str]] = json.loads(path.read_text()) if path.exists() else {}

    def get(self, key: str, names: Sequence[str], suite: Suite) -> bool | None:
        """Return whether one of the tests notices the mutant, None if that is not known of these tests as they are."""
        known = self._known.get(key)
        if known is None:
            return None
        killer = known.get("killer", "")
        if killer in names:
            return True if known["killer_digest"] == suite.digest_of([killer]) else None
        tried = suite.digest_of(names)
        if killer and known.get("killed_by") == tried:
            return True
        return False if tried in known.get("survived", "") else None

    def put(self, key: str, killer: str, names: Sequence[str], suite: Suite) -> None:
        """Keep it at once: a run may be interrupted."""
        known = self._known.setdefault(key, {})
        if killer:
            known["killer"], known["killed_by"] = killer, suite.digest_of(names)
            known["killer_digest"] = suite.digest_of([killer]) if killer in suite.tests else ""
        else:
            known["survived"] = f"{known.get('survived', '')} {suite.digest_of(names)}"
        self._path.write_text(json.dumps(self._known))


def digest(texts: Iterable[str]) -> str:
    """Return a name for *texts*."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _digests(checkout: Path, tests: Sequence[str]) -> dict[str, str]:
    shared = digest(path.read_text() for path in sorted((checkout / heart.SUPPORT).rglob("*.py")))
    files = [path for each in tests for path in _tests(checkout / each)]
    return {str(path.relative_to(checkout)): digest([shared, path.read_text()]) for path in files}


def _tests(path: Path) -> list[Path]:
    return sorted(path.rglob("test_*.py")) if path.is_dir() else [path]


def _code(checkout: Path) -> list[Path]:
    folders = {package.partition(".")[0] for package in heart.PACKAGES}
    return [path for folder in sorted(folders) for path in sorted((checkout / folder).rglob("*.py"))]
