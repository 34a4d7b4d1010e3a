"""The arguments x, a, y, b of a loss between two measures, in which it is differentiated."""

from __future__ import annotations

from typing import NamedTuple

from refot.arrays import Array


class Pair(NamedTuple):
    """Points x (n, d) with weights a (n,), and y (m, d) with b (m,). Gradients of a loss in the
    four, and directions in which they change, have the same shapes and the same names."""

    x: Array
    a: Array
    y: Array
    b: Array

    @property
    def T(self) -> Pair:
        """The same with the two measures exchanged."""
        return Pair(self.y, self.b, self.x, self.a)
