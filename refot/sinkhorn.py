"""Sinkhorn's algorithm: the scaling form exactly as G-7, the log domain, and the symmetric form.

Each algorithm is a generator of iterates, one per step; a solver takes iterates until it stops.
Stopping rule, the same everywhere: the L1 norm of the marginal error of the plan that is returned,
|P1 - a|_1 + |P'1 - b|_1, within tol, and every potential within eps sqrt(tol) of the transform of
the other side; evaluated at the returned potentials and not at older ones.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from refot.arrays import (
    Array,
    ConvergenceWarning,
    InputError,
    as_count,
    as_positive,
    as_weights,
    marginal_tolerance,
    namespace,
)
from refot.backend_contract import BackendLike
from refot.costs import as_cost, as_eps, is_symmetric
from refot.forbidden import finite_part, obstruction, with_partners
from refot.gap import CertifiedGap
from refot.problem import Problem, problem
from refot.stopping import Control, Finish, Watch

LONG = 100
"""After so many iterations it is asked whether the forbidden pairs leave a plan at all."""


@dataclass(frozen=True)
class SinkhornResult:
    """Potentials f (n,), g (m,) in cost units, and how far the solve came.

    `marginal_error` is the L1 error of both marginals of the plan of (f, g). `atom_error` is the
    largest |f - g^(c,eps)| / eps or |g - f^(c,eps)| / eps over all atoms, light ones and those
    without mass too: how far, in logarithms, the sum of any row or column of the plan is from its
    weight. `converged`: the first is <= `tolerance` and the second <= sqrt(`tolerance`), or the
    certified gap is what was asked for. `errors` holds the marginal error after each iteration, inf
    after one that belongs to a larger eps or a lower precision.
    `stopped_by`: "tolerance", "gap", "time limit", "max_iter", "rounding" (no smaller error for
    many iterations, at what the precision of the problem allows), "stall" (none above that), or
    "infeasible" (no plan avoids the forbidden pairs, seen after LONG iterations).
    `gap` is an interval around F, where one was asked for; `seconds` what the solve took.
    `infeasible` says why no plan avoids the forbidden pairs, where none does and it did not
    converge.
    """

    f: Array
    g: Array
    converged: bool
    marginal_error: float
    atom_error: float
    tolerance: float
    errors: tuple[float, ...]
    stopped_by: str
    seconds: float
    gap: CertifiedGap | None = None
    infeasible: str = ""

    @property
    def iterations(self) -> int:
        """The number of iterations that were run."""
        return len(self.errors)


class ScalingWarning(ConvergenceWarning):
    """The scaling form G-7 left the range of floats: what it returns is infinite or NaN."""


# ------------------------------------------------------------------ scaling form, G-7
def scaling_iterates(C: Any, a: Any, b: Any, eps: Any) -> Iterator[tuple[Array, Array]]:
    """(u_l, v_l) for l = 1, 2, ...: u = a / (K v), v = b / (K'u), K = exp(-C / eps). G-7.

    Starts at v = b, i.e. g = 0 (G starts at 1/n, its uniform b). The plan is diag(u) K diag(v).
    K underflows where C / eps > 745 (float64), overflows where it is < -709: u and v may then
    become infinite or NaN, as in G-7, and the first step in which they do warns (ScalingWarning).
    """
    C = as_cost(C)
    eps = as_eps(eps, C)
    a, b = as_weights(a, C.shape[0], "a", C.dtype), as_weights(b, C.shape[1], "b", C.dtype)
    return _scaling_steps(with_partners(C, a, b).dense() / eps, a, b)


def _scaling_steps(exponent: Array, a: Array, b: Array) -> Iterator[tuple[Array, Array]]:
    """The steps for K = exp(-exponent), in plain floating point."""
    xp = namespace(exponent)
    with np.errstate(over="ignore"):
        K = xp.exp(-exponent)
    v, sound = b, True
    for l in itertools.count(1):
        with np.errstate(all="ignore"):  # said once, below, and not at every operation
            u = a / (K @ v)
            v = b / (K.T @ u)
        if sound and not bool(xp.isfinite(u).all() and xp.isfinite(v).all()):
            sound = False
            warnings.warn(
                f"step {l}: u or v is not finite: C / eps goes from {float(exponent.min()):.4g} to "
                f"{float(exponent.max()):.4g}, too far for K = exp(-C / eps); the log domain "
                "(sinkhorn_log, scaling_loss_gradient_log) has no such limit",
                ScalingWarning, stacklevel=2,
            )
        yield u, v


def sinkhorn_scaling(C: Any, a: Any, b: Any, eps: Any, L: int) -> tuple[Array, Array]:
    """(u (n,), v (m,)) after exactly L steps of G-7: columns exact, rows not. Algorithm 2 of G."""
    L = as_count(L, "L")
    return next(itertools.islice(scaling_iterates(C, a, b, eps), L - 1, None))


def scaling_loss(C: Any, a: Any, b: Any, eps: Any, L: int) -> float:
    """sum_ij u_i (K_ij C_ij) v_j after L steps: the sharp loss G-8, in cost units.

    NaN, with a ScalingWarning, where u or v leaves the range of floats.
    """
    u, v = sinkhorn_scaling(C, a, b, eps, L)
    C = as_cost(C).dense()
    with np.errstate(all="ignore"):  # the iteration has warned
        K = namespace(C).exp(-C / as_positive(eps, "eps"))
        return float(u @ (K * finite_part(C)) @ v)


# ------------------------------------------------------------------ log domain
def log_iterates(p: Problem, g: Array) -> Iterator[tuple[Array, Array, float]]:
    """(f, g, marginal error), l = 1, 2, ...: f = g^(c,eps), g = f^(c,eps). Columns are exact
    up to rounding.

    The next f gives the row sums of the present plan for nothing: a exp((f - f_next) / eps).
    """
    f = p.transform(g)
    while True:
        g = p.T.transform(f, g)
        f_next = p.transform(g, f)
        f = on_support(p, f, f_next)
        yield f, g, float(abs(_row_sums(p, f, f_next) - p.a).sum())
        f = f_next


def symmetric_iterates(p: Problem, f: Array) -> Iterator[tuple[Array, Array, float]]:
    """(f, f, marginal error) for a = b and C = C': f <- (f + f^(c,eps)) / 2. Self terms of B-9."""
    while True:
        f_next = p.transform(f, f)
        f = on_support(p, f, f_next)
        yield f, f, 2 * float(abs(_row_sums(p, f, f_next) - p.a).sum())
        f = (f + f_next) / 2


def _row_sums(p: Problem, f: Array, f_next: Array) -> Array:
    """P 1 = a exp((f - f_next) / eps), (n,), of the plan of (f, g) with f_next = g^(c,eps):
    infinite where a start was far too large."""
    with np.errstate(over="ignore"):
        return namespace(f).exp((p.F(f) - f_next) / p.eps)


def on_support(p: Problem, f: Array, transform: Array) -> Array:
    """f, and where a_i = 0 the transform of g, which no marginal error sees converge."""
    return namespace(f).where(p.a > 0, f, transform)


def centred_start(p: Problem, g: Array) -> Array:
    """g less its mean under b: f takes up the constant, which would cost each digits of both."""
    return g - p.b @ g


def sinkhorn_log(
    C: Any,
    a: Any,
    b: Any,
    eps: Any,
    *,
    tol: float | None = None,
    max_iter: int = 10_000,
    g: Any | None = None,
    backend: BackendLike = None,
) -> SinkhornResult:
    """Potentials by Sinkhorn's algorithm in the log domain, safe for every eps.

    C (n, m) or an operand; a (n,), b (m,); `g` (m,) a warm start (default 0). Stops when the L1
    marginal error is <= tol (default 1e-9, in float32 1e-5). Warns (ConvergenceWarning) and says so
    if it does not get there.
    """
    p = problem(C, a, b, eps, backend)
    start = namespace(p.b).zeros_like(p.b) if g is None else centred_start(
        p, p.column_potential(g))
    return iterate(p, log_iterates(p, start), tol, max_iter)


def sinkhorn_symmetric(
    C: Any,
    a: Any,
    eps: Any,
    *,
    tol: float | None = None,
    max_iter: int = 10_000,
    f: Any | None = None,
    backend: BackendLike = None,
) -> SinkhornResult:
    """The potential f = g of a measure with itself: C (n, n) symmetric, a (n,). For B-9 and B-28.

    The averaged iteration converges in tens of steps where the alternating one needs thousands.
    """
    C = as_cost(C)
    if not is_symmetric(C):
        raise InputError("C", "not symmetric", "c(x, x): a measure with itself")
    p = problem(C, a, a, eps, backend)
    start = namespace(p.a).zeros_like(p.a) if f is None else p.row_potential(f)
    return iterate(p, symmetric_iterates(p, start), tol, max_iter)


def iterate(
    p: Problem,
    iterates: Iterator[tuple[Array, Array, float]],
    tol: float | None,
    max_iter: int,
    control: Control | None = None,
) -> SinkhornResult:
    """Take iterates until the errors are within tol, there are max_iter of them, or `control` says
    stop; warn if neither the errors nor the gap that was asked for were reached.

    The error an algorithm gets for nothing leaves out rounding (a column that is exact on paper),
    and light atoms: the one that ends the loop, and that of the result, is evaluated anew.
    """
    tol = marginal_tolerance(p.C.dtype) if tol is None else as_positive(tol, "tol")
    errors: list[float] = []
    # overflow on the way is no news: it makes the marginal error infinite, which is told below
    with Watch(control or Control(), p, tol) as watch, np.errstate(all="ignore"):
        finish = Finish(p, tol)
        for f, g, error in itertools.islice(iterates, as_count(max_iter, "max_iter")):
            f, g, error = finish.tried(f, g, error)
            errors.append(error)
            watch.tell(len(errors), error)
            stopped_by = finish.reason or watch.reason(error, f, g)
            if not stopped_by and len(errors) == LONG and obstruction(p.C, p.a, p.b):
                stopped_by = "infeasible"
            if stopped_by:
                break
        else:
            stopped_by = "max_iter" if len(errors) == max_iter else watch.end(f, g)
        if stopped_by != "tolerance":
            f = f if errors[-1] < math.inf else p.transform(g)  # that of another eps is no use
            f, g = finish.look(*(watch.best if stopped_by == "rounding" and watch.best else (f, g)))
        found = finish.found
        errors[-1] = found.marginal_error
        gap = watch.certificate(g)
        if not found.within(tol) and watch.proved:  # checks of the gap are seldom on the way
            stopped_by = "gap"
        converged = watch.proved or found.within(tol)
        result = SinkhornResult(f, g, converged, *found, tol, tuple(errors), stopped_by,
                                watch.elapsed, gap,
                                "" if converged else obstruction(p.C, p.a, p.b))
    if not result.converged:
        warnings.warn(
            f"{found.shortfall(tol)} after {result.iterations} iterations "
            f"(stopped by {stopped_by})"
            + (f": {result.infeasible}" if result.infeasible else ""),
            ConvergenceWarning,
            stacklevel=3,
        )
    return result
