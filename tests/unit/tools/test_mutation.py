"""The mutants, and the accepted survivors."""

import ast
import importlib
import os
import signal
import sys
import tempfile
from datetime import date
from pathlib import Path

import pytest
import yaml

from tools.mutation import heart, mutants
from tools.mutation.accepted import Accepted
from tools.mutation.program import change
from tools.mutation.results import Results, Suite
from tools.mutation.run import ACCEPTED, Score, page
from tools.mutation.trial import STOPPED, TOO_LONG, Finder, Instead, exchange, in_child

CHECKOUT = Path(__file__).resolve().parents[3]


def test_every_module_of_the_hearts_packages_is_mutated_or_excluded_with_a_reason():
    listed = [*heart.MODULES, *heart.EXCLUDED]
    assert sorted(listed) == sorted(heart.all_modules(CHECKOUT))
    assert all(len(reason) > 10 for reason in heart.EXCLUDED.values())


def test_every_listed_test_exists():
    assert all((CHECKOUT / each).exists() for each in (*heart.UNIT, *heart.COMPONENTS, heart.SUPPORT))
    assert set(heart.SCRIPT_TESTS) <= set(heart.COMPONENTS)
    assert list((CHECKOUT / heart.LUA_FOLDER).glob("*.lua"))


def test_an_accepted_survivor_has_a_reason_and_an_existing_line():
    for each in yaml.safe_load(ACCEPTED.read_text()):
        assert len(each["reason"]) > 10, each
        if "change" in each:
            continue
        path = each["module"] if each["module"].endswith(".lua") else heart.path_of(each["module"])
        lines = [line.strip() for line in (CHECKOUT / path).read_text().splitlines()]
        assert each["line"] in lines, each


@pytest.mark.parametrize(
    ("line", "becomes", "accepted"),
    [
        ("for a, b in zip(c, d, strict=True):", "for a, b in zip(c, d, strict=False):", True),
        ("run(strict=True)", "run(strict= not True)", False),
        ('log.error("x", keys=keys[:80])', 'log.error("x", keys=keys[: 81])', True),
        ("return keys[:80]", "return keys[: 81]", False),
        ('log.info("x", error=str(error) or type(error).__name__)',
         'log.info("x", error=str(error) and type(error).__name__)', True),
        ("CLOSE_S = 5.0", "CLOSE_S = 6.0", True),
        ("MOST = 5", "MOST = 6", False),
        ("MAX_BATCH = 128", "MAX_BATCH = 129", True),
        ("return time.monotonic() - at > WAIT_S", "return time.monotonic() - at >= WAIT_S", True),
        ("return time.monotonic() - at > WAIT_S", "return time.monotonic() + at > WAIT_S", False),
        ("return at > WAIT_S", "return at >= WAIT_S", False),
        ("super().__init__(x, retry_after_s=1)", "super().__init__(x, retry_after_s= 0)", True),
        ("await sleep(every_s if done == 0 else 0)", "await sleep(every_s if done == 0 else -1)", True),
        ("await sleep(every_s if done == 0 else 0)", "await sleep(every_s if done == -1 else 0)", False),
        ("await asyncio.sleep(0)", "return None", False),
    ],
)  # fmt: skip
def test_an_accepted_pattern_matches_only_its_kind(line, becomes, accepted):
    assert (mutants.Mutant("m", "", 1, line, becomes) in Accepted.read(ACCEPTED)) is accepted


def test_a_function_is_emptied_and_keeps_its_docstring():
    source = 'def two():\n    """Say two."""\n    return 2\n\n\ndef one():\n    return 1\n'
    declared = 'async def later():\n    """Say it later."""\n'
    assert list(mutants._emptied(declared)) == []
    emptied = list(mutants._emptied(source))
    assert [ast.unparse(ast.parse(each)) for each in emptied] == [
        'def two():\n    """Say two."""\n    return None\n\ndef one():\n    return 1',
        'def two():\n    """Say two."""\n    return 2\n\ndef one():\n    return None',
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("if a == b then", ["if a ~= b then"]),
        ("if a <= b then", ["if a < b then"]),
        ("local x = 'a == b' -- 1 + 1", []),
        ("  redis.call('DEL', key)", [""]),
        ("return a and 1", ["return a or 1", "return a and 2"]),
    ],
)
def test_lua_is_mutated_in_code_and_not_in_strings_or_comments(line, expected):
    assert [each.becomes for each in mutants.of_lua("x.lua", line)] == expected


def test_annotations_are_not_mutated():
    assert mutants._meaning("a: int | None = 1") == mutants._meaning("a: int & None = 1")
    assert mutants._meaning("a: int = 1") != mutants._meaning("a: int = 2")
    assert mutants._meaning("def f(a, +, b): pass") == mutants.NO_PROGRAM


def test_the_score_excludes_accepted_and_untried_mutants():
    survivor = mutants.Mutant("m", "", 1, "a", "b")
    assert Score("m", killed=9, accepted=5, survivors=[survivor]).share == 0.9
    assert Score("m").share == 1


def test_a_page_of_a_run_has_a_row_for_each_module_and_its_day():
    survivor = mutants.Mutant("m", "", 1, "a", "b")
    text = page([Score("m", killed=9, accepted=5, survivors=[survivor]), Score("n", killed=2)], date(2026, 1, 2))
    assert "2026-01-02" in text
    assert "| `m` | 15 | 9 | 5 | 1 | 90% |\n| `n` | 2 | 2 | 0 | 0 | 100% |\n" in text


def test_the_mutated_source_is_imported(monkeypatch):
    instead = Instead("nobody_has_this_name", "nobody_has_this_name.py", "SAID = 7")
    monkeypatch.setattr(sys, "meta_path", [Finder(instead), *sys.meta_path])
    assert importlib.import_module(instead.module).SAID == 7
    del sys.modules[instead.module]
    assert Finder(instead).find_spec("another_name", None) is None


BEFORE = """
LIMIT = 1
def outer(a=2):
    def inner():
        return a + 3
    return inner
class Box:
    size = 4
    def grow(self):
        return self.size + 5
"""


@pytest.mark.parametrize(
    ("what", "becomes", "own", "at_import"),
    [
        ("+ 3", "- 3", {"outer.<locals>.inner"}, False),
        ("+ 5", "+ 6", {"Box.grow"}, False),
        ("return inner", "return None", {"outer"}, False),
        ("LIMIT = 1", "LIMIT = 2", {"<module>"}, True),
        ("a=2", "a=3", {"<module>"}, True),
        ("size = 4", "size = 5", {"Box"}, True),
        ("LIMIT = 1", "\n\nLIMIT = 1", set(), False),
    ],
)
def test_the_mutated_function_is_found_on_any_line(what, becomes, own, at_import):
    found = change(BEFORE, BEFORE.replace(what, becomes), "before.py")
    assert set(found.own) == own
    assert found.at_import is at_import


def test_an_existing_function_gets_the_mutated_code():
    space = {}
    exec(compile(BEFORE, "before.py", "exec"), space)
    box, inner = space["Box"](), space["outer"]()
    changed = change(BEFORE, BEFORE.replace("+ 5", "+ 6").replace("+ 3", "- 3"), "before.py")
    assert exchange([space["Box"].grow, space["outer"], inner], changed.functions)
    assert (box.grow(), inner(), space["outer"]()()) == (10, -1, -1)


def test_code_that_needs_another_closure_is_not_exchanged():
    space = {}
    exec(compile(BEFORE, "before.py", "exec"), space)
    changed = change(BEFORE, BEFORE.replace("a + 3", "7"), "before.py")
    assert not exchange([space["outer"]()], changed.functions)
    assert not exchange([], changed.functions)


def test_a_child_reports_its_result_and_is_killed_after_the_limit():
    assert in_child(lambda writing: os.write(writing, b"a::b"), within_s=30) == b"a::b"
    assert in_child(lambda writing: signal.pause(), within_s=0.05) == TOO_LONG.encode()
    assert in_child(lambda writing: 1 / 0, within_s=30) == STOPPED.encode()


def test_a_child_leaves_no_files_behind():
    folder = in_child(lambda writing: os.write(writing, tempfile.mkdtemp().encode()), within_s=30).decode()
    assert "mutant-" in folder
    assert not Path(folder).exists()


@pytest.fixture
def suite():
    reach = {"t/test_a.py::slow": (2.0, ["p/m.py:f"]), "t/test_a.py::quick": (1.0, ["p/m.py:f", "p/m.py:g"])}
    return Suite({"t/test_a.py": "first"}, reach)


def test_a_functions_tests_are_those_that_reach_it_sorted_by_time(suite):
    assert suite.of_functions("p/m.py", ["f"]) == ["t/test_a.py::quick", "t/test_a.py::slow"]
    assert suite.of_functions("p/m.py", ["g"]) == ["t/test_a.py::quick"]
    assert suite.of_functions("p/n.py", ["f"]) == []
    assert suite.of_module("p/declarations.py") == suite.of_module("p/m.py")
    assert suite.of_module("p/m.py") == ["t/test_a.py::quick", "t/test_a.py::slow"]


@pytest.mark.parametrize("killer", ["", "t/test_a.py::slow"])
def test_results_are_cached_until_the_tests_change(suite, tmp_path, killer):
    names = ["t/test_a.py::slow"]
    Results(tmp_path / "m.json").put("key", killer, names, suite)
    results = Results(tmp_path / "m.json")
    assert results.get("key", names, suite) is (killer != "")
    assert results.get("other", names, suite) is None
    assert results.get("key", names, Suite({"t/test_a.py": "second"}, suite.tests)) is None
