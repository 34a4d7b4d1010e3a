"""Peers for tests of the benchmark: two that are right, one that is wrong, and some that fail."""

from __future__ import annotations

import os
import time
from functools import partial

import numpy as np

from refot.verification.bench.criterion import Answer
from refot.verification.bench.peers.peer import Peer, Solve
from refot.verification.bench.peers.refot_itself import refot_solve
from refot.verification.bench.peers.unbalanced import refot_free
from refot.verification.bench.problems import Instance
from refot.verification.bench.worker import WARM_UP


def right_solve(instance: Instance) -> Solve:
    """refot's plain Sinkhorn, which is slow but right."""
    return refot_solve(instance, method="sinkhorn", backend="numpy")


def lying_solve(instance: Instance) -> Solve:
    """Returns zeros at once, whatever the accuracy that is wanted."""
    return lambda accuracy: Answer(np.zeros(len(instance.x)), np.zeros(len(instance.x)), 1)


def raising_solve(instance: Instance) -> Solve:
    raise MemoryError("no such matrix")


def dying_solve(instance: Instance) -> Solve:
    return lambda accuracy: os._exit(3)


def tiring_solve(instance: Instance) -> Solve:
    """Right three times, warm-up included; then its process ends."""
    solve, left = right_solve(instance), iter(range(3))

    def again(accuracy: float) -> Answer:
        if next(left, None) is None:
            os._exit(9)
        return solve(accuracy)

    return again


def hanging_solve(instance: Instance) -> Solve:
    """Answers the warm-up, and then never."""
    def solve(accuracy: float) -> Answer:
        if accuracy < WARM_UP:
            time.sleep(1e6)
        return lying_solve(instance)(accuracy)

    return solve


def busy_solve(instance: Instance) -> Solve:
    """Answers the warm-up, and then computes for ever."""
    def solve(accuracy: float) -> Answer:
        while accuracy < WARM_UP:
            pass
        return lying_solve(instance)(accuracy)

    return solve


right = Peer("right", right_solve)
right_free = Peer("right-free", partial(refot_free, backend="numpy"))
busy = Peer("busy", busy_solve)
lying = Peer("lying", lying_solve)
raising = Peer("raising", raising_solve)
dying = Peer("dying", dying_solve)
tiring = Peer("tiring", tiring_solve)
hanging = Peer("hanging", hanging_solve)
absent = Peer("absent", right_solve, ("no_such_package", "no-such-package"))
huge = Peer("huge", right_solve, matrix=True)
