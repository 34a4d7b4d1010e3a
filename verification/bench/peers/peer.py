"""What the benchmark knows of a peer: how to prepare, solve, and take one half-iteration."""

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

Prepare: TypeAlias = Callable[[Instance], Solve]

Half: TypeAlias = Callable[[Instance], Callable[[], Any]]

UNBOUNDED = 10**7
"""Iterations that no peer gets through within its time."""


@dataclass(frozen=True)
class Peer:
    """`matrix`: it needs the cost as a matrix (n, n). `package`: import name, distribution.
    `halves`: how many half-iterations one call of `half` does."""

    name: str
    prepare: Prepare
    package: tuple[str, str] = ("refot", "refot")
    matrix: bool = False
    half: Half | None = None
    halves: int = 1

    @property
    def installed(self) -> bool:
        """Whether its package is here."""
        return find_spec(self.package[0]) is not None

    @property
    def version(self) -> str:
        """The version of its distribution."""
        return version(self.package[1])


def density(u: Array, v: Array, instance: Instance) -> tuple[Array, Array]:
    """(f, g) from log scalings, P_ij = exp(u_i + v_j - C_ij / eps)."""
    log_a = np.log(instance.a)
    return instance.eps * (u - log_a), instance.eps * (v - log_a)
