"""What an adapter tells the benchmark about a peer: how to bring a problem into its form, solve it,
and do one half-iteration (one potential from the other one)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np

from refot.arrays import Array
from refot.verification.bench.criterion import Answer
from refot.verification.bench.problems import Instance

Solve: TypeAlias = Callable[[float], Answer]
"""Solves the problem to an accuracy, in whatever measure the peer stops by; this is timed."""

Prepare: TypeAlias = Callable[[Instance], Solve]
"""Brings a problem into the peer's form, which is not timed."""

Half: TypeAlias = Callable[[Instance], Callable[[], Any]]
"""Prepares a half-iteration, and returns a function that does it."""

UNBOUNDED = 10**7
"""A maximum of iterations that no peer reaches within the limit of time."""


@dataclass(frozen=True)
class Peer:
    """A solver that takes part in the benchmark.

    `package`: its import name, and the name of its distribution. `matrix`: whether it needs the
    cost as a matrix (n, n). `halves`: how many half-iterations one call of `half` does."""

    name: str
    prepare: Prepare
    package: tuple[str, str] = ("refot", "refot")
    matrix: bool = False
    half: Half | None = None
    halves: int = 1

    @property
    def installed(self) -> bool:
        """Whether its package is installed."""
        return find_spec(self.package[0]) is not None

    @property
    def version(self) -> str:
        """The version of its distribution."""
        return version(self.package[1])


def density(u: Array, v: Array, instance: Instance) -> tuple[Array, Array]:
    """Potentials (f, g), (n,) each, in refot's convention, P_ij = a_i a_j exp((f_i + g_j - C_ij) /
    eps), from the logarithms (u, v) of the scalings of a peer, P_ij = exp(u_i + v_j - C_ij / eps).
    Both measures have the weights a."""
    log_a = np.log(instance.a)
    return instance.eps * (u - log_a), instance.eps * (v - log_a)
