"""The informative plan of B (Fig. 2): B-19 minimised over plans, as a difference of convex
functions.

    P_0 = Sinkhorn(C);  Q_k = log(M P_k / (zeta1 (x) b));  P_{k+1} = Sinkhorn(C - lam M'Q_k)

where Sinkhorn(C) is the optimal plan for the cost C, with the marginals a and b.
Each step minimises B-21 exactly, first over Q and then over P. So for every lam >= 0 the objective
J of B-19 falls, by
    J(P_k) - J(P_{k+1}) = eps KL(P_k | P_{k+1}) + lam KL(M P_{k+1} | M P_k).
Let K(P) = KL(P | MP (x) zeta2) be the conditional information of z2 and y given z1. Then
    J(P) = <C, P> + (eps - lam) KL(P | a (x) b) + lam K(P).
For lam <= eps this is convex, and the iteration converges to the global minimum. For lam > eps it
is not convex, and the iteration may end in a local minimum.

B = Bréchet et al. 2019. A latent sample consists of a code z1 and of noise z2, with the laws zeta1
and zeta2. M adds the rows of a plan that have the same code. `information` defines these and the
table Q.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from refot.arrays import (
    Array,
    Codes,
    ConvergenceWarning,
    CostLike,
    InputError,
    Matrix,
    ShapeError,
    Weights,
    as_count,
    as_matrix,
    as_plan,
    as_positive,
    as_weights,
    marginal_tolerance,
    namespace,
)
from refot.backend_contract import BackendLike
from refot.costs.operands import DenseCost
from refot.information import (
    as_codes,
    as_lam,
    code_weights,
    informative_cost,
    informative_objective,
    optimal_q,
    sum_noise,
)
from refot.objectives import kl
from refot.plans import plan
from refot.problem import Problem, problem
from refot.solvers import NEWTON_LIMIT, Iterates, auto, newton_of_smaller, solve
from refot.solvers.loop import SinkhornResult, iterate
from refot.solvers.sinkhorn import log_iterates

WARM_ITERATIONS = 100
"""The most iterations of a solve from the potential of the step before; Newton's method usually
needs 1 to 3. After them the default method of `refot.solve` takes over."""

SOLVE_ITERATIONS = 10_000
"""The most iterations of one solve, of both methods together."""


class IllPosedWarning(UserWarning):
    """Warns that lam > eps: then B-19 is not convex, and for laws without atoms it has no lower
    bound (erratum E7)."""


@dataclass(frozen=True)
class InformativeResult:
    """The plan P (n, m), the table Q (n1, m) from which it was solved, and how the iteration went.

    P is the optimal plan for the cost C - lam M'Q, with the potentials f (n,), g (m,) in cost
    units. `marginal_error` is the L1 error of its marginals. `objectives` holds B-19, without the
    term F_xx / 2, at P_0, ..., P. `steps` holds the L1 distances |M P_k - M P_{k-1}|. `converged`
    says that the last step is <= `tolerance` and that every solve reached its own tolerance: P is
    then a fixed point to that accuracy. If the steps shrink by a factor r each time, the exact
    fixed point is at most r / (1 - r) times the last step away.
    """

    P: Array
    Q: Array
    f: Array
    g: Array
    converged: bool
    marginal_error: float
    tolerance: float
    objectives: tuple[float, ...]
    steps: tuple[float, ...]

    @property
    def iterations(self) -> int:
        """The number of steps that were taken."""
        return len(self.steps)


# ------------------------------------------------------------------ the algorithm
Step: TypeAlias = tuple[Array, Array, SinkhornResult]
"""(a plan (n, m), the table Q (n1, m) from which it was solved, its solution)."""


def solve_informative(
    C: CostLike,
    a: Weights,
    b: Weights,
    eps: float,
    lam: float,
    codes: Codes,
    *,
    Q: Matrix | None = None,
    tol: float | None = None,
    max_iter: int = 1_000,
    backend: BackendLike = None,
) -> InformativeResult:
    """The plan that minimises B-19 for a fixed generator, by the iteration at the top of this file.
    B section 3.2, Fig. 2.

    C (n, m), an array, a `PointCost` or a `DenseCost`; a (n,), b (m,); eps > 0 and lam >= 0 in cost
    units; codes (n,) integers. The iteration starts from the table `Q` (n1, m), by default 0, for
    which P_0 is the optimal plan for C. It stops when |M P_k - M P_{k-1}|_1 <= tol (default 1e-8,
    in float32 1e-4); each of its solves has the tolerance tol / 10. If max_iter steps are not
    enough, it warns (ConvergenceWarning) and the result is not `converged`. For lam > eps it warns
    (IllPosedWarning): then it may end in a local minimum, and the start decides in which.
    """
    p = problem(C, a, b, eps, backend)
    p = replace(p, C=DenseCost(p.C.dense()))
    weight, codes = as_lam(lam), as_codes(codes, p.a)
    tol = 10 * marginal_tolerance(p.C.dtype) if tol is None else as_positive(tol, "tol")
    start = _start(Q, codes, p)
    if weight > p.eps:
        warnings.warn(f"lam {weight:g} > eps {p.eps:g}: B-19 is not convex; a local minimum is "
                      "found, and for laws without atoms there is no minimum at all",
                      IllPosedWarning, stacklevel=2)
    steps = informative_iterates(p, weight, codes, start, tol / 10)
    result = _descend(p, weight, codes, steps, tol, as_count(max_iter, "max_iter"))
    if not result.converged:
        warnings.warn(f"step {result.steps[-1]:.3g}, marginal error {result.marginal_error:.3g}, "
                      f"tol {tol:g} after {result.iterations} steps", ConvergenceWarning,
                      stacklevel=2)
    return result


def informative_iterates(
    p: Problem, lam: float, codes: Array, Q: Array, tol: float
) -> Iterator[Step]:
    """The steps k = 0, 1, ... from the table Q (n1, m). Each solves `tilted`, the problem with the
    cost C - lam M'Q, and starts from the column potential of the step before."""
    zeta1 = code_weights(p.a, codes, Q.shape[0])
    tilted = replace(p, C=informative_cost(p.C, Q[codes], lam))
    solved = solve(tilted.C, p.a, p.b, p.eps, tol=tol, backend=p.backend)
    while True:
        P = plan(solved.f, solved.g, tilted.C, p.a, p.b, p.eps, backend=p.backend)
        yield P, Q, solved
        Q = optimal_q(sum_noise(P, codes, Q.shape[0]), zeta1, p.b)
        tilted = replace(p, C=informative_cost(p.C, Q[codes], lam))
        solved = iterate(tilted, _warm_iterates(tilted, solved.g), tol, SOLVE_ITERATIONS)


def _warm_iterates(p: Problem, g: Array) -> Iterates:
    """Iterates from a g (m,) that is nearly optimal: of Newton's method where it is cheap, else of
    Sinkhorn's.

    They use no schedule of falling eps: its first, large eps would make that g useless. If they do
    not converge within WARM_ITERATIONS, the default method takes over, with its schedule. That
    happens for lam > eps, where one step may change the cost by much.
    """
    newton = p.backend.xp is np and p.C.dtype == np.float64 and min(p.C.shape) <= NEWTON_LIMIT
    iterates = newton_of_smaller(p, g) if newton else log_iterates(p, g)
    yield from itertools.islice(iterates, WARM_ITERATIONS)
    yield from auto(p, g)


def _start(Q: Matrix | None, codes: Array, p: Problem) -> Array:
    """The first table (n1, m): the given `Q`, checked, or zeros, with a row for each code."""
    rows, m = int(codes.max()) + 1, p.b.shape[0]
    if Q is None:
        return namespace(p.b).zeros((rows, m), dtype=p.b.dtype)
    Q = as_matrix(p.backend.asarray(Q), "Q")
    if Q.shape[0] < rows or Q.shape[1] != m:
        raise ShapeError("Q", f"shape {Q.shape}", f"({rows}, {m}): a row for each code")
    return Q.astype(p.b.dtype, copy=False)


def _descend(
    p: Problem, lam: float, codes: Array, iterates: Iterator[Step], tol: float, max_iter: int
) -> InformativeResult:
    """The result after the first step that changes M P by at most tol in L1, or after max_iter
    steps."""
    P, Q, solved = next(iterates)
    joint, all_solved = sum_noise(P, codes, Q.shape[0]), solved.converged
    objectives = [informative_objective(P, p.C, p.a, p.b, p.eps, lam, codes)]
    steps: list[float] = []
    for P, Q, solved in itertools.islice(iterates, max_iter):
        last, joint = joint, sum_noise(P, codes, Q.shape[0])
        all_solved = all_solved and solved.converged
        objectives.append(informative_objective(P, p.C, p.a, p.b, p.eps, lam, codes))
        steps.append(float(abs(joint - last).sum()))
        if steps[-1] <= tol:
            break
    return InformativeResult(P, Q, solved.f, solved.g, all_solved and steps[-1] <= tol,
                             solved.marginal_error, tol, tuple(objectives), tuple(steps))


# ------------------------------------------------------------------ what the plan looks like
def conditional_information(P: Matrix, a: Weights, codes: Codes) -> float:
    """K(P) = KL(P | MP (x) zeta2) >= 0 in nats: the mutual information of z2 and y given z1.

    Entry (i, j) of MP (x) zeta2 is (M P)_kj a_i / zeta1_k, where k is the code of sample i.
    P (n, m) has the first marginal a (n,). Chain rule: KL(P | a(x)b) = KL(M P | zeta1(x)b) + K(P).
    """
    P = as_plan(P, "P")
    codes, a = as_codes(codes, P), as_weights(a, P.shape[0], "a", P.dtype)
    n_codes = int(codes.max()) + 1
    joint, zeta1 = sum_noise(P, codes, n_codes), code_weights(a, codes, n_codes)[codes]
    share = a / namespace(P).where(zeta1 > 0, zeta1, 1)
    return kl(P, joint[codes] * share[:, None])


def entries_with_mass(P: Matrix, fraction: float = 0.99) -> int:
    """The least number of entries of P (n1, m) that together carry this fraction of its mass."""
    P, share = as_plan(P, "P"), as_positive(fraction, "fraction")
    if share > 1:
        raise InputError("fraction", f"{share}", "a number in (0, 1]")
    xp = namespace(P)
    carried = xp.cumsum(xp.sort(P.ravel())[::-1])
    return int((carried < share * carried[-1]).sum()) + 1
