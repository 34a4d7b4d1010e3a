"""How far potentials are from each other's (c,eps)-transforms: in mass, and on every atom.

The L1 error of the marginals is a sum of masses, and so cannot see an atom that has hardly any:
its potential may be far off, and the column of P that is divided by its weight no law. The second
number sees all atoms alike.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from refot.arrays import Array, namespace
from refot.problem import Problem

VISIBLE = 1e10
"""Weights below so many times the smallest normal float are judged by a transform, in logarithms,
and not by the sum of their row or column, of which digits may be lost."""


class Accuracy(NamedTuple):
    """`marginal_error` |P1 - a|_1 + |P'1 - b|_1; `atom_error` the largest |f - g^(c,eps)| / eps or
    |g - f^(c,eps)| / eps: |log| of the sum of a row or column of P over its weight."""

    marginal_error: float
    atom_error: float

    def within(self, tol: float) -> bool:
        """Whether the first is within tol, and the second within `atom_tolerance`."""
        return self.marginal_error <= tol and self.atom_error <= atom_tolerance(tol)

    def shortfall(self, tol: float) -> str:
        """Which of the two is not within, in words."""
        mass = f"marginal error {self.marginal_error:.3g}"
        if not self.marginal_error <= tol:
            return f"{mass} > tol {tol:g}"
        return (f"{mass}, but a potential is {self.atom_error:.3g} eps from the transform of the "
                f"others, > sqrt(tol) = {atom_tolerance(tol):.3g}")


def atom_tolerance(tol: float) -> float:
    """What a marginal error of tol is to allow for each single atom: sqrt(tol), so that an atom of
    a weight above sqrt(tol) needs nothing beyond the marginal error itself."""
    return math.sqrt(tol)


def accuracy(p: Problem, f: Array, g: Array) -> Accuracy:
    """At (f, g): one pass, and one more for each side with weights that are 0 or nearly so."""
    rows, columns = p.backend.marginals(p.C, p.F(f), p.G(g), p.eps)
    marginal_error = p.residual(f, g, rows, columns)
    return Accuracy(marginal_error, max(_atom_error(p, f, g, rows), _atom_error(p.T, g, f, columns),
                                        key=lambda error: (math.isnan(error), error)))


def _atom_error(p: Problem, f: Array, g: Array, rows: Array) -> float:
    """max_i |f_i - g^(c,eps)_i| / eps."""
    xp = namespace(f)
    asked = p.asked(f, rows)
    visible = asked >= VISIBLE * float(np.finfo(p.C.dtype).tiny)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = abs(xp.log(xp.where(visible, rows, 1) / xp.where(visible, asked, 1)))
    if not bool(visible.all()):
        apart = xp.where(visible, apart, abs(p.excess(f, p.transform(g, f))))
    return float(apart.max())


def swept(p: Problem, f: Array, g: Array, allowed: float, most: int) -> tuple[Array, Array]:
    """(f, g) after as many of Sinkhorn's sweeps as bring f within `allowed` eps of g^(c,eps), at
    most so many; g is the transform of f."""
    f_next = p.best(g, f)
    for _ in range(most):
        f = f_next
        g = p.T.best(f, g)
        f_next = p.best(g, f)
        if float(abs(f_next - f).max()) <= allowed * p.eps:
            break
    return f, g


def rounding_floor(p: Problem, f: Array, g: Array) -> float:
    """What rounding alone may leave of the marginal error at (f, g).

    An entry of the plan is exp((F_i + G_j - C_ij) / eps), in which each number is rounded to a
    share u of itself; where there is mass C_ij is near F_i + G_j. Summed with the mass of the plan
    over both sides; and a sum of n terms is rounded by about sqrt(n) u.
    """
    xp = namespace(f)
    sizes = sum(float(weights @ abs(xp.where(weights > 0, folded, 0)))
                for weights, folded in ((p.carried(f), p.F(f)), (p.T.carried(g), p.G(g))))
    unit = float(np.finfo(p.C.dtype).eps) / 2
    return unit * (8 * sizes / p.eps + 8 * math.sqrt(sum(p.C.shape)))
