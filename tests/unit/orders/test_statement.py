"""Statements whose parameters have names."""

import pytest

from orders_svc.statement import Statement


def test_names_are_counted_as_they_first_appear_and_casts_are_left_alone():
    statement = Statement("SELECT :state::text WHERE a = :order_id AND :state::text <> 'x' AND b = :at::timestamptz")
    assert statement.text == "SELECT $1::text WHERE a = $2 AND $1::text <> 'x' AND b = $3::timestamptz"
    assert statement.arguments(at=3, order_id=2, state=1) == [1, 2, 3]


@pytest.mark.parametrize("values", [{"a": 1}, {"a": 1, "b": 2, "c": 3}])
def test_a_parameter_too_few_or_too_many_is_refused(values):
    with pytest.raises(TypeError, match="'a', 'b'"):
        Statement(":a :b").arguments(**values)
