"""Limits in eps with their bounds (G Theorem 1, B section 2.2), and what a finite sample costs.

With W0 the exact cost (B-1), A = <C, a(x)b>, and Ct the cost centred twice under a(x)b:
    eps -> 0:           F, s -> W0,   S (B-9) -> W0,         loss (G-4) -> 2 W0;
    eps -> infinity:    F, s -> A,    S -> MMD^2_{-c} / 2,   loss -> MMD^2_{-c}  (errata G2, E13).
On the way, for all discrete measures (by duality, Hoeffding's lemma, Pinsker's inequality):
    0 <= F - W0, s - W0 <= eps min(H(a), H(b)),
    0 <= A - F <= osc(Ct)^2 / (8 eps),   0 <= A - s <= osc(Ct)^2 / (2 eps),
and those of S and of the loss follow, because F_xx and s_xx have W0 = 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np

from refot.arrays import (
    Array,
    CostLike,
    InputError,
    Points,
    Potential,
    ShapeError,
    TypeInputError,
    Weights,
    as_count,
    as_positive,
    as_weights,
    namespace,
)
from refot.backend_contract import BackendLike, get_backend
from refot.costs.forbidden import require_finite
from refot.costs.operands import as_cost, ground_point_cost
from refot.divergences import (
    _problems,
    _sharp,
    _value,
    first_order_solutions,
    mmd_squared,
    self_costs,
    sinkhorn_divergence,
)
from refot.objectives import entropy, kantorovich
from refot.solvers.memory import gibbs_matrix
from refot.transforms import _rows_unweighted

Bounds: TypeAlias = tuple[float, float]
"""(lower, upper), in cost units."""

Number = TypeVar("Number", int, float)


# ------------------------------------------------------------------ one problem: F and s
@dataclass(frozen=True)
class CostLimits:
    """The two limits of F and of s, and the constants of the way between, in cost units.

    exact = W0; independent = A; entropy = min(H(a), H(b)) in nats; oscillation = osc(Ct) over the
    support; variance = Var(Ct) under a(x)b: eps (A - F) -> variance / 2, eps (A - s) -> variance.
    """

    exact: float
    independent: float
    entropy: float
    oscillation: float
    variance: float

    def value_bounds(self, eps: float) -> Bounds:
        """An interval that holds F at eps."""
        return self._bounds(eps, self.oscillation**2 / (8 * as_positive(eps, "eps")))

    def sharp_bounds(self, eps: float) -> Bounds:
        """An interval that holds s at eps."""
        return self._bounds(eps, self.oscillation**2 / (2 * as_positive(eps, "eps")))

    def _bounds(self, eps: float, below_independent: float) -> Bounds:
        return (max(self.exact, self.independent - below_independent),
                min(self.independent, self.exact + eps * self.entropy))


def cost_limits(C: CostLike, a: Weights, b: Weights, *, exact: float | None = None) -> CostLimits:
    """The limits and constants of one problem: C (n, m) or an operand, a (n,), b (m,).

    W0 is solved by linear programming, with n m variables, unless it is known: `exact`.
    """
    C = as_cost(C)
    a, b = as_weights(a, C.shape[0], "a", C.dtype), as_weights(b, C.shape[1], "b", C.dtype)
    require_finite(C, "the independent plan gives mass to every pair")
    matrix = C.dense()
    centred = doubly_centred(matrix, a, b)
    on_support = centred[a > 0][:, b > 0]
    return CostLimits(
        exact=kantorovich(matrix, a, b)[0] if exact is None else exact,
        independent=float(a @ matrix @ b),
        entropy=min(entropy(a), entropy(b)),
        oscillation=float(on_support.max() - on_support.min()),
        variance=float(a @ centred**2 @ b),
    )


def doubly_centred(C: Array, a: Array, b: Array) -> Array:
    """Ct_ij = C_ij - (C b)_i - (C'a)_j + a'C b, (n, m): means 0 under a and under b."""
    return C - (C @ b)[:, None] - a @ C + a @ C @ b


# ------------------------------------------------------------------ two clouds: S and the loss
@dataclass(frozen=True)
class DivergenceLimits:
    """The limits of S (B-9) and of the loss (G-4), by those of the three problems in them."""

    xy: CostLimits
    xx: CostLimits
    yy: CostLimits

    @property
    def mmd_squared(self) -> float:
        """MMD^2_{-c} = 2 A_xy - A_xx - A_yy (G-2): the limit of G-4, and twice that of B-9."""
        return 2 * self.xy.independent - self.xx.independent - self.yy.independent

    def divergence_bounds(self, eps: float) -> Bounds:
        """An interval that holds S of B-9 at eps: F_xy - F_xx / 2 - F_yy / 2."""
        xy, xx, yy = (each.value_bounds(eps) for each in (self.xy, self.xx, self.yy))
        return xy[0] - (xx[1] + yy[1]) / 2, xy[1] - (xx[0] + yy[0]) / 2

    def loss_bounds(self, eps: float) -> Bounds:
        """An interval that holds the loss of G-4 at eps: 2 s_xy - s_xx - s_yy."""
        xy, xx, yy = (each.sharp_bounds(eps) for each in (self.xy, self.xx, self.yy))
        return 2 * xy[0] - xx[1] - yy[1], 2 * xy[1] - xx[0] - yy[0]


def divergence_limits(
    x: Points, a: Weights, y: Points, b: Weights, cost: str = "sqeuclidean"
) -> DivergenceLimits:
    """The limits of S and of the loss between two clouds: x (n, d), a (n,), y (m, d), b (m,).

    `cost` a name of GROUND_COSTS, or UnknownNameError: they rest on W0 = 0 of a cloud to itself.
    """
    C = ground_point_cost(x, y, cost)
    xx, yy = self_costs(C)
    return DivergenceLimits(
        cost_limits(C, a, b), cost_limits(xx, a, a, exact=0.0), cost_limits(yy, b, b, exact=0.0))


@dataclass(frozen=True)
class EpsSweep:
    """The four values at each eps, all (k,) in cost units: F, s, S of B-9, the loss of G-4."""

    eps: Array
    value: Array
    sharp: Array
    divergence: Array
    loss: Array


def eps_sweep(
    x: Points, a: Weights, y: Points, b: Weights, epsilons: Sequence[float],
    cost: str = "sqeuclidean", *,
    tol: float | None = None, backend: BackendLike = None,
) -> EpsSweep:
    """F, s, S and G's loss between two clouds along `epsilons` (k,), in cost units."""
    rows = []
    for eps in _each(epsilons, "epsilons", as_positive):
        problems = _problems(x, a, y, b, eps, cost, backend)
        terms = first_order_solutions(problems, tol)
        F_xy, F_xx, F_yy = (_value(*term) for term in terms)
        s_xy, s_xx, s_yy = (_sharp(*term) for term in terms)
        rows.append((eps, F_xy, s_xy, F_xy - (F_xx + F_yy) / 2, 2 * s_xy - s_xx - s_yy))
    return EpsSweep(*np.array(rows).T)


# ------------------------------------------------------------------ the softmin of a batch
def softmin_density(
    g: Potential, C: CostLike, b: Weights, eps: float, *, backend: BackendLike = None
) -> Array:
    """r_ij = exp((g^(c,eps)_i + g_j - C_ij) / eps), (n, m): mean 1 under b in every row. B-29.

    C (n, m) or an operand, g (m,), b (m,). 0 where b_j = 0: it is never drawn, and may overflow.
    """
    p = _rows_unweighted(C, b, eps, backend)
    g = p.column_potential(g)
    drawn = namespace(g).where(p.b > 0, g, -np.inf)
    return gibbs_matrix(p.C, p.transform(g), drawn, p.eps)


def _log_density(
    g: Potential, C: CostLike, b: Weights, eps: float, backend: BackendLike
) -> tuple[Array, Array]:
    """(log r_ij (n, m), -infinity where b_j = 0; b), both on the backend."""
    p = _rows_unweighted(C, b, eps, backend)
    g = p.column_potential(g)
    exponents = (p.transform(g)[:, None] + g - p.C.dense()) / p.eps
    return namespace(g).where(p.b > 0, exponents, -np.inf), p.b


def softmin_batch_bias(
    g: Potential, C: CostLike, b: Weights, eps: float, B: int, *, backend: BackendLike = None
) -> Array:
    """eps Var_b(r_i) / (2 B), (n,) in cost units: how far batch softmins lie too high, on average.

    To first order in 1/B; r is the `softmin_density`, so that Var_b(r) = Var(w) / mean(w)^2 of
    w_j = exp((g_j - C_ij) / eps). A batch softmin is -eps log of the mean of w over B draws from b,
    the transform B-25 with the batch for nu. So B-24 on batches is no lower bound of the value.
    """
    log_r, b = _log_density(g, C, b, eps, backend)
    variance = namespace(b).expm1(log_r) ** 2 @ b
    return as_positive(eps) * variance / (2 * as_count(B, "B"))


def sampled_softmin_bias(
    g: Potential, C: CostLike, b: Weights, eps: float, B: int, repeats: int,
    rng: np.random.Generator, *, backend: BackendLike = None,
) -> tuple[Array, Array]:
    """(mean, standard error) (n,) of the batch softmin less the exact one, over `repeats` batches.

    Each batch is B columns drawn from b with replacement, the same for every row. In cost units;
    NumPy arrays, for the draws are NumPy's.
    """
    on = get_backend(backend)
    log_r, b = map(on.to_numpy, _log_density(g, C, b, eps, on))
    shape = (_repeats(repeats), as_count(B, "B"))
    batches = rng.choice(b.shape[0], size=shape, p=b / b.sum())
    excess = -as_positive(eps) * np.stack([_log_mean_exp(row[batches]) for row in log_r])
    return excess.mean(axis=1), excess.std(axis=1, ddof=1) / math.sqrt(shape[0])


# ------------------------------------------------------------------ samples against n
@dataclass(frozen=True)
class SampleComplexity:
    """Between two samples of n points of one law: the mean of S at each eps, and of its limit.

    sizes (k,); epsilons (e,); divergence (e, k): S of B-9; energy (k,): MMD^2_{-c} / 2, its limit
    eps -> infinity, half the energy distance for the cost "euclidean"; `errors` (e + 1, k): the
    standard errors of these means, energy last. All in cost units.
    """

    sizes: Array
    epsilons: Array
    divergence: Array
    energy: Array
    errors: Array


def sample_complexity(
    draw: Callable[[np.random.Generator, int], Array], sizes: Sequence[int],
    epsilons: Sequence[float], repeats: int, seed: int, cost: str = "euclidean", *,
    tol: float = 1e-6, backend: BackendLike = None,
) -> SampleComplexity:
    """S between two independent samples of n points, for n in `sizes` and each eps. G section 3.2.

    draw(rng, n) returns n points (n, d) of the law; every eps sees the same samples, 2 `repeats`
    of each size. The population value is 0, so each mean is the error that n points make.
    """
    repeats = _repeats(repeats)
    sizes, epsilons = _each(sizes, "sizes", as_count), _each(epsilons, "epsilons", as_positive)
    rng, table = np.random.default_rng(seed), []
    for n in sizes:
        a = np.full(n, 1 / n)
        pairs = [(draw(rng, n), draw(rng, n)) for _ in range(repeats)]
        table.append([
            [*(sinkhorn_divergence(x, a, y, a, eps, cost, tol=tol, backend=backend)
               for eps in epsilons),
             mmd_squared(x, a, y, a, cost) / 2]
            for x, y in pairs
        ])
    values = np.array(table)  # (size, repeat, eps and energy)
    means, errors = values.mean(axis=1).T, values.std(axis=1, ddof=1).T / math.sqrt(repeats)
    return SampleComplexity(np.array(sizes), np.array(epsilons), means[:-1], means[-1], errors)


def decay_rate(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of log values (k,) against log sizes (k,), by least squares: -1 for 1/n.

    Both positive, and at least two different sizes, or InputError.
    """
    sizes, values = _each(sizes, "sizes", as_positive), _each(values, "values", as_positive)
    if len(values) != len(sizes):
        raise ShapeError("values", f"{len(values)} of them", f"{len(sizes)}, one for each size")
    if len(set(sizes)) < 2:
        raise InputError("sizes", f"{sizes}", "at least two different sizes: a slope is asked for")
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def _log_mean_exp(exponents: Array) -> Array:
    """log of the mean of exp along the last axis, where no exp may underflow to 0 throughout."""
    largest = exponents.max(axis=-1)
    return largest + np.log(np.exp(exponents - largest[..., None]).mean(axis=-1))


def _repeats(repeats: int) -> int:
    """A count of at least 2. Raises InputError."""
    if as_count(repeats, "repeats") < 2:
        raise InputError("repeats", f"{repeats}", "at least 2: a standard error is reported")
    return int(repeats)


def _each(values: Iterable[Number], name: str, check: Callable[[Any, str], Number]) -> list[Number]:
    """The entries of a list, each checked, at least one. Raises InputError."""
    try:
        entries = list(values)
    except TypeError:
        raise TypeInputError(name, f"{values!r}", "a list of numbers") from None
    if not entries:
        raise InputError(name, "an empty list", "at least one number")
    return [check(entry, f"{name}[{k}]") for k, entry in enumerate(entries)]
