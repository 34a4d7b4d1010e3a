"""The penalties of unbalanced transport: what it costs if a marginal of the plan differs from a.
They are KL, total variation (TV), and "exact", which allows no difference. U-1, U-2, U-3.

Unbalanced transport does not require P1 = a. It adds D(P1 | a) to the cost of a plan P instead, and
the same for the columns. In the dual its convex conjugate D* takes its place. A potential f *asks
for* the row sums r that are optimal for it: those where D(r | a) + D*(-f) + r.f is 0, its minimum.
Each penalty D is a class with these methods, in which "best" means: with the largest dual.

    cost(r, a)       D(r | a), in cost units: U-1
    reward(f, a)     -D*(-f) = a.worth(f), the term of f in the dual, in cost units: U-2
    worth(f)         that term for each point, per unit of its mass, (n,)
    prox(h, eps)     the best potential f where the softmin is h, (n,): U-3
    asked(f, a, r)   the row sums that f asks for, (n,): U-4
    excess(f, h, eps)  log of each row sum over the sum that is asked for, (n,)
    slack(r, f, a)   the n terms of D(r | a) + D*(-f) + r.f, (n,), none below 0
    rise(f, x, a)    reward(f + x, a) - reward(f, a), computed so that no digits cancel for small x
    log_mass(f, a)   log of the total of the sums that f asks for
    shift(...)       the number t that makes the dual of (f + t, g - t) largest: U-5
    prox_shift(...)  the t that is best for g - t together with its best f

f (n,) is a potential in cost units, a (n,) masses of any total, r (n,) the sums of the rows; h (n,)
is the softmin of the column potential g; x (n,) is a step. `softness` says how fast, as a share,
the sums that are asked for fall where f rises: 1 / rho with KL, and 0 with TV and "exact". U: the
equations of unbalanced transport in docs/equations.md (liero2018optimal and chizat2018scaling in
docs/references.bib).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from refot.arrays import Array, InputError, TypeInputError, as_number, lookup, namespace

SUM_MISS = {8: 1e-8, 4: 1e-4}
"""By the number of bytes of a float: row sums count as equal to an exact marginal if their L1
distance from it is at most this share of its mass. It is ten times the default tolerance of a
solve."""

LARGEST_RHO = {8: 2.0**960, 4: 2.0**96}
"""By the number of bytes of a float: the largest finite rho that is accepted, in cost units. The
smallest rho that is accepted is the inverse of this number."""


@dataclass(frozen=True)
class KL:
    """The penalty rho KL(r | a) = rho sum (r log(r / a) - r + a), with rho in cost units."""

    rho: float

    @property
    def softness(self) -> float:
        """1 / rho: the sums that f asks for fall by this share where f rises by one cost unit."""
        return 1 / self.rho

    def cost(self, r: Array, a: Array) -> float:
        """rho KL(r | a); infinite where r > 0 = a."""
        return self.rho * kl_of_masses(r, a)

    def worth(self, f: Array) -> Array:
        """rho (1 - exp(-f / rho)), (n,)."""
        with np.errstate(over="ignore"):
            return -self.rho * namespace(f).expm1(-f / self.rho)

    def reward(self, f: Array, a: Array) -> float:
        """-rho sum a (exp(-f / rho) - 1)."""
        return float(a @ namespace(a).where(a > 0, self.worth(f), 0))

    def prox(self, h: Array, eps: float) -> Array:
        """rho / (rho + eps) h."""
        return h * (1 / (1 + eps / self.rho))

    def asked(self, f: Array, a: Array, r: Array) -> Array:
        """a exp(-f / rho), (n,), independent of the sums r."""
        xp = namespace(a)
        with np.errstate(over="ignore"):
            return a * xp.exp(xp.where(a > 0, -f / self.rho, 0))

    def excess(self, f: Array, h: Array, eps: float) -> Array:
        """log of each row sum over the sum that f asks for, (n,), where the softmin is h."""
        return (f - h) / eps + f / self.rho

    def slack(self, r: Array, f: Array, a: Array) -> Array:
        """rho KL(r_i | a_i exp(-f_i / rho)), (n,)."""
        return self.rho * kl_terms(r, self.asked(f, a, r))

    def rise(self, f: Array, x: Array, a: Array) -> float:
        """-rho sum a exp(-f / rho) (exp(-x / rho) - 1)."""
        with np.errstate(over="ignore"):
            return -self.rho * float(self.asked(f, a, a) @ namespace(a).expm1(-x / self.rho))

    def log_mass(self, f: Array, a: Array) -> float:
        """log sum a exp(-f / rho), of the total that f asks for; it cannot overflow."""
        return log_sum(a, -f / self.rho)

    def shift(self, f: Array, a: Array, other: Penalty, g: Array, b: Array) -> float:
        """The t at which f + t and g - t ask for the same total mass. `other`, the penalty of the
        columns, is KL or exact."""
        return ((self.log_mass(f, a) - other.log_mass(g, b))
                / (self.softness + other.softness))

    def prox_shift(self, h: Array, a: Array, eps: float, other: Penalty, g: Array, b: Array
                   ) -> float:
        """The t at which g - t and f = prox(h + t), the best potential for it, ask for the same
        total mass.

        This f and t together are the best for g up to a constant: the translation-invariant step of
        sejourne2022faster in docs/references.bib.
        """
        return ((self.log_mass(self.prox(h, eps), a) - other.log_mass(g, b))
                / (self.softness / (1 + eps * self.softness) + other.softness))


@dataclass(frozen=True)
class Exact:
    """The penalty that is 0 if r = a, and else infinite: the marginal is exact. It is the limit of
    the others as rho goes to infinity."""

    rho: float = math.inf

    @property
    def softness(self) -> float:
        """0: the sums that f asks for are a, whatever f is."""
        return 0.0

    def cost(self, r: Array, a: Array) -> float:
        """0, or infinite where |r - a|_1 is more than the share SUM_MISS of the mass."""
        miss = float(abs(r - a).sum())
        return 0.0 if miss <= SUM_MISS[a.dtype.itemsize] * float(a.sum()) else math.inf

    def worth(self, f: Array) -> Array:
        """f, (n,)."""
        return f

    def reward(self, f: Array, a: Array) -> float:
        """a.f."""
        return float(a @ f)

    def prox(self, h: Array, eps: float) -> Array:
        """h."""
        return h

    def asked(self, f: Array, a: Array, r: Array) -> Array:
        """a, whatever f is."""
        return a

    def excess(self, f: Array, h: Array, eps: float) -> Array:
        """log of the row sum over a, (n,), where the softmin is h."""
        return (f - h) / eps

    def slack(self, r: Array, f: Array, a: Array) -> Array:
        """0 where r_i = a_i, else infinite, (n,)."""
        return namespace(a).where(r == a, 0.0, math.inf)

    def rise(self, f: Array, x: Array, a: Array) -> float:
        """a.x."""
        return float(a @ x)

    def log_mass(self, f: Array, a: Array) -> float:
        """log of the mass of a."""
        return math.log(float(a.sum()))

    def shift(self, f: Array, a: Array, other: Penalty, g: Array, b: Array) -> float:
        """The t for which the rewards of f + t and g - t together are largest. 0 if the columns are
        exact too: then both masses are equal, and the sum is the same for every t."""
        return 0.0 if isinstance(other, Exact) else -other.shift(g, b, self, f, a)

    def prox_shift(self, h: Array, a: Array, eps: float, other: Penalty, g: Array, b: Array
                   ) -> float:
        """The same as `shift` for f = h, because the best f for g - t is h + t."""
        return self.shift(h, a, other, g, b)


@dataclass(frozen=True)
class TV:
    """The penalty rho |r - a|_1, with rho in cost units. Mass is left behind where moving it
    costs more than to leave it out."""

    rho: float

    @property
    def softness(self) -> float:
        """0: for f between -rho and rho the sums that f asks for do not change."""
        return 0.0

    def cost(self, r: Array, a: Array) -> float:
        """rho sum |r - a|."""
        return self.rho * float(abs(r - a).sum())

    def worth(self, f: Array) -> Array:
        """min(f, rho), (n,), for f >= -rho."""
        return namespace(f).minimum(f, self.rho)

    def reward(self, f: Array, a: Array) -> float:
        """sum a min(f, rho); -infinity where some f < -rho."""
        below = bool(((f < -self.rho) & (a > 0)).any())
        return -math.inf if below else float(a @ self.worth(f))

    def prox(self, h: Array, eps: float) -> Array:
        """h clipped to [-rho, rho]."""
        return namespace(h).clip(h, -self.rho, self.rho)

    def asked(self, f: Array, a: Array, r: Array) -> Array:
        """a, (n,). Where f = rho any sum below a is optimal too, and where f = -rho any above:
        there the sum r itself is returned."""
        xp = namespace(f)
        asked = xp.where(f >= self.rho, xp.minimum(r, a), a)
        return xp.where(f <= -self.rho, xp.maximum(r, a), asked)

    def excess(self, f: Array, h: Array, eps: float) -> Array:
        """log of each row sum over the sum with the best potential, (n,); the softmin is h."""
        return (f - self.prox(h, eps)) / eps

    def slack(self, r: Array, f: Array, a: Array) -> Array:
        """rho |r_i - a_i| + (r_i - a_i) f_i, (n,), for f between -rho and rho."""
        return self.rho * abs(r - a) + (r - a) * f

    def rise(self, f: Array, x: Array, a: Array) -> float:
        """sum a (min(f + x, rho) - min(f, rho)); -infinity where some f + x < -rho."""
        return self.reward(f + x, a) - self.reward(f, a)

    def log_mass(self, f: Array, a: Array) -> float:
        """log of the mass of a, which f asks for if it is between -rho and rho."""
        return math.log(float(a.sum()))

    def shift(self, f: Array, a: Array, other: Penalty, g: Array, b: Array) -> float:
        """The t for which the sum of the rewards of f + t and g - t is largest.

        This sum is concave and piecewise linear in t. Its slope is the mass of the rows with
        f + t < rho less that of the columns with g - t < rho; it is finite only where f + t and
        g - t are >= -rho. It may be largest on an interval, as for equal masses at a large rho.
        Then t is the middle of it, so that potentials are neither at a kink nor large without need.
        """
        f, a, g, b = f[a > 0], a[a > 0], g[b > 0], b[b > 0]
        least, most = -self.rho - float(f.min()), other.rho + float(g.min())
        if not least <= most:  # no shift gives a finite dual
            return 0.0
        first, last = _top(self.rho - f, a, g - other.rho, b)
        return (min(max(first, least), most) + min(max(last, least), most)) / 2

    def prox_shift(self, h: Array, a: Array, eps: float, other: Penalty, g: Array, b: Array
                   ) -> float:
        """0: for TV the solvers apply `shift` after the step instead."""
        return 0.0


def _top(rows: Array, a: Array, columns: Array, b: Array) -> tuple[float, float]:
    """The interval of t on which sum a min(t, rows) + sum b min(-t, -columns) is largest.

    `rows` (n,) and `columns` (m,) are the kinks of this function. Between two kinks its slope is
    the sum of a over the rows beyond t, less the sum of b over the columns before t. Each sum is
    accumulated from the end where it is 0, so that small weights are not lost beside large ones. A
    slope within the rounding of both sums counts as 0.
    """
    xp = namespace(a)
    kinks = xp.concatenate([rows, columns])
    order, none = xp.argsort(kinks), xp.zeros_like(a[:1])
    beyond = xp.concatenate([a, xp.zeros_like(b)])[order]
    passed = xp.concatenate([xp.zeros_like(a), b])[order]
    # Entry k of both sums belongs to the t just before kink k, and the last to all t beyond.
    rise = xp.concatenate([xp.flip(xp.cumsum(xp.flip(beyond))), none])
    fall = xp.concatenate([none, xp.cumsum(passed)])
    slope, rounding = rise - fall, float(np.finfo(a.dtype).eps) * len(kinks) * (rise + fall)
    first = int((slope > rounding).sum()) - 1
    last = len(kinks) - int((slope < -rounding).sum())
    return float(kinks[order[first]]), float(kinks[order[last]])


Penalty: TypeAlias = KL | TV | Exact

PENALTIES: dict[str, type[KL] | type[TV]] = {"kl": KL, "tv": TV}
"""The penalties by name; with rho = inf each of them is `Exact`."""


def as_penalties(rho: object, penalty: object = "kl", dtype: DTypeLike = np.float64
                 ) -> tuple[Penalty, Penalty]:
    """(the penalty of the rows, that of the columns) from a number rho or a pair of them, in cost
    units.

    Raises InputError unless each rho is > 0; infinity stands for an exact marginal. `dtype` is that
    of the arrays: 1 / rho and eps / rho have to stay in its range.
    """
    kind = lookup(PENALTIES, penalty, "penalty")  # type: ignore[arg-type]
    is_pair = isinstance(rho, tuple | list) or (isinstance(rho, np.ndarray) and rho.ndim == 1)
    numbers = list(rho) if is_pair else [rho, rho]  # type: ignore[call-overload]
    if len(numbers) != 2:
        raise InputError("rho", f"{len(numbers)} numbers",
                         "a number > 0, or a pair (rows, columns)")
    rows, columns = (Exact() if number == math.inf else kind(number)
                     for number in (_as_rho(each, dtype) for each in numbers))
    return rows, columns


def as_rho(rows: Penalty, columns: Penalty) -> tuple[tuple[float, float], str]:
    """((rho of the rows, rho of the columns), the name of the penalty): the inverse of
    `as_penalties`."""
    kinds = [type(side) for side in (rows, columns) if not isinstance(side, Exact)]
    name = next((name for name, kind in PENALTIES.items() if kind in kinds), "kl")
    first, second = (math.inf if isinstance(side, Exact) else side.rho for side in (rows, columns))
    return (first, second), name


def _as_rho(rho: object, dtype: DTypeLike) -> float:
    """rho > 0, or infinity."""
    if isinstance(rho, np.generic | np.ndarray) and np.ndim(rho) == 0:
        rho = rho.item()
    if isinstance(rho, float) and rho == math.inf:
        return rho
    if rho is None:
        raise TypeInputError("rho", "None", "a number > 0, or a pair (rows, columns)")
    number, most = as_number(rho, "rho"), LARGEST_RHO[np.dtype(dtype).itemsize]
    if not 1 / most <= number <= most:
        raise InputError("rho", f"{number:g}", f"{1 / most:.1g} to {most:.1g}, or inf: exact")
    return number


# ------------------------------------------------------------------ sums that cannot overflow
def log_sum(a: Array, exponents: Array) -> float:
    """log sum a exp(exponents), over the entries with a > 0."""
    xp, limits = namespace(a), np.finfo(a.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(a @ xp.exp(exponents))
    if limits.tiny / limits.eps < total < math.inf:  # so large that underflow did no harm
        return math.log(total)
    exponents, a = exponents[a > 0], a[a > 0]
    top = float(exponents.max())
    return top + math.log(float(a @ xp.exp(exponents - top)))


def kl_of_masses(p: Array, q: Array) -> float:
    """KL(p | q) = sum p log(p / q) - p + q, for masses of any total; infinite where p > 0 = q."""
    if bool(((p > 0) & (q == 0)).any()):
        return math.inf
    return float(kl_terms(p, q).sum())


def kl_terms(p: Array, q: Array) -> Array:
    """p log(p / q) - p + q for each entry, (n,); needs q > 0 wherever p > 0.

    For p near q the terms would cancel. There the equal form q ((1 + z) log(1 + z) - z) is used,
    with z = (p - q) / q.
    """
    xp = namespace(p)
    both = (p > 0) & (q > 0)
    near = both & (p > q / 2) & (p < 2 * q)
    z = xp.where(near, p - q, 0) / xp.where(near, q, 1)
    logs = xp.log(xp.where(both, p, 1)) - xp.log(xp.where(both, q, 1))
    return xp.where(near, q * ((1 + z) * xp.log1p(z) - z), p * logs - p + q)

