"""Which PostgreSQL errors are transient, and which permanent."""

import asyncpg
import pytest

from runtime.database import NOT_NOW


def error(sqlstate):
    return asyncpg.PostgresError.new({"C": sqlstate, "M": "text", "S": "ERROR", "V": "ERROR"})


@pytest.mark.parametrize(
    "sqlstate",
    [
        *("53000", "53100", "53200", "53300", "53400"),
        *("57000", "57014", "57P01", "57P02", "57P03", "57P04", "57P05"),
        *("08000", "08001", "08003", "08006", "25006", "40001", "40P01", "55P03", "58030"),
    ],
)
def test_transient_errors_are_unavailable(sqlstate):
    assert isinstance(error(sqlstate), NOT_NOW)


@pytest.mark.parametrize("sqlstate", ["22001", "22P02", "23505", "23514", "42501", "42601", "42P01", "XX000"])
def test_permanent_errors_are_internal(sqlstate):
    assert not isinstance(error(sqlstate), NOT_NOW)
