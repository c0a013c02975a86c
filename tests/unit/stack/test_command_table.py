"""The tables of commands match the code and the Makefile."""

import ast
import json
import os
import re
import subprocess
import sys

import pytest

from stack import bootstrap, command_table
from stack.command_table import Needs, parse, yes
from stack.errors import StackError
from stack.settings import CHECKOUT
from tools import command_table as tools_table

ALL = (*command_table.COMMANDS, *tools_table.COMMANDS)


@pytest.mark.parametrize("command", ALL, ids=lambda command: command.name)
def test_every_command_of_the_tables_has_a_function(command):
    assert callable(command.load())


@pytest.mark.parametrize("command", ALL, ids=lambda command: command.name)
def test_every_command_has_a_makefile_target(command):
    recipes = dict(re.findall(r"^([a-z-]+):.*\n((?:\t.*\n)*)", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    assert re.search(rf"\$\((STACK|DEVELOPER)\) {command.name}\b", recipes[command.name])
    for argument in command.arguments:
        assert f"$(call text,{argument.variable})" in recipes[command.name]


NAMES = [
    "ann$x",
    "ann$$x",
    "$(shell touch made)",
    "${HOME}",
    "`touch made`",
    "$$(touch made)",
    "a'; touch made; '",
    'a"; touch made; "',
    "a b  c",
    "back\\slash\\",
    "#|&<>*?~!",
    "-",
    "--sure=yes",
]


CALLS = [("erase-customer", name) for name in NAMES]
CALLS += [(target, name) for target in ("export-customer", "token") for name in NAMES[2:4]]


@pytest.mark.parametrize(("target", "name"), CALLS)
def test_a_customer_whose_name_looks_like_a_command_is_passed_on_as_it_is(tmp_path, target, name):
    (show := tmp_path / "show").write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[3:]))\n")
    show.chmod(0o755)
    call = ["make", "-s", "-f", str(CHECKOUT / "Makefile"), f"PYTHON={show}", target]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    for words, environment in ([*call, f"CUSTOMER={name}"], clean), (call, {**clean, "CUSTOMER": name}):
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30)
        command, options = parse("stack", command_table.COMMANDS, json.loads(done.stdout))
        assert (command.name, options.customer) == (target, name)
        assert not getattr(options, "sure", "")
    assert [each.name for each in tmp_path.iterdir()] == ["show"]


@pytest.mark.parametrize("value", ["/srv/shop", *NAMES])
def test_what_selects_a_stack_reaches_the_command_as_it_is_from_the_command_line_too(tmp_path, value):
    (show := tmp_path / "show").write_text(f"#!{sys.executable}\nimport os\nprint(os.environ['STATE'], end='')\n")
    show.chmod(0o755)
    call = ["make", "-s", "-f", str(CHECKOUT / "Makefile"), f"PYTHON={show}", "status"]
    clean = {key: each for key, each in os.environ.items() if not key.startswith("MAKE")}
    clean.pop("STATE", None)
    for words, environment in (
        ([*call, f"STATE={value}"], clean),
        ([*call, f"STATE={value}"], {**clean, "STATE": "/srv/other"}),
        (call, {**clean, "STATE": value}),
    ):
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30)
        assert done.stdout == value
    assert [each.name for each in tmp_path.iterdir()] == ["show"]


def test_read_only_and_stopping_commands_install_nothing():
    needs = {command.name: command.needs for command in ALL}
    installing = {name for name, each in needs.items() if each is not Needs.NOTHING}
    experiments = {"chaos", "chaos-all", "chaos-random"}
    tests = {"lint", "unit", "components", "integration", "test", "simulate", "mutation"}
    assert installing - experiments - tests == {"up", "restore", "drill", "protos"}
    assert tests <= installing


def test_a_missing_argument_is_an_error_with_an_example():
    for words in (["kill"], ["kill", ""]):
        with pytest.raises(StackError, match="missing argument: make kill SVC=inventory"):
            parse("stack", command_table.COMMANDS, words)


def test_passed_through_arguments_are_unchanged():
    _, options = parse("stack", command_table.COMMANDS, ["soak", "--orders", "50", "--help"])
    assert options.further == ["--orders", "50", "--help"]


def test_an_unknown_option_is_refused(capsys):
    with pytest.raises(SystemExit):
        parse("stack", command_table.COMMANDS, ["status", "--orders"])
    assert "unrecognized arguments: --orders" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "answer"), [("yes", True), ("true", True), ("1", True), ("no", False), ("False", False), ("", False)]
)
def test_booleans_are_parsed(text, answer):
    assert yes("OPERATOR", text) is answer


def test_invalid_booleans_are_rejected():
    with pytest.raises(StackError, match="OPERATOR='maybe' must be yes or no"):
        yes("OPERATOR", "maybe")


def test_an_older_python_is_an_error_of_one_sentence():
    pretend = (
        "import sys, runpy; sys.version_info = (3, 8, 2); runpy.run_module('stack.bootstrap', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", pretend], cwd=CHECKOUT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr == "error: this is Python 3.8.2, and 3.11 or later is needed; set PYTHON to one\n"


def test_an_older_python_can_read_the_bootstrap():
    for module in (bootstrap.__file__, str(CHECKOUT / "tools" / "bootstrap.py")):
        with open(module, encoding="utf-8") as source:
            ast.parse(source.read(), feature_version=(3, 7))


def test_a_folder_that_cannot_be_created_is_an_error_of_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-m", "stack.bootstrap", "protos"],
        cwd=CHECKOUT,
        env={**os.environ, "TOOLS": f"{tmp_path}/file/tools"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert done.stderr == f"error: {tmp_path}/file/tools: Not a directory\n"
