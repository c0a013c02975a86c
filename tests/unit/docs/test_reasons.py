"""protos/reasons.yaml lists the reasons that the code raises, the contract names and the shop retries."""

import ast
import re

import pytest
import yaml

from gateway import failures
from orders_svc import inventory_client
from runtime import status
from shop_client import repeats
from stack.settings import CHECKOUT
from tools import reasons

TABLE = reasons.read()
INSIDE = yaml.safe_load(reasons.TABLE.read_text())["inside"]
SOURCES = [path for folder in ("orders_svc", "inventory_svc", "runtime") for path in (CHECKOUT / folder).rglob("*.py")]
CODES = {each.__name__: status._CODES[each].name for each in status._CODES}
# Words in capitals that are not reasons: codes, formats, settings, and kinds of discrepancies.
OTHERS = {*reasons.HTTP, "UPPER_SNAKE_CASE", "ENUM_VALUE_PREFIX", "HOLD_NOT_COMMITTED", "OIDC_ISSUER", "OIDC_CLIENT_ID"}


TREES = [ast.parse(path.read_text()) for path in SOURCES]
NODES = [node for tree in TREES for node in ast.walk(tree)]


def name_of(node):
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


BASES = {node.name: name_of(node.bases[0]) for node in NODES if isinstance(node, ast.ClassDef) and node.bases}
TEXTS = {
    name_of(node.targets[0]): node.value.value
    for tree in TREES
    for node in tree.body
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
}


def code_of(name):
    """Return the gRPC code of an error class, by its bases; None if it is not an error."""
    while name in BASES and name not in CODES:
        name = BASES[name]
    return CODES.get(name)


def text_of(node):
    """Return the text of a literal or of a constant."""
    return node.value if isinstance(node, ast.Constant) else TEXTS.get(name_of(node), "")


def of_classes():
    for node in NODES:
        for part in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(part, ast.Assign) and name_of(part.targets[0]) == "reason":
                yield text_of(part.value), code_of(node.name)


def of_calls():
    for node in NODES:
        for keyword in node.keywords if isinstance(node, ast.Call) else ():
            if keyword.arg == "reason" and code_of(name_of(node.func)):
                yield text_of(keyword.value), code_of(name_of(node.func))


RAISED = {(reason, code) for reason, code in (*of_classes(), *of_calls()) if re.fullmatch(r"[A-Z][A-Z_]+", reason)}
EDGE = {*failures.FAILURES, failures.UNKNOWN_CALLER, failures.KEYS_UNAVAILABLE}


def test_every_reason_that_the_code_raises_is_in_the_table():
    assert len(RAISED) > 40
    assert {reason for reason, _ in RAISED} - {*TABLE, *INSIDE} == set()


def test_every_reason_of_the_edge_is_in_the_table_with_its_status():
    for failure in EDGE:
        assert failure.http in reasons.statuses(TABLE[failure.reason]), failure


def test_every_reason_of_the_table_is_raised_somewhere():
    everything = "\n".join(path.read_text() for path in SOURCES)
    known = {reason for reason, _ in RAISED} | {failure.reason for failure in EDGE}
    assert [reason for reason in (*TABLE, *INSIDE) if reason not in known and f'"{reason}"' not in everything] == []


@pytest.mark.parametrize(("reason", "code"), sorted((reason, code) for reason, code in RAISED if reason in TABLE))
def test_a_reason_has_one_code(reason, code):
    also = {"UNKNOWN_PRODUCT": "NOT_FOUND"}
    assert code in (TABLE[reason]["code"], also.get(reason))


@pytest.mark.parametrize("reason", TABLE)
def test_every_row_states_meaning_and_retryability(reason):
    row = TABLE[reason]
    assert (
        {"code", "from", "repeat", "by", "means"}
        <= set(row)
        <= {"code", "http", "from", "repeat", "by", "means", "after"}
    )
    assert row["repeat"] in reasons.ADVICE
    assert row["by"] in ("caller", "operator")
    assert row["code"] in reasons.HTTP


@pytest.mark.parametrize("reason", TABLE)
def test_only_transient_codes_may_be_retried_unchanged(reason):
    """Of the conditions of one code only ABORTED has both retryable and permanent ones (AIP-194)."""
    row = TABLE[reason]
    if row["code"] != "ABORTED" and row["repeat"] != "token":
        passing = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "CANCELLED", "INTERNAL")
        assert (row["repeat"] == "same") == (row["code"] in passing)


def test_the_shop_retries_exactly_the_retryable_reasons():
    source = (CHECKOUT / "gateway" / "web" / "src" / "api" / "problem.ts").read_text()
    statuses = {int(each) for each in re.search(r"PASSING = new Set\(\[([^]]*)\]", source)[1].split(",")}
    named = set(re.findall(r'"(\w+)"', re.search(r"PASSING_REASONS = new Set\(\[([^]]*)\]", source)[1]))
    for reason, row in TABLE.items():
        for http in reasons.statuses(row):
            assert (http in statuses or reason in named) == (row["repeat"] == "same"), (reason, http)


def test_the_client_library_retries_exactly_the_retryable_reasons():
    for reason, row in TABLE.items():
        may = row["repeat"] == "same"
        for http in reasons.statuses(row):
            assert repeats.after_status(http, reason) == may, (reason, http)
        if reasons.statuses(row):
            assert repeats.after_code(row["code"], reason) == may, reason


# The sentence of each document that lists whole statuses and codes.
LISTS = {
    "web-clients.md": (r"^\| ([\d, ]+) \| retry with the same key", r"\d+", reasons.statuses),
    "internal-services.md": (r"([A-Z_, ]+ and [A-Z_]+) may be retried", r"[A-Z_]{2,}", lambda row: [row["code"]]),
}


@pytest.mark.parametrize("page", LISTS)
def test_retryable_codes_on_pages_match_the_table(page):
    sentence, words, codes_of = LISTS[page]
    listed = set(re.findall(words, re.search(sentence, (CHECKOUT / "docs" / page).read_text(), re.MULTILINE)[1]))
    mixed = {409, "ABORTED"}
    # CANCELLED never reaches a caller.
    unseen = {499, "CANCELLED"}
    same, other = (
        {each for row in TABLE.values() if (row["repeat"] == "same") is may for each in codes_of(row)}
        for may in (True, False)
    )
    assert listed == {str(each) for each in same - mixed - unseen}
    assert not listed & {str(each) for each in other}


def test_retryable_conflicts_on_pages_match_the_table():
    conflicts = {
        name: row["repeat"] for name, row in TABLE.items() if row["code"] == "ABORTED" and reasons.statuses(row)
    }
    web = (CHECKOUT / "docs" / "web-clients.md").read_text()
    never, again = re.search(
        r"by its reason: after (.*) read the order first, since a retry never succeeds.*; (.*) may be retried", web
    ).groups()
    assert {name for name in conflicts if name in never} == {
        name for name, advice in conflicts.items() if advice == "read"
    }
    assert {name for name in conflicts if name in again} == {
        name for name, advice in conflicts.items() if advice == "same"
    }


def test_the_page_is_generated_from_the_table():
    assert reasons.PAGE.read_text() == reasons.page(TABLE), "python -m tools.reasons"


@pytest.mark.parametrize(
    "page",
    [
        *(CHECKOUT / "docs" / name for name in ("web-clients.md", "internal-services.md")),
        *(CHECKOUT / "protos" / "shop").rglob("*_service.proto"),
    ],
    ids=lambda page: page.name,
)
def test_reasons_on_pages_are_in_the_table(page):
    text = page.read_text()
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    prose_of_page = "\n".join(re.findall(r"//(.*)", text)) if page.suffix == ".proto" else prose
    words = set(re.findall(r"\b[A-Z][A-Z]+_[A-Z_]+[A-Z]\b", prose_of_page)) - OTHERS
    assert words - {*TABLE, *INSIDE} == set()


def test_inventory_reasons_that_orders_returns_are_in_its_contract():
    assert {TABLE[reason]["from"] for reason in inventory_client.PASSED_ON} <= {"orders", "all"}
