"""Mutants, and the survivors that are accepted."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tools.mutation import heart, mutants
from tools.mutation.run import ACCEPTED, Score
from tools.mutation.trial import Instead

CHECKOUT = Path(__file__).resolve().parents[3]


def test_everything_that_is_mutated_and_every_test_of_it_is_there():
    for module, tests in heart.MODULES.items():
        assert (CHECKOUT / f"{module.replace('.', '/')}.py").is_file()
        assert (CHECKOUT / tests).exists()
    assert list((CHECKOUT / heart.LUA_FOLDER).glob("*.lua"))
    assert (CHECKOUT / heart.SCRIPTS).is_file()


def test_an_accepted_survivor_has_a_reason_and_its_line_is_still_there():
    for each in yaml.safe_load(ACCEPTED.read_text()):
        path = each["module"] if each["module"].endswith(".lua") else f"{each['module'].replace('.', '/')}.py"
        lines = [line.strip() for line in (CHECKOUT / path).read_text().splitlines()]
        assert each["line"] in lines, each
        assert len(each["reason"]) > 10, each


def test_a_function_is_emptied_and_keeps_its_docstring():
    source = 'def two():\n    """Say two."""\n    return 2\n\n\ndef one():\n    return 1\n'
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
def test_lua_is_changed_in_its_code_and_not_in_its_texts(line, expected):
    assert [each.becomes for each in mutants.of_lua("x.lua", line)] == expected


def test_what_only_annotates_is_no_other_program():
    assert mutants._meaning("a: int | None = 1") == mutants._meaning("a: int & None = 1")
    assert mutants._meaning("a: int = 1") != mutants._meaning("a: int = 2")


def test_the_share_is_of_what_was_tried_and_not_accepted():
    survivor = mutants.Mutant("m", "", 1, "a", "b")
    assert Score("m", killed=9, accepted=5, survivors=[survivor]).share == 0.9
    assert Score("m").share == 1


def test_the_changed_source_is_what_is_imported():
    program = (
        "import sys; from pathlib import Path; from tools.mutation.trial import Instead;"
        "sys.meta_path.insert(0, Instead('runtime.deadline', Path('runtime/deadline.py'), 'SAID = 7'));"
        "import runtime.deadline; print(runtime.deadline.SAID)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=CHECKOUT, timeout=60)
    assert done.stdout.strip() == "7", done.stderr
    assert Instead("a.b", Path("a/b.py"), "").find_spec("a.c", None) is None
