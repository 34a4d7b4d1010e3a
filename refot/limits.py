"""Limits in eps with their bounds (G Theorem 1, B section 2.2), and the error of a finite sample.

With W0 the exact cost (B-1), A = <C, a(x)b>, and Ct the cost centred twice under a(x)b:
    eps -> 0:           F, s -> W0,   S (B-9) -> W0,         loss (G-4) -> 2 W0;
    eps -> infinity:    F, s -> A,    S -> MMD^2_{-c} / 2,   loss -> MMD^2_{-c}  (errata G2, E13).
For every eps between, and all discrete measures (by duality, Hoeffding's lemma, Pinsker's
inequality), with osc the largest less the smallest entry:
    0 <= F - W0, s - W0 <= eps min(H(a), H(b)),
    0 <= A - F <= osc(Ct)^2 / (8 eps),   0 <= A - s <= osc(Ct)^2 / (2 eps),
The bounds of S and of the loss are sums of these, in which F_xx and s_xx have W0 = 0.

Papers: B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018; an erratum such as "G2" is a
heading of docs/errata.md.
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
    first_order_solutions,
    mmd_squared,
    self_costs,
    sinkhorn_divergence,
    value_at,
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
    """The two limits of F and of s, and the constants in their bounds, in cost units.

    exact = W0; independent = A; entropy = min(H(a), H(b)) in nats; oscillation = osc(Ct) over the
    pairs with mass; variance = Var(Ct) under a(x)b. As eps -> infinity, eps (A - F) tends to
    variance / 2, and eps (A - s) to variance.
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

    W0 is computed by linear programming, with n m variables, unless it is known and given: `exact`.
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
    """The limits of S (B-9) and of the loss (G-4), from those of their three problems."""

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

    `cost` is a name of GROUND_COSTS: these are 0 between equal points, so that W0 = 0 between a
    cloud and itself, as the bounds need. Any other raises UnknownNameError.
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
    """F, s, S and the loss of G-4 between two clouds at each of `epsilons` (k,), in cost units."""
    rows = []
    for eps in _each(epsilons, "epsilons", as_positive):
        problems = _problems(x, a, y, b, eps, cost, backend)
        terms = first_order_solutions(problems, tol)
        F_xy, F_xx, F_yy = (value_at(p, solved.g) for p, solved in terms)
        s_xy, s_xx, s_yy = (_sharp(*term) for term in terms)
        rows.append((eps, F_xy, s_xy, F_xy - (F_xx + F_yy) / 2, 2 * s_xy - s_xx - s_yy))
    return EpsSweep(*np.array(rows).T)


# ------------------------------------------------------------------ the softmin of a batch
def softmin_density(
    g: Potential, C: CostLike, b: Weights, eps: float, *, backend: BackendLike = None
) -> Array:
    """r_ij = exp((g^(c,eps)_i + g_j - C_ij) / eps), (n, m): mean 1 under b in every row. B-29.

    C (n, m) or an operand, g (m,), b (m,). A column with b_j = 0 is never drawn, and its exact
    density might overflow: it is 0 here.
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

    A batch softmin is the transform of B with a batch for the data nu: -eps log of the mean of
    w_j = exp((g_j - C_ij) / eps) over B draws from b. This is its bias to first order in 1/B.
    r is the `softmin_density`, for which Var_b(r) = Var(w) / mean(w)^2. Because of this bias, the
    semi-dual on batches is no lower bound of the value.
    """
    log_r, b = _log_density(g, C, b, eps, backend)
    variance = namespace(b).expm1(log_r) ** 2 @ b
    return as_positive(eps) * variance / (2 * as_count(B, "B"))


def sampled_softmin_bias(
    g: Potential, C: CostLike, b: Weights, eps: float, B: int, repeats: int,
    rng: np.random.Generator, *, backend: BackendLike = None,
) -> tuple[Array, Array]:
    """(mean, standard error) (n,) of the batch softmin less the exact one, over `repeats` batches.

    Each batch is B columns drawn from b with replacement, the same for every row. In cost units.
    The results are NumPy arrays on every backend, because the draws are NumPy's.
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
    """The mean of S between two samples of n points of one law, for each n and each eps.

    sizes (k,) holds the numbers of points and epsilons (e,) the values of eps. divergence (e, k) is
    the mean of S of B-9. energy (k,) is that of MMD^2_{-c} / 2, the limit of S as eps -> infinity:
    half the energy distance if the cost is "euclidean". errors (e + 1, k) are the standard errors
    of these means, with the energy in the last row. All in cost units.
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

    draw(rng, n) returns n points (n, d) of the law. There are `repeats` pairs of samples of each
    size, the same for every eps. Between a law and itself S is 0, so that each mean is the error
    that n points make.
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
    """The slope of log values (k,) against log sizes (k,), by least squares: -1 for values ~ 1/n.

    Raises InputError unless all are positive and at least two sizes are different.
    """
    sizes, values = _each(sizes, "sizes", as_positive), _each(values, "values", as_positive)
    if len(values) != len(sizes):
        raise ShapeError("values", f"{len(values)} of them", f"{len(sizes)}, one for each size")
    if len(set(sizes)) < 2:
        raise InputError("sizes", f"{sizes}", "at least two different sizes: a slope is asked for")
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def _log_mean_exp(exponents: Array) -> Array:
    """log of the mean of exp along the last axis, shifted so that not all of them underflow."""
    largest = exponents.max(axis=-1)
    return largest + np.log(np.exp(exponents - largest[..., None]).mean(axis=-1))


def _repeats(repeats: int) -> int:
    """`repeats`, checked to be at least 2. Raises InputError."""
    if as_count(repeats, "repeats") < 2:
        raise InputError("repeats", f"{repeats}", "at least 2: a standard error is reported")
    return int(repeats)


def _each(values: Iterable[Number], name: str, check: Callable[[Any, str], Number]) -> list[Number]:
    """The entries of a list, each passed through `check`. Raises InputError, also if empty."""
    try:
        entries = list(values)
    except TypeError:
        raise TypeInputError(name, f"{values!r}", "a list of numbers") from None
    if not entries:
        raise InputError(name, "an empty list", "at least one number")
    return [check(entry, f"{name}[{k}]") for k, entry in enumerate(entries)]
