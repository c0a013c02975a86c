"""The table of what a loss costs is made from what `make drill` measured."""

from dataclasses import replace

import pytest

from chaos.drill import page
from chaos.drill.__main__ import _chosen
from chaos.drill.failures import DrillFailed
from chaos.drill.losses import LOSSES
from chaos.drill.measured import Measured, read, shown, table
from stack.topology.backups import ARCHIVE_S

FOUND = [
    Measured("both copies", 12.3, 40, 61.6, 60.0, kept=300, ended=11, repaired=0, left=0),
    Measured("Redis's files", 0.0, 0, 4.4, 1.2, kept=310, ended=1, repaired=0, left=0),
]


def test_the_page_has_the_figures_of_the_last_recorded_drill():
    measured = read(page.FIGURES)
    assert table(measured) in page.PAGE.read_text()
    assert len(measured) == len(LOSSES)


def test_what_was_recorded_keeps_the_promises():
    for each in read(page.FIGURES):
        assert each.left == 0
        assert each.kept > 0
        assert each.rpo_s <= 2 * ARCHIVE_S + 15


def test_recording_replaces_the_table_and_nothing_else(tmp_path):
    figures, text = tmp_path / "drill.json", tmp_path / "sre.md"
    text.write_text(f"before\n\n{table(FOUND)}\n\nafter\n")
    page.record([replace(FOUND[0], lost=1), FOUND[1]], figures=figures, page=text)
    assert text.read_text() == f"before\n\n{table([replace(FOUND[0], lost=1), FOUND[1]])}\n\nafter\n"
    assert read(figures)[0].lost == 1


def test_a_page_without_the_table_is_refused():
    with pytest.raises(ValueError, match="no table"):
        page.with_table("nothing", FOUND)


def test_a_loss_without_loss_of_orders_has_an_rpo_of_zero():
    assert table(FOUND).splitlines()[2].startswith("| both copies | 12 s (40 orders) | 62 s |")
    assert table(FOUND).splitlines()[3].startswith("| Redis's files | 0 | 4 s |")
    assert len(shown(FOUND).splitlines()) == 3


def test_another_loss_than_those_there_are_is_refused_by_name():
    assert _chosen("kafka,redis") == ["kafka", "redis"]
    with pytest.raises(DrillFailed, match="--only=kafka,etcd: 'etcd' is not one of postgres, kafka, redis"):
        _chosen("kafka,etcd")
