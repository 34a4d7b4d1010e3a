"""How far potentials are from optimal, in two numbers: by mass, and atom by atom.

The L1 error of the marginals is a sum of masses. It cannot see an atom of tiny weight: its
potential may be wrong by far, and then its column of P, divided by its weight, is no probability
law. The second number is the largest distance of a potential from the (c,eps)-transform of the
other side, in which all atoms count alike.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from refot.arrays import Array, namespace
from refot.problem import Problem

VISIBLE = 1e10
"""An atom whose weight is below this multiple of the smallest normal float is judged by a
transform, which works with logarithms: the sum of its row or column may have lost digits to
underflow."""


class Accuracy(NamedTuple):
    """The two errors of potentials (f, g)."""

    marginal_error: float
    """|P1 - a|_1 + |P'1 - b|_1."""

    atom_error: float
    """The largest |f_i - g^(c,eps)_i| / eps or |g_j - f^(c,eps)_j| / eps, which is |log| of the sum
    of that row or column of P divided by its weight."""

    def within(self, tol: float) -> bool:
        """Whether the marginal error is within tol, and the atom error within `atom_tolerance`."""
        return self.marginal_error <= tol and self.atom_error <= atom_tolerance(tol)

    def shortfall(self, tol: float) -> str:
        """In words: which of the two errors is too large."""
        mass = f"marginal error {self.marginal_error:.3g}"
        if not self.marginal_error <= tol:
            return f"{mass} > tol {tol:g}"
        return (f"{mass}, but a potential is {self.atom_error:.3g} eps from the transform of the "
                f"others, > sqrt(tol) = {atom_tolerance(tol):.3g}")


def atom_tolerance(tol: float) -> float:
    """The atom error that goes with a marginal error of tol: sqrt(tol).

    An atom of weight w whose row or column sum is off by tol has an atom error of about tol / w.
    For w above sqrt(tol) this is below sqrt(tol): only lighter atoms have to be more accurate than
    the marginal error asks."""
    return math.sqrt(tol)


def accuracy(p: Problem, f: Array, g: Array) -> Accuracy:
    """The accuracy of (f, g). It takes one pass over the pairs, and one more for each side that has
    weights of 0 or nearly 0."""
    rows, columns = p.backend.marginals(p.C, p.F(f), p.G(g), p.eps)
    marginal_error = p.residual(f, g, rows, columns)
    return Accuracy(marginal_error, max(_atom_error(p, f, g, rows), _atom_error(p.T, g, f, columns),
                                        key=lambda error: (math.isnan(error), error)))


def _atom_error(p: Problem, f: Array, g: Array, rows: Array) -> float:
    """max_i |f_i - g^(c,eps)_i| / eps, from the sums `rows` of P or, for invisible atoms, from a
    transform."""
    xp = namespace(f)
    asked = p.asked(f, rows)
    visible = asked >= VISIBLE * float(np.finfo(p.C.dtype).tiny)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = abs(xp.log(xp.where(visible, rows, 1) / xp.where(visible, asked, 1)))
    if not bool(visible.all()):
        apart = xp.where(visible, apart, abs(p.excess(f, p.transform(g, f))))
    return float(apart.max())


def swept(p: Problem, f: Array, g: Array, allowed: float, most: int) -> tuple[Array, Array]:
    """(f, g) after further Sinkhorn iterations, which end when f is within `allowed` eps of
    g^(c,eps), or after `most` of them. The g returned is the transform of the f returned."""
    f_next = p.best(g, f)
    for _ in range(most):
        f = f_next
        g = p.T.best(f, g)
        f_next = p.best(g, f)
        if float(abs(f_next - f).max()) <= allowed * p.eps:
            break
    return f, g


def rounding_floor(p: Problem, f: Array, g: Array) -> float:
    """The marginal error that rounding alone may leave at (f, g).

    An entry of the plan is exp((F_i + G_j - C_ij) / eps). Rounding changes each of the three
    numbers by up to u times its size (u is half the machine epsilon), and where there is mass C_ij
    is about F_i + G_j. So the exponent is off by a few times u (|F_i| + |G_j|) / eps, and the mean
    of that under the plan is u (a.|F| + b.|G|) / eps. Besides, a sum of n terms is off by about
    sqrt(n) u. The result is 8 times both together, to be on the safe side; and where masses are
    near the smallest floats, what these leave of all entries.
    """
    xp = namespace(f)
    sizes = sum(float(weights @ abs(xp.where(weights > 0, folded, 0)))
                for weights, folded in ((p.carried(f), p.F(f)), (p.T.carried(g), p.G(g))))
    limits = np.finfo(p.C.dtype)
    unit, mass = float(limits.eps) / 2, float(p.asked(f, p.a).sum())
    grains = math.prod(p.C.shape) * float(limits.smallest_subnormal)
    vanished = grains / mass if mass > 0 else math.inf
    return unit * (8 * sizes / p.eps + 8 * math.sqrt(sum(p.C.shape))) + vanished
