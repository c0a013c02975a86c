"""Each secret and certificate is rotated under load: no call fails."""

import asyncio
from collections import Counter

BUYERS = 4
KINDS = ("postgres", "redis", "page-token", "signing-key", "workload-certificates", "edge-certificate")


async def test_every_order_is_confirmed_while_each_secret_is_rotated(stack, load):
    async with load.of(BUYERS):
        for kind in KINDS:
            assert "in use everywhere" in await asyncio.to_thread(stack.make, "rotate", WHAT=kind)
    assert load.answers
    assert Counter(status for _, _, status, _ in load.answers) == {201: len(load.answers)}
