"""How a benchmark command begins and ends."""

import pytest

from bench.command import command


def test_without_wrk_nothing_is_started(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="wrk is not there"), command():
        pytest.fail("it was started")
