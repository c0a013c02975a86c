"""The tables of medians, and the page."""

import re
from xml.etree import ElementTree

import pytest

from bench import results
from bench.page import page
from bench.results import Report, Row, Section

ORDERS = Section(
    "Orders <&>",
    ("orders/s", "p99 ms"),
    [
        Row("ours", {"orders/s": [410.0, 390.0, 450.0], "p99 ms": [174.2]}),
        Row("gRPC", {"orders/s": "not measured: no Go"}),
    ],
    bars=("orders/s",),
)
PARTS = Section("CPU", ("a", "b"), [Row("ours", {"a": [1.0, 1.5, 0.5], "b": [2.0]})], bars=("a", "b"), stacked=True)
REPORT = Report({"cores": "2"}, [ORDERS, PARTS], "ours / peer: 2.20 times the orders/s")


def test_a_cell_is_shown_as_its_median_and_its_spread():
    assert results.shown([410.0, 390.0, 450.0]) == "410 (390 to 450)"
    assert results.shown([1.234]) == "1.23"
    assert results.shown([0.0, 0.0]) == "0"
    assert results.shown("not measured: no Go") == "not measured: no Go"
    assert results.shown([]) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (3, "3"), (0.0123, "0.012"), (0.123, "0.123"), (9.876, "9.88"), (12.34, "12.3"), (12345.6, "12,346")],
)
def test_a_figure_has_three_digits(value, text):
    assert results.figure(value) == text


def test_the_text_has_every_row_and_ends_with_the_last_line():
    lines = results.text(REPORT).splitlines()
    assert any("ours" in line and "410 (390 to 450)" in line and "174" in line for line in lines)
    assert any("gRPC" in line and "no Go" in line for line in lines)
    assert lines[-1] == "ours / peer: 2.20 times the orders/s"


def test_parts_have_their_spread_on_the_page_only():
    assert "0.5 to" not in results.text(REPORT)
    assert "1 (0.500 to 1.50)" in page(REPORT)


def test_the_document_has_every_round():
    document = results.document(REPORT)
    assert document["sections"][0]["rows"][0]["cells"]["orders/s"] == [410.0, 390.0, 450.0]


def test_the_page_is_self_contained():
    html = page(REPORT)
    assert not re.search(r"(?:src|href)=", html)
    assert "http" not in html.replace("http://www.w3.org", "")
    assert "Orders &lt;&amp;&gt;" in html
    assert "Orders <&>" not in html


def test_plots_are_to_scale_and_omit_missing_measurements():
    bars, stack = (ElementTree.fromstring(each) for each in re.findall(r"<svg.*?</svg>", page(REPORT)))
    (box,) = bars.iter("rect")
    # 410 of 500, the next round number above 450.
    assert float(box.get("width")) == pytest.approx(620 * 410 / 500, abs=0.1)
    (whisker,) = (each for each in bars.iter("line"))
    assert float(whisker.get("x1")) < 230 + float(box.get("width")) < float(whisker.get("x2"))
    first, second = stack.iter("rect")
    assert float(second.get("x")) == pytest.approx(float(first.get("x")) + float(first.get("width")), abs=0.1)
