"""Statements with named parameters."""

import pytest

from orders_svc.statement import Statement


def test_names_are_numbered_in_order_and_casts_are_kept():
    statement = Statement("SELECT :state::text WHERE a = :order_id AND :state::text <> 'x' AND b = :at::timestamptz")
    assert statement.text == "SELECT $1::text WHERE a = $2 AND $1::text <> 'x' AND b = $3::timestamptz"
    assert statement.arguments(at=3, order_id=2, state=1) == [1, 2, 3]


@pytest.mark.parametrize("values", [{"a": 1}, {"a": 1, "b": 2, "c": 3}])
def test_missing_and_extra_parameters_are_rejected(values):
    with pytest.raises(TypeError, match="'a', 'b'"):
        Statement(":a :b").arguments(**values)
