"""A short form of the attacks of chaos/hostile, while another customer places orders."""

import pytest

from chaos.hostile.rows import chosen
from chaos.hostile.runner import Runner

ATTACK_S = 0.7
SEED = 1
# One for each kind of attack; `make hostile` has all of them, for longer.
SHORT = (
    "grpc-no-te,grpc-no-message,grpc-cut-frame,grpc-unparsable,grpc-unknown-encoding,grpc-binary-metadata,"
    "grpc-attempts,grpc-unknown-method,grpc-reflection,grpc-short-timeout,"
    "rest-not-utf8,rest-grpc-timeout,rest-fields,rest-bad-lines,rest-json,"
    "many-empty-lines,many-calls-of-a-customer,slow-bodies-never-sent,slow-empty-streams,"
    "http2-rapid-resets,http2-hpack-bomb,inside-no-te,inside-no-message,inside-unparsable"
)


@pytest.mark.timeout(400)
async def test_an_attack_does_not_affect_another_customer(stack):
    runner = Runner(stack.settings, seconds=ATTACK_S, seed=SEED, say=print, least_s=2, warm_up_s=1)
    outcomes = await runner.run(chosen(SHORT))
    # Latencies depend on what else this machine does; `make hostile` judges them.
    broken = {each.row: violations for each in outcomes if (violations := each.broken(timed=False))}
    assert not broken, "\n".join(f"{row}: {'; '.join(violations)}" for row, violations in broken.items())
