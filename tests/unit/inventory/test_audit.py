"""Regular work on the whole stock: it goes on whatever happens, and its numbers are those of the last look."""

import asyncio
import contextlib

import pytest

from inventory_svc import audit
from inventory_svc.ports import Audit, Memory
from runtime.errors import Unavailable


class Stock:
    """Answers what is in *answers*, one after the other; the loop is ended when there is no more."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked_at = []
        self.ended = asyncio.Event()

    async def audit(self):
        self.asked_at.append(asyncio.get_running_loop().time())
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


async def test_what_an_audit_finds_is_in_the_metrics():
    await audit.audit(Stock(Audit(("mug", "pen"), 3, 4)))
    assert [each._value.get() for each in (audit.UNBALANCED, audit.LOW, audit.SHORT)] == [2, 3, 4]
    await audit.audit(Stock(Audit((), 0, 0)))
    assert [each._value.get() for each in (audit.UNBALANCED, audit.LOW, audit.SHORT)] == [0, 0, 0]


@pytest.mark.parametrize(("broken", "told"), [((), []), (("mug",), [["mug"]])])
async def test_products_that_do_not_add_up_are_told(monkeypatch, broken, told):
    said = []
    monkeypatch.setattr(audit.log, "error", lambda event, products: said.append(list(products)), raising=False)
    await audit.audit(Stock(Audit(broken, 0, 0)))
    assert said == told


async def test_the_stock_is_looked_at_again_and_again_also_after_it_could_not_be():
    stock = Stock(Unavailable("Redis does not answer"), Audit(("mug",), 0, 0), Audit((), 5, 0))
    await until_ended(audit.audit_regularly(stock, every_s=0), stock)
    assert (audit.UNBALANCED._value.get(), audit.LOW._value.get()) == (0, 5)


async def test_forgetting_goes_on_also_after_it_could_not_be_done():
    stock = Stock(Unavailable("Redis does not answer"), Memory(1, 7, more=False), Memory(2, 5, more=False))
    await until_ended(audit.forget_regularly(stock, every_s=0), stock)
    assert audit.REMEMBERED._value.get() == 5


async def test_what_is_left_to_forget_is_not_waited_for():
    stock = Stock(Memory(9, 20, more=True), Memory(9, 11, more=True))
    await until_ended(audit.forget_regularly(stock, every_s=60), stock)
    # It leaves Redis to others for a moment.
    assert stock.asked_at[2] - stock.asked_at[0] >= 0.03


@pytest.mark.parametrize("nothing", [Memory(0, 2, more=False), Unavailable("Redis does not answer")])
async def test_with_nothing_left_to_forget_the_next_look_is_after_the_whole_time(nothing):
    stock = Stock(nothing, nothing)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await audit.forget_regularly(stock, every_s=60)
    assert len(stock.asked_at) == 1
