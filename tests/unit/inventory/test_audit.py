"""The periodic audit and pruning of the stock continue after errors, and the metrics are those of the last run."""

import asyncio
import contextlib

import pytest

from inventory_svc import audit
from inventory_svc.ports import Audit, Memory
from runtime.errors import Unavailable


class Stock:
    """Returns *answers* one after the other; cancels the loop after the last."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.audited_at = []
        self.ended = asyncio.Event()

    async def audit(self):
        self.audited_at.append(asyncio.get_running_loop().time())
        if not self.answers:
            self.ended.set()
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    forget = audit


async def until_ended(work, stock):
    task = asyncio.create_task(work)
    async with asyncio.timeout(10):
        await stock.ended.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_audit_results_are_in_the_metrics():
    await audit.audit(Stock(Audit(("mug", "pen"), 3, 4)))
    assert [each._value.get() for each in (audit.UNBALANCED, audit.LOW, audit.SHORT)] == [2, 3, 4]
    await audit.audit(Stock(Audit((), 0, 0)))
    assert [each._value.get() for each in (audit.UNBALANCED, audit.LOW, audit.SHORT)] == [0, 0, 0]


@pytest.mark.parametrize(("broken", "errors"), [((), []), (("mug",), [["mug"]])])
async def test_products_that_do_not_add_up_are_logged(monkeypatch, broken, errors):
    logged = []
    monkeypatch.setattr(audit.log, "error", lambda event, products: logged.append(list(products)), raising=False)
    await audit.audit(Stock(Audit(broken, 0, 0)))
    assert logged == errors


async def test_the_audit_repeats_also_after_an_error():
    stock = Stock(Unavailable("Redis does not answer"), Audit(("mug",), 0, 0), Audit((), 5, 0))
    await until_ended(audit.audit_regularly(stock, every_s=0), stock)
    assert (audit.UNBALANCED._value.get(), audit.LOW._value.get()) == (0, 5)


async def test_pruning_repeats_also_after_an_error():
    stock = Stock(Unavailable("Redis does not answer"), Memory(1, 7, more=False), Memory(2, 5, more=False))
    await until_ended(audit.forget_regularly(stock, every_s=0), stock)
    assert audit.REMEMBERED._value.get() == 5


async def test_pruning_continues_at_once_while_more_is_left():
    stock = Stock(Memory(9, 20, more=True), Memory(9, 11, more=True))
    await until_ended(audit.forget_regularly(stock, every_s=60), stock)
    # It yields to other clients of Redis for a moment.
    assert stock.audited_at[2] - stock.audited_at[0] >= 0.03


@pytest.mark.parametrize("nothing", [Memory(0, 2, more=False), Unavailable("Redis does not answer")])
async def test_pruning_waits_the_interval_when_nothing_is_left(nothing):
    stock = Stock(nothing, nothing)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await audit.forget_regularly(stock, every_s=60)
    assert len(stock.audited_at) == 1
