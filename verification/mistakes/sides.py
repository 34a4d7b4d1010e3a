"""Known mistakes of unbalanced values for which `refot verify` has no capability.

The two *sides* of a problem are the rows and the columns. `refot verify` asks for KL penalties with
one rho for both. The certified vectors `unbalanced_sides.json` also ask for a rho for each side,
for an exact side (rho = inf: its marginal is met) and for total variation (TV). They name the
mistakes of this file that a case catches. An answer takes (C, a, b, eps, rho, penalty) with rho =
(rows, columns).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from refot.arrays import Array, ConvergenceWarning
from refot.objectives import kl_from_product
from refot.penalties import TV, Exact, Penalty, as_penalties
from refot.solvers import solve
from refot.transforms import softmin
from refot.unbalanced.objectives import unbalanced_dual, unbalanced_plan
from refot.unbalanced.values import unbalanced_value

from .mistake import Answer, Table, each

CAPABILITY = "unbalanced_sides"
"""The beginning of the ids of these mistakes, and the name of the file of vectors."""

Sides = tuple[float, float]
"""rho of the rows and of the columns."""


# ------------------------------------------------------------------ neighbouring problems
def _with(change: Callable[[Sides, str, float], tuple[Sides, str] | None]) -> Answer:
    """The value U of the same problem with another rho or penalty; None where neither changes."""

    def answer(C: Array, a: Array, b: Array, eps: float, rho: Any, penalty: str) -> float | None:
        given = (float(rho[0]), float(rho[1])), penalty
        changed = change(*given, eps)
        if changed is None or changed == given:
            return None
        return unbalanced_value(C, a, b, eps, *changed, backend="numpy")

    return answer


def _each_rho(change: Callable[[float, float], float]) -> Answer:
    return _with(lambda rho, penalty, eps: ((change(rho[0], eps), change(rho[1], eps)), penalty))


def _of_penalty(kind: str, factor: float = 1.0) -> Answer:
    """The value U with another penalty, "kl" or "tv".

    With factor 1 the penalty is `kind`, whatever is asked for. With another factor the penalty
    stays as it is, and rho is multiplied by the factor; that mistake can be made only where the
    penalty is `kind`, and elsewhere the answer is None.
    """

    def change(rho: Sides, penalty: str, eps: float) -> tuple[Sides, str] | None:
        changed = (factor * rho[0], factor * rho[1]), kind
        return changed if factor == 1 or penalty == kind else None

    return _with(change)


# here the answers take (C, a, b, eps, rho, penalty)
NEIGHBOURS: Table = {
    "rows-rho-for-both": ("rho of the rows is used for both sides",
        _with(lambda rho, penalty, eps: ((rho[0], rho[0]), penalty))),
    "columns-rho-for-both": ("rho of the columns is used for both sides",
        _with(lambda rho, penalty, eps: ((rho[1], rho[1]), penalty))),
    "rhos-exchanged": ("rho of the rows and of the columns are exchanged",
        _with(lambda rho, penalty, eps: (rho[::-1], penalty))),
    "exact-side-free": ("rho = inf is taken for no penalty at all",
        _each_rho(lambda rho, eps: eps / 2**20 if np.isinf(rho) else rho)),
    "rho-is-damping": ("rho / (rho + eps) stands for rho",
        _each_rho(lambda rho, eps: rho if np.isinf(rho) else rho / (rho + eps))),
    "kl-for-tv": ("the penalty is KL, not TV", _of_penalty("kl")),
    "tv-for-kl": ("the penalty is TV, not KL", _of_penalty("tv")),
    "tv-halved": ("TV is sum |p - a| / 2", _of_penalty("tv", 0.5)),
    "tv-doubled": ("rho is doubled under TV", _of_penalty("tv", 2.0)),
}


# ------------------------------------------------------------------ wrong formulas at the optimum
MET = 1e-8
"""Row sums whose L1 error is at most this share of the mass count as exact, and so do column sums:
the error is due to rounding and to the residual of the solve."""


@dataclass(frozen=True)
class Solved:
    """A solved problem: the penalties of its two sides, potentials f (n,) and g (m,), plan P (n,
    m), value U."""

    C: Array
    a: Array
    b: Array
    eps: float
    sides: tuple[Penalty, Penalty]
    f: Array
    g: Array
    P: Array
    U: float

    @property
    def sharp(self) -> float:
        """<C,P>."""
        return float((self.C * self.P).sum())

    @property
    def masses(self) -> tuple[float, float, float]:
        """m_a = sum a, m_b = sum b, and m(P) = sum P."""
        return float(self.a.sum()), float(self.b.sum()), float(self.P.sum())

    @property
    def relative(self) -> float:
        """eps sum P log(P / (a(x)b)): eps KL without its mass terms, which are the part -p + q of
        KL(p | q) = sum p log(p / q) - p + q."""
        return self.eps * kl_from_product(self.P, self.a, self.b)

    @property
    def eps_kl(self) -> float:
        """eps KL(P | a(x)b)."""
        m_a, m_b, m = self.masses
        return self.relative + self.eps * (m_a * m_b - m)

    @property
    def paid(self) -> tuple[float, float]:
        """What the rows and the columns pay for the difference between marginal and weights; 0 on a
        side whose marginal is exact up to MET."""
        marginals = self.P.sum(axis=1), self.P.sum(axis=0)
        rows, columns = (
            0.0 if abs(sums - w).sum() <= MET * w.sum() else side.cost(sums, w)
            for side, sums, w in zip(self.sides, marginals, (self.a, self.b), strict=True))
        return rows, columns

    @property
    def without_masses(self) -> float:
        """U with sum p log(p / q) in place of KL(p | q) = sum p log(p / q) - p + q in all terms."""
        m_a, m_b, m = self.masses
        off = sum(side.rho * (w - m) for side, w in zip(self.sides, (m_a, m_b), strict=True)
                  if not isinstance(side, Exact | TV))
        return self.U - off - self.eps * (m_a * m_b - m)


def _solved(C: Array, a: Array, b: Array, eps: float, rho: Any, penalty: str) -> Solved:
    arrays = tuple((array.shape, array.tobytes()) for array in (C, a, b))
    return _remembered(arrays, eps, (float(rho[0]), float(rho[1])), penalty)


@lru_cache
def _remembered(arrays: Any, eps: float, rho: Sides, penalty: str) -> Solved:
    C, a, b = (np.frombuffer(data).reshape(shape) for shape, data in arrays)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = solve(C, a, b, eps, rho=rho, penalty=penalty, backend="numpy")
    P = unbalanced_plan(found.f, found.g, C, a, b, eps, backend="numpy")
    U = unbalanced_dual(found.f, found.g, C, a, b, eps, rho, penalty, backend="numpy")
    return Solved(C, a, b, eps, as_penalties(rho, penalty), found.f, found.g, P, U)


# here the answers take a `Solved` problem
FORMULAS: Table = {
    "mass-terms-missing": ("the mass terms -p + q of KL are left out everywhere",
        lambda t: t.without_masses),
    "eps-masses-missing": ("eps m_a m_b is left out",
        lambda t: t.U - t.eps * t.masses[0] * t.masses[1]),
    "balanced-formula": ("the balanced formula a.f + b.g", lambda t: float(t.a @ t.f + t.b @ t.g)),
    "sharp": ("the sharp cost <C,P>: eps KL and both penalties are left out", lambda t: t.sharp),
    "kl-missing": ("eps KL(P | a(x)b) is left out", lambda t: t.U - t.eps_kl),
    "penalty-of-rows-missing": ("the penalty of the rows is left out",
        lambda t: t.U - t.paid[0] if t.paid[0] else None),
    "penalty-of-columns-missing": ("the penalty of the columns is left out",
        lambda t: t.U - t.paid[1] if t.paid[1] else None),
}


# ------------------------------------------------------------------ partial transport
STEPS, STILL = 2_000, 1e-15
"""`_partial` stops after STEPS iterations, or when no entry of g moves by more than STILL times the
largest |g_j|."""


def _partial(C: Array, a: Array, b: Array, eps: float, rho: Any, penalty: str) -> float | None:
    """U of partial transport: no row or column of the plan may have more mass than its weight.

    So f and g are at most rho, as under TV, but without the lower bound -rho of TV. None if the
    penalty is not TV, or if no plan exists because an exact side has more mass than the other.
    """
    if penalty != "tv" or (np.isinf(rho[0]) and a.sum() > b.sum()) or (
            np.isinf(rho[1]) and b.sum() > a.sum()):
        return None
    rows, columns, g = a > 0, b > 0, _solved(C, a, b, eps, rho, penalty).g
    C, a, b, g = C[np.ix_(rows, columns)], a[rows], b[columns], g[columns]
    turned = np.ascontiguousarray(C.T)
    for _ in range(STEPS):
        before = g
        f = np.minimum(softmin(C, g + eps * np.log(b), eps, backend="numpy"), rho[0])
        g = np.minimum(softmin(turned, f + eps * np.log(a), eps, backend="numpy"), rho[1])
        if abs(g - before).max() <= STILL * abs(g).max():
            break
    mass = float((a[:, None] * b * np.exp((f[:, None] + g - C) / eps)).sum())
    return float(a @ f + b @ g) - eps * (mass - float(a.sum() * b.sum()))


MISTAKES: Table = {
    **NEIGHBOURS,
    **each(FORMULAS, lambda of: lambda *given: of(_solved(*given))),
    "no-mass-made": ("no sum of the plan may exceed its weight: TV without its lower limit",
        _partial),
}
"""The mistakes by name."""
