"""How far potentials (f, g) are from optimal, in two numbers: by mass, and atom by atom.

The first is the L1 error of the marginals, a sum of masses. A light atom, a point of tiny weight,
hardly enters it, so that its potential may be very wrong without being noticed: the sum of its row
or column of P may then be many times its weight, or a small part of it. The second number, the atom
error, is the largest distance of f from g^(c,eps), the (c,eps)-transform of g (B-25), or of g from
f^(c,eps). All atoms count alike in it. B-25 is an equation of B = Bréchet et al. 2019.

`Problem.asked` gives the sums that the rows of P should have. They are the weights a; or, where a
marginal may be missed at a price (unbalanced transport), the sums for which f is optimal.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from refot.arrays import Array, namespace
from refot.problem import Problem

VISIBLE = 1e10
"""An atom is visible if its weight is at least this multiple of the smallest normal float. For any
other, the sum of its row or column may have lost digits to underflow, so that its error is computed
from a transform, which works with logarithms."""


class Accuracy(NamedTuple):
    """The two errors of potentials (f, g)."""

    marginal_error: float
    """|P1 - a|_1 + |P'1 - b|_1."""

    atom_error: float
    """The largest |f_i - g^(c,eps)_i| / eps or |g_j - f^(c,eps)_j| / eps. That is |log(s / w)|,
    where s is the sum of this row or column of P, and w its weight."""

    def within(self, tol: float) -> bool:
        """Whether the marginal error is within tol, and the atom error within `atom_tolerance`."""
        return self.marginal_error <= tol and self.atom_error <= atom_tolerance(tol)

    def shortfall(self, tol: float) -> str:
        """In words, which of the two errors is too large, for a pair of which one is."""
        mass = f"marginal error {self.marginal_error:.3g}"
        if not self.marginal_error <= tol:
            return f"{mass} > tol {tol:g}"
        return (f"{mass}, but a potential is {self.atom_error:.3g} eps from the transform of the "
                f"others, > sqrt(tol) = {atom_tolerance(tol):.3g}")


def atom_tolerance(tol: float) -> float:
    """The atom error that goes with a marginal error of tol: sqrt(tol).

    An atom of weight w whose row or column sum is off by tol has an atom error of about tol / w.
    For w above sqrt(tol) this is below sqrt(tol): only lighter atoms have to be more accurate than
    a marginal error of tol makes them."""
    return math.sqrt(tol)


class Sums(NamedTuple):
    """The row sums (n,) and column sums (m,) of the plan of (f, g), beside these potentials: they
    hold for no others."""

    f: Array
    g: Array
    rows: Array
    columns: Array


def sums(p: Problem, f: Array, g: Array) -> Sums:
    """The sums of the plan of (f, g), in one pass over the pairs."""
    return Sums(f, g, *p.backend.marginals(p.C, p.F(f), p.G(g), p.eps))


def accuracy(p: Problem, f: Array, g: Array, known: Sums | None = None) -> Accuracy:
    """The accuracy of (f, g), from the sums of their plan where these are `known`. It takes one
    pass over the pairs for the sums, and one for each measure with an atom that is not visible."""
    _, _, rows, columns = known or sums(p, f, g)
    marginal_error = p.residual(f, g, rows, columns)
    return Accuracy(marginal_error, max(_atom_error(p, f, g, rows), _atom_error(p.T, g, f, columns),
                                        key=lambda error: (math.isnan(error), error)))


def transform_from(p: Problem, f: Array, g: Array, rows: Array) -> Array:
    """The transform of g, (n,), without a pass over the pairs: f less eps log of the row sums over
    the weights. Only where a weight or a sum is not `VISIBLE` does it take the pass."""
    xp, least = namespace(f), VISIBLE * float(np.finfo(p.C.dtype).tiny)
    if not bool(((p.a >= least) & (rows >= least) & (rows < np.inf)).all()):
        return p.transform(g, f)
    return f - p.eps * xp.log(rows / p.a)


def _atom_error(p: Problem, f: Array, g: Array, rows: Array) -> float:
    """max_i |f_i - g^(c,eps)_i| / eps. It is computed from the row sums `rows` (n,) of P or, for
    atoms that are not `VISIBLE`, from the transform of g."""
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
    sqrt(n) u. The result is 8 times both together, to be on the safe side. To this is added what
    underflowing entries may lose: n m times the smallest float, as a share of the mass.
    """
    xp = namespace(f)
    sizes = sum(float(weights @ abs(xp.where(weights > 0, folded, 0)))
                for weights, folded in ((p.carried(f), p.F(f)), (p.T.carried(g), p.G(g))))
    limits = np.finfo(p.C.dtype)
    unit, mass = float(limits.eps) / 2, float(p.asked(f, p.a).sum())
    grains = math.prod(p.C.shape) * float(limits.smallest_subnormal)
    vanished = grains / mass if mass > 0 else math.inf
    return unit * (8 * sizes / p.eps + 8 * math.sqrt(sum(p.C.shape))) + vanished
