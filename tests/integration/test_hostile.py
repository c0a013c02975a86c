"""The attacks of chaos/hostile in a short form: each for a moment, while another customer shops."""

import pytest

from chaos.hostile.rows import ROWS
from chaos.hostile.siege import Siege

SECONDS = 0.7
SEED = 1
# These need their time to show what they do; `make hostile` gives it to them.
LEFT_OUT = {"many-batches", "slow-idle-connections", "slow-heads", "slow-customers-bodies"}
# One form from inside stands for those that differ in what a sidecar sees in the same way.
LEFT_OUT |= {row.name for row in ROWS if row.name.startswith("inside-")} - {
    "inside-no-te",
    "inside-no-message",
    "inside-unparsable",
    "inside-short-timeout",
    "inside-unknown-method",
    "inside-empty-lines",
}


@pytest.mark.timeout(400)
async def test_what_one_caller_does_is_not_felt_by_another(stack):
    rows = [row for row in ROWS if row.name not in LEFT_OUT]
    siege = Siege(stack.settings, seconds=SECONDS, seed=SEED, say=print, least_s=2)
    outcomes = await siege.run(rows)
    # How long calls take says more of what else this machine does; `make hostile` judges it.
    broken = {each.row: told for each in outcomes if (told := each.broken(timed=False))}
    assert not broken, "\n".join(f"{row}: {'; '.join(told)}" for row, told in broken.items())
