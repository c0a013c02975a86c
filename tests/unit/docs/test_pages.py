"""Links, commands and log events on the pages exist."""

import re
import subprocess

import pytest
import yaml

from stack.settings import CHECKOUT

PAGES = [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_every_link_to_a_file_resolves(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_every_command_that_a_page_names_is_a_target(page):
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`(?:[A-Z]+=\S+ )?make (?:-s )?([a-z][a-z-]+)", page.read_text()))
    assert named <= targets


def test_every_decision_is_complete_and_in_the_index():
    decisions = sorted((CHECKOUT / "docs" / "decisions").glob("0*.md"))
    assert len({page.name[:4] for page in decisions}) == len(decisions)
    index = (CHECKOUT / "docs" / "decisions" / "README.md").read_text()
    for page in decisions:
        heads = re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE)
        assert {"What", "Why", "What would change it"} <= set(heads), page.name
        assert f"({page.name})" in index


def test_help_names_every_variable_that_chooses_a_stack():
    output = subprocess.run(["make", "-s", "help"], cwd=CHECKOUT, capture_output=True, text=True, timeout=30).stdout
    for variable in ("PORT", "STATE", "NETWORK", "TOOLS", "TEST_PORT", "LOG_LEVEL", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        assert re.search(rf"^  {variable} ", output, re.MULTILINE), variable


def test_the_hooks_of_a_commit_download_nothing():
    hooks = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text())
    assert {repository["repo"] for repository in hooks["repos"]} == {"local"}
    assert {hook["language"] for hook in hooks["repos"][0]["hooks"]} == {"system"}


GREPPED = re.compile(r"grep (?:-E )?'?([a-z|_]+_[a-z|_]+)")


def test_every_log_event_on_a_page_exists():
    pages = [*(CHECKOUT / "docs").glob("*.md"), CHECKOUT / "k8s/README.md"]
    sources = "".join(
        path.read_text()
        for folder in ("orders_svc", "inventory_svc", "runtime", "gateway", "envoy/translator")
        for path in (CHECKOUT / folder).rglob("*.py")
    )
    wanted = {event for page in pages for found in GREPPED.findall(page.read_text()) for event in found.split("|")}
    assert len(wanted) > 10
    assert {event for event in wanted if f'"{event}"' not in sources} == set()
