"""The frames that `make hostile` measures an Envoy's turns by."""

import time

from chaos.hostile import turns


def test_an_answer_without_the_kernels_time_is_timed_here():
    class Unstamped:
        def recvmsg(self, *_):
            return turns.HEAD.pack(0, 8, turns.PING, turns.ACK, 0) + bytes(8), [], 0, None

    before = time.time()
    assert before <= turns.Frames(Unstamped()).pong() <= time.time()
