"""Small unbalanced problems, and the equations U-1 and U-2 computed independently, to 50 digits."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any, NamedTuple

import numpy as np

import refot

INF = float("inf")


class Unbalanced(NamedTuple):
    """(C, a, b, eps, rho, penalty), in the order in which every function takes it."""

    C: Any
    a: Any
    b: Any
    eps: float
    rho: Any
    penalty: str = "kl"

    @property
    def rhos(self) -> tuple[float, float]:
        """(rho of the rows, rho of the columns)."""
        return self.rho if isinstance(self.rho, tuple) else (self.rho, self.rho)


def drawn(seed: int, rho: Any = None, penalty: str = "kl", eps: float | None = None) -> Unbalanced:
    """A random problem with 1 to 5 atoms on each side, total masses from 1e-6 to 1e6, some masses
    0, eps from 1e-2 to 10 and rho from 1e-4 eps to 1e6 eps, unless these are given."""
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 6, 2)
    a, b = (_masses(rng, k) for k in (n, m))
    eps = float(10 ** rng.uniform(-2, 1)) if eps is None else eps
    if rho is None:
        rho = tuple(float(eps * 10 ** rng.uniform(-4, 6)) for _ in range(2))
    if penalty == "tv":
        rho = tuple(max(r, 1e-2) for r in np.broadcast_to(rho, 2).tolist())
    return Unbalanced(rng.random((n, m)) * 4, a, b, eps, rho, penalty)


def _masses(rng: np.random.Generator, n: int) -> Any:
    """n masses, some of them 0, whose sum is from 1e-6 to 1e6."""
    w = rng.random(n) * (rng.random(n) < 0.8)
    w[rng.integers(n)] = 1.0
    return w / w.sum() * 10 ** rng.uniform(-6, 6)


def solved(case: Unbalanced, **options: Any) -> Any:
    return refot.solve(*case[:4], rho=case.rho, penalty=case.penalty, **options)


# ------------------------------------------------------------------ to 50 digits
def _numbers(*arrays: Any) -> list[Any]:
    return [[Decimal(float(t)) for t in np.ravel(array)] for array in arrays]


def _kl(p: Any, q: Any) -> Decimal:
    """sum p log(p / q) - p + q."""
    zero = Decimal(0)
    return sum(((s * (s / t).ln() if s > 0 else zero) - s + t for s, t in zip(p, q, strict=True)
                if t > 0), zero)


def _penalty(kind: str, rho: float, r: Any, a: Any) -> Decimal:
    if rho == INF:
        return Decimal(0)
    if kind == "tv":
        return Decimal(rho) * sum(abs(s - t) for s, t in zip(r, a, strict=True))
    return Decimal(rho) * _kl(r, a)


def exact_primal(P: Any, case: Unbalanced) -> float:
    """U-1, the primal value of these floats. A marginal that must be exact is not checked."""
    with localcontext() as context:
        context.prec = 50
        n, m = case.C.shape
        p, c, a, b = _numbers(P, case.C, case.a, case.b)
        product = [s * t for s in a for t in b]
        rows = [sum(p[i * m:(i + 1) * m]) for i in range(n)]
        columns = [sum(p[j::m]) for j in range(m)]
        value = sum((s * t for s, t in zip(p, c, strict=True)), Decimal(0))
        value += Decimal(case.eps) * _kl(p, product)
        for rho, r, w in zip(case.rhos, (rows, columns), (a, b), strict=True):
            value += _penalty(case.penalty, rho, r, w)
        return float(value)


def exact_dual(f: Any, g: Any, case: Unbalanced) -> float:
    """U-2, the dual value of these floats."""
    with localcontext() as context:
        context.prec = 50
        f, g, a, b = _numbers(f, g, case.a, case.b)
        eps, value = Decimal(case.eps), Decimal(0)
        for rho, h, w in zip(case.rhos, (f, g), (a, b), strict=True):
            if rho == INF:
                value += sum(s * t for s, t in zip(w, h, strict=True))
            elif case.penalty == "tv":
                value += sum(s * min(t, Decimal(rho)) for s, t in zip(w, h, strict=True))
            else:
                value -= Decimal(rho) * sum(s * ((-t / Decimal(rho)).exp() - 1)
                                            for s, t in zip(w, h, strict=True))
        for i, row in enumerate(np.asarray(case.C)):
            for j, cost in enumerate(row):
                exponent = (f[i] + g[j] - Decimal(float(cost))) / eps
                value -= eps * a[i] * b[j] * (exponent.exp() - 1)
        return float(value)
